package sim

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"ciscora/msca/certsrv"
	"ciscora/ra/ledger"
)

// History is what came of a plan.
type History struct {
	Plan     Plan
	Began    time.Time
	Took     time.Duration // virtual
	Lines    []Line
	Waiting  []string              // clients without an answer in bounded time
	Broken   []string              // what must not happen at all, such as a ledger that cannot be opened again
	Asks     [][]Ask               // by wish
	Requests []certsrv.Request     // of the CA, by ReqID
	Owner    map[int]int           // ReqID -> wish, of those that the RA posted
	Posted   map[int]time.Duration // when the POST of these began to be on its way
	Fetched  map[int]Fetched       // by ReqID
	Orphans  []Orphan
	Rows     []ledger.Row
	Kills    int

	publicKey []crypto.PublicKey // by wish
}

// Line is one thing that happened.
type Line struct {
	At   time.Duration
	Who  string
	What string
}

// Ask is one request of a client and its answer.
type Ask struct {
	At, Ended   time.Duration
	Status      int // 0: none came
	Retry       time.Duration
	Certificate *x509.Certificate
	Read        bool // the client has read the certificate
}

// Fetched is how often the CA was asked for a ReqID, by what it said.
type Fetched struct {
	Given   int // the certificate
	Waits   int // it waits for a manager
	Denied  int
	Unknown int // beyond the CA's end
	Hidden  int // 403
	Failed  int // no answer, or none that says anything
}

// Orphan is a possible orphan that the RA told of.
type Orphan struct {
	At   time.Duration
	Row  int64
	Wish int // -1: nobody's
	// Candidates are the numbers that may be the row's.
	Candidates []int
}

// sorted returns the lines by time, and those of one instant by text: the scheduler
// decides nothing.
func (h *History) sorted() []Line {
	lines := slices.Clone(h.Lines)
	slices.SortStableFunc(lines, func(a, b Line) int {
		if a.At != b.At {
			return int(a.At - b.At)
		}
		return strings.Compare(a.Who+a.What, b.Who+b.What)
	})
	return lines
}

// String is the plan and all that happened.
func (h *History) String() string {
	var b strings.Builder
	b.WriteString(h.Plan.String())
	for _, l := range h.sorted() {
		fmt.Fprintf(&b, "%14s  %-8s %s\n", l.At, l.Who, l.What)
	}
	return b.String()
}

// at is an instant as time since the beginning.
func (h *History) at(t time.Time) time.Duration { return t.Sub(h.Began) }

// issued returns the requests of a wish that have a certificate, by ReqID.
func (h *History) issued(wish int) []certsrv.Request {
	var list []certsrv.Request
	for _, r := range h.Requests {
		if owner, ok := h.Owner[r.ID]; ok && owner == wish && len(r.Certificate) > 0 {
			list = append(list, r)
		}
	}
	return list
}

// orphans returns how many possible orphans were told for a wish.
func (h *History) orphans(wish int) int {
	n := 0
	for _, o := range h.Orphans {
		if o.Wish == wish {
			n++
		}
	}
	return n
}

// reqIDOf returns the ReqID of a certificate; 0 where the CA has none such.
func (h *History) reqIDOf(c *x509.Certificate) int {
	for _, r := range h.Requests {
		if string(r.Certificate) == string(c.Raw) {
			return r.ID
		}
	}
	return 0
}

// twins are the ReqIDs under which others got a wish's key certified under the wish's
// own names.
func (h *History) twins(wish int) []int {
	var list []int
	for _, r := range h.Requests {
		if _, ours := h.Owner[r.ID]; ours || !h.sameKey(r, wish) {
			continue
		}
		if c, err := x509.ParseCertificate(r.Certificate); err == nil && c.Subject.CommonName == wishName(wish) {
			list = append(list, r.ID)
		}
	}
	return list
}

// sameKey tells whether a certificate of others' has a wish's key.
func (h *History) sameKey(r certsrv.Request, wish int) bool {
	if wish < 0 || len(r.Certificate) == 0 {
		return false
	}
	c, err := x509.ParseCertificate(r.Certificate)
	public, ok := h.publicKey[wish].(interface{ Equal(crypto.PublicKey) bool })
	return err == nil && ok && public.Equal(c.PublicKey)
}
