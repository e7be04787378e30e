// Package check probes live systems and says, for each thing that it looked at, what it
// saw, and for what is wrong how the product shows it, why, and how to mend it. It only
// reads: nothing is enrolled unless asked, and a credential logs in once.
package check

import (
	"slices"
	"time"
)

// A State is how one check ended.
type State string

// The states.
const (
	OK   State = "ok"
	Warn State = "warn" // works today, and will not for everybody or for long
	Fail State = "FAIL"
	Skip State = "skip" // could not be looked at; Seen says why
)

// A Finding is what one check saw.
type Finding struct {
	Name    string `json:"check"` // such as "ca.tls.name" or, from a catalogue, "L3"
	State   State  `json:"state"`
	Seen    string `json:"seen"`              // what was there, in one line
	Symptom string `json:"symptom,omitempty"` // for Warn and Fail: what a log or a person sees of it
	Reason  string `json:"reason,omitempty"`  // why that is wrong
	Fix     string `json:"fix,omitempty"`     // what to do
}

// A Report holds the findings of one run, in the order in which things were looked at.
type Report struct {
	Target   string    `json:"target"` // what was checked, as the user named it
	Findings []Finding `json:"findings"`

	// Added, where set, hears each finding as it comes: what hangs takes its time.
	Added func(Finding) `json:"-"`

	hasty time.Duration // how long each step is given, where that is less than CES and libest wait; 0 = it is not

	// Interrupted, where set, tells whether who asks has stopped: what breaks off then is
	// no fault of what is asked.
	Interrupted func() bool `json:"-"`
}

// Add appends a finding; one that comes behind an interruption is a [Skip].
func (r *Report) Add(f Finding) {
	if f.State != Skip && r.Interrupted != nil && r.Interrupted() {
		f = Finding{Name: f.Name, State: Skip, Seen: "interrupted"}
	}
	r.Findings = append(r.Findings, f)
	if r.Added != nil {
		r.Added(f)
	}
}

// OK adds that name is as it should be.
func (r *Report) OK(name, seen string) { r.Add(Finding{Name: name, State: OK, Seen: seen}) }

// Skip adds that name could not be looked at, and why.
func (r *Report) Skip(name, why string) { r.Add(Finding{Name: name, State: Skip, Seen: why}) }

// hurry notes how long each step is given.
func (r *Report) hurry(step time.Duration) {
	if r.hasty = 0; step < patienceOfCES {
		r.hasty = step
	}
}

// was tells whether a finding came out so.
func (r *Report) was(name string, state State) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Name == name && f.State == state })
}

// skip adds that none of the names could be looked at.
func (r *Report) skip(why string, names ...string) {
	for _, name := range names {
		r.Skip(name, why)
	}
}

// Failed tells whether any finding is a Fail.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.State == Fail })
}
