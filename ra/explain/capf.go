package explain

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// capfReader reads CAPF's trace: one enrollment a phone at a time. The trace of
// Cisco's TSP has the same form.
type capfReader struct {
	d      *desk
	phones map[string]*phone
	free   []*phone
}

type phone struct {
	name  string
	trail trail
	begun stamp
	wait  int64
	rv    int
	// returned tells that rv is what CAPF's own function returned, since libest's line is not there.
	returned bool
	// failed tells that no certificate came: libest's number, nothing behind a number
	// that is good, or CAPF's own word.
	failed bool
}

const maxPhones = 4096

func (r *capfReader) init(d *desk) { r.d, r.phones = d, map[string]*phone{} }

var (
	enrollBegins = []byte("CallingenrollCertUsingEST()")
	modeOnline   = []byte("CAModeisOnlineCA")
	enrollmentRV = []byte("Enrollmentrv=")
	returnValue  = []byte("ReturnvaluefromenrollCertUsingEST()")
	emptyAnswer  = []byte("withpkcs7length=0")
	signed       = []byte("OnlineCertSigningsuccessful")
	notSigned    = []byte("OnlineCertSigningFailed")
)

func (r *capfReader) record(rec *record, found []int) {
	rec.tells = len(found) > 0
	device, _, ok := deviceOf(rec.raw[min(rec.head.text, len(rec.raw)):])
	t := rec.text
	switch {
	case bytes.HasPrefix(t, modeOnline), bytes.HasPrefix(t, enrollBegins):
		p := r.phone(device)
		if bytes.HasPrefix(t, modeOnline) || p.rv >= 0 {
			r.end1(p)
			p = r.phone(device)
		}
		p.begun = rec.head.when
		p.trail.note(rec, found)
	case bytes.HasPrefix(t, enrollmentRV):
		p := r.phone(device)
		if p.rv >= 0 { // the beginning of this one is not in the log
			r.end1(p)
			p = r.phone(device)
		}
		p.rv = numberOf(t[len(enrollmentRV):])
		p.failed = p.rv > 0 || isEmpty(t)
		if p.begun.clock && rec.head.when.clock {
			p.wait = rec.head.when.ms - p.begun.ms
			if p.wait < 0 {
				p.wait += 24 * 3600 * 1000 // midnight
			}
		}
		p.trail.note(rec, found)
	case bytes.HasPrefix(t, signed):
		p := r.phone(device)
		r.d.good(CAPF)
		r.drop(p)
	case bytes.HasPrefix(t, notSigned):
		p := r.phone(device)
		p.trail.note(rec, found)
		p.failed = true
		r.end1(p)
	case ok && bytes.HasPrefix(t, returnValue) && !r.numbered(device):
		// The line that says libest's number first is not there.
		rv := numberOf(bytes.TrimPrefix(t[len(returnValue):], []byte(":")))
		if rv <= 0 {
			return
		}
		p := r.phone(device)
		if p.returned {
			r.end1(p)
			p = r.phone(device)
		}
		p.rv, p.failed, p.returned = rv, true, true
		p.trail.note(rec, r.of(rv))
	case ok && (len(found) > 0 || bytes.HasPrefix(t, returnValue)):
		if p := r.phones[string(device)]; p != nil {
			p.trail.note(rec, found)
		}
	}
}

// numbered tells whether a phone's line with libest's number was there.
func (r *capfReader) numbered(device []byte) bool {
	p := r.phones[string(device)]
	return p != nil && p.rv >= 0 && !p.returned
}

// numberOf is the number that begins a text, of four digits at most.
func numberOf(t []byte) (n int) {
	for _, c := range t {
		if !digit(c) || n > 999 {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// of are the signatures that say a number of libest's.
func (r *capfReader) of(rv int) (found []int) {
	for n, s := range r.d.catalog.book.signatures {
		if strings.HasPrefix(s.text, fmt.Sprintf("Enrollment rv = %d ", rv)) {
			found = append(found, n)
		}
	}
	return found
}

func (r *capfReader) phone(device []byte) *phone {
	p := r.phones[string(device)]
	if p == nil {
		if n := len(r.free); n > 0 {
			p, r.free = r.free[n-1], r.free[:n-1]
		} else {
			p = &phone{}
		}
		if len(r.phones) >= maxPhones {
			for _, old := range r.phones {
				r.end1(old)
				break
			}
		}
		p.trail.reset()
		p.name, p.wait, p.rv, p.begun, p.failed, p.returned = string(device), -1, -1, stamp{}, false, false
		r.phones[p.name] = p
	}
	return p
}

func (r *capfReader) drop(p *phone) {
	delete(r.phones, p.name)
	r.free = append(r.free, p)
}

// isEmpty tells whether libest's answer had no certificate in it.
func isEmpty(text []byte) bool {
	_, behind, ok := bytes.Cut(text, emptyAnswer)
	return ok && (len(behind) == 0 || !digit(behind[0]))
}

// end1 ends the enrollment of a phone that has no certificate.
func (r *capfReader) end1(p *phone) {
	if p.failed {
		i := p.trail.incident(CAPF)
		i.who, i.wait = p.name, p.wait
		r.d.report(i)
	}
	r.drop(p)
}

func (r *capfReader) end() {
	for _, name := range slices.Sorted(maps.Keys(r.phones)) {
		r.end1(r.phones[name])
	}
}
