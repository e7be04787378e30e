package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"ciscora/internal/printable"
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

// Bounds of what comes from outside, in bytes.
const (
	maxText = 1 << 10 // the rest is cut
	maxLegs = 64
	maxDER  = 64 << 10 // of what must not be cut; more is refused
	// maxCandidates is how many ReqIDs a row names as maybe its own.
	maxCandidates = 1000
)

// Request is who asks for what.
type Request struct {
	// What stands for what is asked for: the public key, the subject, the attributes
	// without the challengePassword, the extensions; not the signature. A client that
	// signs anew at each try asks for the same.
	What       [sha256.Size]byte
	CSR        [sha256.Size]byte // SHA-256 of the CSR in DER as it came first, for people
	PublicKey  []byte            // SubjectPublicKeyInfo in DER: tells the certificate that is collected later
	SubjectDER []byte            // the subject's RDNSequence in DER
	Names      []byte            // the value of the CSR's subjectAltName in DER; empty without one
	Identity   string            // who asks, see [Identity]
	Label      string            // "" without one
	Template   string
	Subject    string // of the CSR, RFC 2253
	CN         string
	Enrollment string // id of the first request, for the logs
	Renewal    bool
}

// Key stands for the request: who asks (identity, label and template) for the same
// has the same key.
func (r Request) Key() [sha256.Size]byte { return r.key(r.What) }

// version1Key is the key that schema version 1 knew the request by: of the CSR as it
// came, its signature included.
func (r Request) version1Key() [sha256.Size]byte { return r.key(r.CSR) }

func (r Request) key(what [sha256.Size]byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(what[:])
	for _, part := range []string{canonical(r.Identity), r.Label, r.Template} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// check refuses what has no bound of its own and must not be cut.
func (r Request) check() error {
	for name, der := range map[string][]byte{"public key": r.PublicKey, "subject": r.SubjectDER, "subjectAltName": r.Names} {
		if len(der) > maxDER {
			return fmt.Errorf("ledger: the %s has %d bytes, more than %d: refuse such a CSR", name, len(der), maxDER)
		}
	}
	return nil
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

	ReqID       int   // the CA's number, 0 = not known
	Floor       int   // the highest ReqID that was known before the POST, 0 = none
	Candidates  []int // ReqIDs that may be this one's and show no key; see ByHand
	Disposition int   // CR_DISP_*
	HRESULT     uint32
	Certificate []byte // DER
	Error       string
	Legs        []Leg

	Received, Submitted, Issued, Delivered, Updated time.Time     // Delivered: the first time
	Lost                                            time.Time     // when the POST was known to have ended without an answer
	NextPoll                                        time.Time     // when the RA looks at it by itself; zero = it does not
	Waited                                          time.Duration // how long it was pending, once that was decided
	Polls                                           int
	Deliveries                                      int

	Replica string // who has, or had, the claim
	Held    bool   // somebody has a live claim

	key    [sha256.Size]byte // as the row has it
	holder int64             // the replica's number, 0 = none
	token  string            // of the last claim that has written
}

// Key is the key under which the row is joined.
func (r Row) Key() [sha256.Size]byte { return r.key }

// Orphan tells whether the CA has, or may have, a certificate that nobody has
// collected.
func (r Row) Orphan() bool {
	return r.Uncertain || len(r.Candidates) > 0 || r.State == StateIssued ||
		r.State == StateSubmitted && r.ReqID != 0 && r.NextPoll.IsZero()
}

// ByHand tells whether the row's ReqID was bound by hand ([Resolve]) and not found to be
// its own yet: it is among the candidates still.
func (r Row) ByHand() bool { return r.ReqID != 0 && slices.Contains(r.Candidates, r.ReqID) }

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
	r.Candidates = r.Candidates[:min(len(r.Candidates), maxCandidates)]
}

func cut(s string) string {
	// PostgreSQL takes neither NUL nor what is not UTF-8.
	return printable.Cut(strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD"), maxText)
}
