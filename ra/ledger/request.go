package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"
)

// State is how far a request has come.
type State string

// The states. A row goes from top to bottom, and may skip.
const (
	StateReceived  State = "received"  // the CSR is here; the CA has not seen it
	StateSubmitted State = "submitted" // the CA may have it; ReqID tells once it is known
	StatePending   State = "pending"   // it waits for a manager
	StateIssued    State = "issued"    // the certificate is in the row
	StateDelivered State = "delivered" // and was sent to its client
	StateDenied    State = "denied"    // by policy or by a manager
	StateFailed    State = "failed"    // it ended without a certificate
)

// States are all states.
func States() []State {
	return []State{StateReceived, StateSubmitted, StatePending, StateIssued, StateDelivered, StateDenied, StateFailed}
}

// Bounds of what comes from outside, in bytes; the rest is cut.
const (
	maxText = 1 << 10
	maxLegs = 64
)

// Request is who asks for what.
type Request struct {
	CSR        [sha256.Size]byte // SHA-256 of the CSR in DER
	PublicKey  []byte            // SubjectPublicKeyInfo in DER: tells the certificate that is collected later
	Identity   string            // who asks
	Label      string            // "" without one
	Template   string
	Subject    string // of the CSR, RFC 2253
	CN         string
	Enrollment string // id of the first request, for the logs
	Renewal    bool
}

// Key stands for the request: the same CSR of the same identity, label and
// template has the same key.
func (r Request) Key() [sha256.Size]byte {
	h := sha256.New()
	h.Write(r.CSR[:])
	for _, part := range []string{r.Identity, r.Label, r.Template} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Row is one request and what became of it. Times are zero where the thing has
// not happened.
type Row struct {
	ID int64
	Request
	State State
	// Uncertain is set where the CA may have issued a certificate under a ReqID
	// that is not known.
	Uncertain bool
	// Open rows are joined by the same request.
	Open bool

	ReqID       int // the CA's number, 0 = not known
	Disposition int // CR_DISP_*
	HRESULT     uint32
	Certificate []byte // DER
	Error       string
	Legs        []Leg

	Received, Submitted, Issued, Delivered, Updated time.Time
	NextPoll                                        time.Time     // when the RA looks at it by itself; zero = it does not
	Waited                                          time.Duration // how long it was pending, once that was decided
	Polls                                           int
	Deliveries                                      int

	Replica    string // who has, or had, the claim
	LeaseUntil time.Time
}

// Orphan tells whether the CA has, or may have, a certificate that nobody has
// collected.
func (r Row) Orphan() bool {
	return r.Uncertain || r.State == StateIssued ||
		r.State == StateSubmitted && r.ReqID != 0 && r.NextPoll.IsZero()
}

// Leg is one exchange with the CA.
type Leg struct {
	Name  string        `json:"name"`
	Start time.Time     `json:"start"`
	Took  time.Duration `json:"took_ns"`
	Error string        `json:"error,omitempty"`
}

// bound cuts what has no bound of its own.
func (r *Row) bound() {
	for _, text := range []*string{&r.Error, &r.Subject, &r.CN, &r.Identity, &r.Enrollment} {
		*text = cut(*text)
	}
	if len(r.Legs) > maxLegs {
		// The first tell how it began, the last how it ended.
		r.Legs = append(r.Legs[:maxLegs/2:maxLegs/2], r.Legs[len(r.Legs)-maxLegs/2:]...)
	}
	for i := range r.Legs {
		r.Legs[i].Error = cut(r.Legs[i].Error)
	}
}

func cut(s string) string {
	// PostgreSQL takes neither NUL nor what is not UTF-8.
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
