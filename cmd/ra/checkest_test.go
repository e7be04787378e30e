package main

import (
	"slices"
	"testing"

	"ciscora/ra/check"
)

func TestWhatAConfigurationAsksForIsNoFailure(t *testing.T) {
	r := check.Report{Findings: []check.Finding{
		{Name: "L7", State: check.Fail, Seen: "TLS 1.2 is not spoken"}, {Name: "L8", State: check.Fail}, {Name: "L1", State: check.OK},
	}}
	asConfigured(&r, "L7", "est.tls.min has it so")
	asConfigured(&r, "L1", "")
	if f := r.Findings[0]; f.State != check.Warn || f.Reason != "est.tls.min has it so" || f.Seen == "" {
		t.Errorf("%+v", f)
	}
	if r.Findings[1].State != check.Fail || r.Findings[2].State != check.OK {
		t.Errorf("%+v", r.Findings)
	}
}

// Skips of one reason share a line, and no finding waits for one that comes later.
func TestSkipsOfOneReasonShareALine(t *testing.T) {
	var printed []string
	lines := findingLines{print: func(f check.Finding) { printed = append(printed, f.Name+": "+f.Seen) }}
	for _, f := range []check.Finding{
		{Name: "a", State: check.OK, Seen: "fine"},
		{Name: "b", State: check.Skip, Seen: "see a"},
		{Name: "c", State: check.Skip, Seen: "see a"},
		{Name: "d", State: check.Skip, Seen: "see a"},
		{Name: "e", State: check.Skip, Seen: "see b"},
		{Name: "f", State: check.Fail, Seen: "see b"},
	} {
		lines.add(f)
	}
	lines.flush()
	want := []string{"a: fine", "b: see a; likewise c, d", "e: see b", "f: see b"}
	if !slices.Equal(printed, want) {
		t.Errorf("%q, want %q", printed, want)
	}
}
