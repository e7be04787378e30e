package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"sync"
	"time"

	"ciscora/est"
	"ciscora/msca"
	"ciscora/ra"
)

// Party is who takes part in an enrollment.
type Party int

// The parties, from left to right.
const (
	PartyPhone Party = iota
	PartyRA
	PartyCA
)

// Step is one message of an enrollment that has gone its way.
type Step struct {
	Enrollment string // id of the EST request
	Operation  string // simpleenroll; empty where the path names none
	Device     string // CN of the CSR, once it is known
	ReqID      int    // of the CA, once it is known
	From, To   Party
	Text       string        // "POST /simpleenroll", "log in", "401, send credentials"
	Detail     string        // "ReqID 7"; may be empty
	Took       time.Duration // of the exchange with the CA, or of the request; 0 for a message that starts one
	Failed     bool
}

// stepper turns the events of front end and core into steps. The start-up's
// events carry no enrollment and are not among them.
type stepper struct {
	watch func(Step)

	mu    sync.Mutex // guards known
	known map[string]known
}

// known is what steps of one enrollment have told so far.
type known struct {
	operation, device string
	reqID             int
	refused           bool // credentials were shown, and not taken
	submitted         bool // the CSR went to the CA
}

func steps(watch func(Step)) func(context.Context, any) {
	return (&stepper{watch: watch, known: map[string]known{}}).event
}

func (s *stepper) event(ctx context.Context, event any) {
	id := est.RequestID(ctx)
	if id == "" {
		return
	}
	switch e := event.(type) {
	case est.Received:
		s.learn(id, func(k *known) { k.operation = e.Operation })
		s.tell(id, Step{From: PartyPhone, To: PartyRA, Text: e.Method + " /" + path.Base(e.Path)})
	case est.AuthenticationFailed:
		s.learn(id, func(k *known) { k.refused = true })
	case ra.Enrolling:
		s.learn(id, func(k *known) { k.device = e.CN })
	case ra.Leg:
		if e.ReqID != 0 {
			s.learn(id, func(k *known) { k.reqID = e.ReqID })
		}
		step := legStep(e)
		if e.Phase == msca.PhaseSubmit {
			s.learn(id, func(k *known) { k.submitted = true })
		}
		if isLookAhead(e) && !s.of(id).submitted {
			step.Failed, step.Detail = false, "no such request yet, as it should be"
		}
		s.tell(id, step)
	case est.Answered:
		s.tell(id, answerStep(e, s.of(id).refused))
		s.mu.Lock()
		delete(s.known, id)
		s.mu.Unlock()
	}
}

// learn keeps what later steps of the enrollment tell too.
func (s *stepper) learn(id string, change func(*known)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[id]
	change(&k)
	s.known[id] = k
}

func (s *stepper) of(id string) known {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[id]
}

func (s *stepper) tell(id string, step Step) {
	k := s.of(id)
	step.Enrollment, step.Operation, step.Device, step.ReqID = id, k.operation, k.device, k.reqID
	s.watch(step)
}

// isLookAhead tells whether the CA was asked for a number that it has not given yet: before
// a POST the RA looks where the numbers end.
func isLookAhead(e ra.Leg) bool {
	var ca *msca.Error
	return e.Phase == msca.PhaseFetch && errors.As(e.Err, &ca) && ca.Kind == msca.KindUnknownRequest
}

func legStep(e ra.Leg) Step {
	s := Step{From: PartyRA, To: PartyCA, Took: e.Duration, Failed: e.Err != nil}
	page := string(e.Phase)
	if u, err := url.Parse(e.URL); err == nil {
		page = path.Base(u.Path)
	}
	switch e.Phase {
	case msca.PhaseResolve:
		s.Text = "resolve the name"
	case msca.PhaseConnect:
		s.Text = "connect"
	case msca.PhaseHandshake:
		s.Text = "TLS handshake"
	case msca.PhaseSubmit:
		s.Text = "POST " + page
	case msca.PhaseLogin:
		s.Text = "GET " + page + " (NTLM log-in)"
	default:
		s.Text = "GET " + page
	}
	switch {
	case e.Err != nil:
		s.Detail = e.Err.Error()
	case e.ReqID != 0:
		s.Detail = fmt.Sprintf("ReqID %d", e.ReqID)
	}
	return s
}

// answerStep tells more than the client is told: who looks at a lab wants to know why.
func answerStep(e est.Answered, refused bool) Step {
	s := Step{From: PartyRA, To: PartyPhone, Took: e.Duration, Failed: refused || e.Status >= http.StatusBadRequest && e.Status != http.StatusUnauthorized}
	s.Text = fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	switch e.Status {
	case http.StatusOK:
		s.Detail = fmt.Sprintf("%d bytes", e.Bytes)
	case http.StatusUnauthorized:
		if !refused && (e.Err == nil || e.Bytes == 0) {
			s.Detail = "who are you?"
		}
	}
	if s.Detail == "" && e.Err != nil {
		s.Detail = cmp.Or(errors.Unwrap(e.Err), e.Err).Error()
	}
	return s
}
