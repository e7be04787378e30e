package explain

import (
	"cmp"
	"slices"
	"strings"
)

// mark is where a line that matters stands.
type mark struct {
	file, line int
	when       stamp
	text       string // raw; shown only through [show]
	tells      bool   // it has a signature that tells
}

// incident is what one log says of one thing that was tried: one start of CES, one
// enrollment at CES, at CAPF or at the CA, one paragraph of another log.
type incident struct {
	log   Log
	stood Log    // the log that it stood in, where that is another: a page's words in the RA's
	numbs []int  // the signatures seen, sorted
	maybe []int  // those that may belong to it, or to another at the same time
	who   string // the phone, where the log names it; or CES
	start bool   // it is a start of CES, and no enrollment
	wait  int64  // ms that the client waited; -1 = unknown
	lines []mark
	// cut says that the log ends within it: what it lacks may have followed.
	cut bool
	// abridged says that its log begins within it, or has warnings and errors alone, as after
	// grep: that something else is not there says nothing.
	abridged bool
	// bare says that it has none of CES's own lines, with what curl says, either.
	bare bool
	// chain is what openssl s_client has shown of the server beside it.
	chain Chain
	// late says that what the log ends within could have gone on: others have since.
	late bool
	// mute says that it is good by itself: it tells only what another log's failure was.
	mute    bool
	enrolls bool // IIS's client is CES, or this product in its place
	// torn says that IIS's client went away, or was cut off, before it had its answer.
	torn bool
	// dangles says that nothing was refused in it: what should have followed has not.
	dangles bool
	taken   bool // it is of a case
	// quoted says that a line that tells stands within what somebody has written.
	quoted bool
	first  stamp
	last   stamp
	file   int
	order  int
}

// in is the log that it is shown as.
func (i *incident) in() Log { return cmp.Or(i.stood, i.log) }

func (i *incident) has(n int) bool { return slices.Contains(i.numbs, n) }

// fits tells whether the incident could be what a failure leaves in this log.
func (i *incident) fits(t numbers) bool {
	for _, n := range t.has {
		if !i.has(n) && !slices.Contains(i.maybe, n) {
			return false
		}
	}
	for _, n := range t.lacks {
		if i.has(n) {
			return false
		}
	}
	return len(t.has) > 0 || len(t.lacks) > 0
}

// borrows tells whether it is what a failure leaves only with a line that may be another's.
func (i *incident) borrows(e *entry) bool {
	t, ok := e.tellsIn(i)
	return ok && i.log == IIS && slices.ContainsFunc(t.has, func(n int) bool { return !i.has(n) && slices.Contains(i.maybe, n) })
}

// slowSubmit tells whether CES's request had no answer in time.
func (i *incident) slowSubmit() bool {
	return slices.ContainsFunc(i.lines, func(m mark) bool {
		return strings.Contains(m.text, "submit_cert_request: Curl request failed with return code 28 ")
	})
}

// transport is what curl says of a call of the CA that failed: its return code and words;
// "" = nothing.
func (i *incident) transport() string {
	for _, m := range i.lines {
		if before, says, ok := strings.Cut(m.text, "failed with return code "); ok && !strings.Contains(before, `"`) {
			says, _, _ = strings.Cut(says, " while SSL EST")
			return strings.TrimSpace(says)
		}
	}
	return ""
}

// inVain tells whether CES found its client gone.
func (i *incident) inVain() bool {
	return slices.ContainsFunc(i.lines, func(m mark) bool { return strings.Contains(m.text, "(EST_ERR_HTTP_WRITE)") })
}

// fetching tells whether the call that failed was for a certificate that is issued.
func (i *incident) fetching() bool {
	return slices.ContainsFunc(i.lines, func(m mark) bool {
		return strings.Contains(m.text, "retrieve_cert: Curl request failed with return code ")
	})
}

const (
	maxTrail      = 24      // lines that are kept of one incident
	maxTrailBytes = 8 << 10 // bytes of them
	maxLineKept   = 1 << 10 // bytes of one
)

// trail keeps the lines of what is under way, in memory that is used again.
type trail struct {
	buf   []byte
	ends  []int
	marks []mark // without their texts
	numbs []int
	first stamp
	last  stamp

	quoted bool
}

func (t *trail) reset() {
	t.quoted = false
	t.buf, t.ends, t.marks, t.numbs = t.buf[:0], t.ends[:0], t.marks[:0], t.numbs[:0]
	t.first, t.last = stamp{}, stamp{}
}

// note keeps a line and its signatures.
func (t *trail) note(r *record, found []int) {
	for _, n := range found {
		if !slices.Contains(t.numbs, n) && len(t.numbs) < 64 {
			t.numbs = append(t.numbs, n)
		}
	}
	t.quoted = t.quoted || r.quoted && len(found) > 0
	if r.head.when.clock {
		if !t.first.clock {
			t.first = r.head.when
		}
		t.last = r.head.when
	}
	t.keep(mark{file: r.file, line: r.line, when: r.head.when, tells: r.tells}, r.raw)
}

func (t *trail) keep(m mark, raw []byte) {
	if len(t.marks) >= maxTrail || len(t.buf) >= maxTrailBytes {
		if !m.tells || len(t.marks) >= 2*maxTrail {
			return
		}
	}
	t.marks = append(t.marks, m)
	t.buf = append(t.buf, raw[:min(len(raw), maxLineKept)]...)
	t.ends = append(t.ends, len(t.buf))
}

// add puts another trail behind this one.
func (t *trail) add(o *trail) {
	from := 0
	for i, m := range o.marks {
		t.keep(m, o.buf[from:o.ends[i]])
		from = o.ends[i]
	}
	t.quoted = t.quoted || o.quoted
	for _, n := range o.numbs {
		if !slices.Contains(t.numbs, n) {
			t.numbs = append(t.numbs, n)
		}
	}
	if o.first.clock && (!t.first.clock || o.first.date == t.first.date && o.first.ms < t.first.ms) {
		t.first = o.first
	}
	if o.last.clock && (!t.last.clock || o.last.date == t.last.date && o.last.ms > t.last.ms) {
		t.last = o.last
	}
}

// incident makes what the trail has an incident.
func (t *trail) incident(log Log) *incident {
	i := &incident{log: log, wait: -1, quoted: t.quoted, first: t.first, last: t.last, numbs: slices.Sorted(slices.Values(t.numbs))}
	from := 0
	for n, m := range t.marks {
		m.text = string(t.buf[from:t.ends[n]])
		from = t.ends[n]
		i.lines = append(i.lines, m)
		i.file = m.file
	}
	slices.SortStableFunc(i.lines, func(a, b mark) int {
		if a.file != b.file {
			return a.file - b.file
		}
		return a.line - b.line
	})
	return i
}
