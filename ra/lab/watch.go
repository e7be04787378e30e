package lab

import (
	"context"
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
	known map[string]Step
}

func steps(watch func(Step)) func(context.Context, any) {
	return (&stepper{watch: watch, known: map[string]Step{}}).event
}

func (s *stepper) event(ctx context.Context, event any) {
	id := est.RequestID(ctx)
	if id == "" {
		return
	}
	switch e := event.(type) {
	case est.Received:
		s.tell(id, Step{From: PartyPhone, To: PartyRA, Text: e.Method + " /" + path.Base(e.Path)})
	case ra.Enrolling:
		s.learn(id, func(known *Step) { known.Device = e.CN })
	case ra.Leg:
		if e.ReqID != 0 {
			s.learn(id, func(known *Step) { known.ReqID = e.ReqID })
		}
		s.tell(id, legStep(e))
	case est.Answered:
		s.tell(id, answerStep(e))
		s.mu.Lock()
		delete(s.known, id)
		s.mu.Unlock()
	}
}

// learn keeps what later steps of the enrollment tell too.
func (s *stepper) learn(id string, change func(*Step)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known[id]
	change(&known)
	s.known[id] = known
}

func (s *stepper) tell(id string, step Step) {
	s.mu.Lock()
	known := s.known[id]
	s.mu.Unlock()
	step.Enrollment, step.Device, step.ReqID = id, known.Device, known.ReqID
	s.watch(step)
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

func answerStep(e est.Answered) Step {
	s := Step{From: PartyRA, To: PartyPhone, Took: e.Duration, Failed: e.Status >= http.StatusBadRequest && e.Status != http.StatusUnauthorized}
	s.Text = fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	switch e.Status {
	case http.StatusOK:
		s.Detail = fmt.Sprintf("%d bytes PKCS#7", e.Bytes)
	case http.StatusUnauthorized:
		if e.Err == nil || e.Bytes == 0 {
			s.Detail = "who are you?"
		}
	}
	if s.Detail == "" && e.Err != nil {
		s.Detail = e.Err.Error()
	}
	return s
}
