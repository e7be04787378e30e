package admin

import (
	"encoding/json"
	"slices"
	"time"

	"ciscora/internal/printable"
)

// State is how far an enrollment has come.
type State string

// The states. The last four are ends; Challenged is one only for the request,
// since the client comes again.
const (
	Received      State = "received"
	Challenged    State = "challenged"
	Authenticated State = "authenticated"
	Submitted     State = "submitted"
	Issued        State = "issued"
	Pending       State = "pending"
	Denied        State = "denied"
	Failed        State = "failed"
)

var states = []State{Received, Challenged, Authenticated, Submitted, Issued, Pending, Denied, Failed}

// Enrollment is what is known of one enrollment. It holds no secret.
type Enrollment struct {
	ID         string    `json:"id"`
	CN         string    `json:"cn"`
	Label      string    `json:"label"`
	Template   string    `json:"template"`
	Identity   string    `json:"identity"` // who asks, such as LAB\alice
	Client     string    `json:"client"`   // address and port
	UserAgent  string    `json:"user_agent"`
	State      State     `json:"state"`
	Finished   bool      `json:"finished"`   // the client has its answer
	ESTStatus  int       `json:"est_status"` // of that answer; 0 = none yet
	ReqID      int       `json:"req_id"`     // the CA's number; 0 = none yet
	Challenged bool      `json:"challenged"` // the client was asked for credentials
	Error      string    `json:"error"`      // one line; "" = none
	Started    time.Time `json:"started"`
	// Duration is from Started to the answer; took_ms in JSON.
	Duration time.Duration `json:"-"`
	Legs     []Leg         `json:"legs"`
	Next     string        `json:"next,omitempty"` // where it was waited for: the cursor of the wait for the next
}

// Leg is one exchange of an enrollment with the CA.
type Leg struct {
	Name     string        `json:"name"` // such as login or submit
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"-"`      // took_ms in JSON
	Limit    time.Duration `json:"-"`      // that it took too long for; 0 = it did not
	Status   int           `json:"status"` // HTTP; 0 = no answer
	Bytes    int           `json:"bytes"`  // of the answer's body
	Error    string        `json:"error"`
}

// took is how long something took, in milliseconds with microseconds as decimals.
type took struct {
	Took     float64 `json:"took_ms"`
	Duration float64 `json:"duration_ms"` // by its older name
}

func tookOf(d time.Duration) took { return took{milliseconds(d), milliseconds(d)} }

// MarshalJSON adds how long it took.
func (e Enrollment) MarshalJSON() ([]byte, error) {
	type plain Enrollment
	if e.Legs == nil {
		e.Legs = []Leg{}
	}
	return json.Marshal(struct {
		plain
		took
	}{plain(e), tookOf(e.Duration)})
}

// MarshalJSON adds how long it took.
func (l Leg) MarshalJSON() ([]byte, error) {
	type plain Leg
	return json.Marshal(struct {
		plain
		took
	}{plain(l), tookOf(l.Duration)})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ended tells whether nothing more is to come.
func (e *Enrollment) ended() bool { return e.Finished && e.State != Challenged }

const (
	maxText = 512 // bytes of one text: names and user agents come from outside
	maxLegs = 64
)

// bound cuts what came from outside.
func (e *Enrollment) bound() {
	for _, field := range []*string{&e.CN, &e.Label, &e.Template, &e.Identity, &e.Client, &e.UserAgent, &e.Error} {
		*field = printable.Cut(*field, maxText)
	}
	if len(e.Legs) > maxLegs {
		e.Legs = e.Legs[:maxLegs]
	}
	for i := range e.Legs {
		e.Legs[i].Name, e.Legs[i].Error = printable.Cut(e.Legs[i].Name, maxText), printable.Cut(e.Legs[i].Error, maxText)
	}
}

func (e *Enrollment) clone() Enrollment {
	c := *e
	c.Legs = slices.Clone(e.Legs)
	return c
}
