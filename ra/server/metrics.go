package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"ciscora/est"
	"ciscora/msca"
	"ciscora/ra"
	"ciscora/ra/access"
	"ciscora/ra/metrics"
)

// counter tells the metrics what happened.
type counter struct {
	metrics    *metrics.Metrics
	challenged sync.Map // ids of requests that were asked for credentials and are under way
}

func (c *counter) event(_ context.Context, event any) {
	m := c.metrics
	switch e := event.(type) {
	case est.ConnectionOpened:
		m.Opened()
	case est.ConnectionClosed:
		m.Closed()
	case est.Received:
		m.Received()
	case est.Challenged:
		c.challenged.Store(e.ID, nil)
	case est.Answered:
		m.Answered()
		_, challenged := c.challenged.LoadAndDelete(e.ID)
		m.Enrolled(e.Received.Operation, outcome(e, challenged), e.Duration)
	case ra.Leg:
		kind := ""
		if e.Err != nil {
			kind = string(kindOf(e.Err))
		}
		m.Leg(string(e.Phase), kind, e.Duration)
		if e.Phase == msca.PhaseLogin {
			m.Login(e.Err == nil, kind == string(msca.KindAuthRejected))
		}
	case ra.Recovered:
		m.Lost(metrics.Recovered)
	case ra.Found:
		m.Lost(metrics.Found)
	case ra.NeverArrived:
		m.Lost(metrics.NeverArrived)
	case ra.PossibleOrphan:
		m.Lost(metrics.PossibleOrphan)
	}
}

// kindOf is what went wrong at the CA; "http" where it is not told.
func kindOf(err error) msca.Kind {
	var ca *msca.Error
	if errors.As(err, &ca) {
		return ca.Kind
	}
	return msca.KindHTTP
}

// outcome is what came of a request to enroll: by what the CA said, where it said
// something, and else by the answer. In the profile of CES many things are a 401.
func outcome(e est.Answered, challenged bool) string {
	var ca *msca.Error
	switch {
	case challenged:
		return metrics.Challenged
	case e.Status == 0, e.Status == http.StatusOK && !e.Delivered:
		return metrics.Gone
	case e.Status == http.StatusOK:
		return metrics.Issued
	case e.Status == http.StatusAccepted:
		return metrics.Pending
	case errors.As(e.Err, &ca):
		switch ca.Kind {
		case msca.KindDenied, msca.KindTemplateNotListed, msca.KindForbidden, msca.KindRevoked:
			return metrics.Denied
		case msca.KindPending:
			return metrics.Pending
		case msca.KindAuthRejected:
			return metrics.Refused
		case msca.KindTimeout:
			return metrics.Timeout
		case msca.KindBadCSR, msca.KindInput:
			return metrics.BadRequest
		case msca.KindCanceled:
			return metrics.Gone
		}
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return metrics.Refused
	case http.StatusForbidden:
		return metrics.Denied
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return metrics.Busy
	case http.StatusGatewayTimeout:
		return metrics.Timeout
	}
	if e.Status < http.StatusInternalServerError {
		return metrics.BadRequest
	}
	return metrics.Failed
}

// metricsLook bounds what who asks for metrics waits for the ledger.
const metricsLook = 3 * time.Second

// state is what the metrics show when somebody asks.
func (s *Server) state() metrics.State {
	q := s.core.Queue()
	state := metrics.State{
		Ready: s.readiness().Ready, Serving: s.serving().Ready,
		CAInFlight: q.InFlight, WaitingClients: q.Waiting, WaitingBackground: q.Background, CADown: q.Down,
		OwnAccountRefused: s.core.OwnRefusal() != nil,
		Closed:            map[string]int{},
		Certificates:      map[string]time.Time{},
		Disagreements:     len(s.replicas.disagreements()),
	}
	for _, c := range s.leaves() {
		first(state.Certificates, "est", c.NotAfter)
	}
	chain := s.core.Chain()
	for i, c := range chain {
		kind := "intermediate_ca"
		switch {
		case i == 0:
			kind = "issuing_ca"
		case i == len(chain)-1:
			kind = "root_ca"
		}
		first(state.Certificates, kind, c.NotAfter)
	}
	ctx, cancel := context.WithTimeout(context.Background(), metricsLook)
	defer cancel()
	for _, door := range s.closedDoors(ctx) {
		state.Closed[door.Kind]++
	}
	if summary, err := s.ledger.Summary(ctx); err == nil {
		state.Ledger = &metrics.Ledger{PossibleOrphans: summary.Orphans, Pending: summary.Pending, Lost: summary.Lost}
		if summary.Pending > 0 {
			state.Ledger.PendingLongest = s.now().Sub(summary.PendingSince)
		}
		if all, err := s.ledger.Replicas(ctx); err == nil {
			for _, r := range all {
				if r.Live {
					state.Ledger.Replicas++
				}
			}
		}
	}
	return state
}

// closedDoors are those that are closed after wrong passwords; none where the ledger
// cannot tell.
func (s *Server) closedDoors(ctx context.Context) []access.LockedOut {
	all, err := s.core.LockedOut(ctx)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(door access.LockedOut) bool { return !door.Closed })
}

func first(ends map[string]time.Time, kind string, end time.Time) {
	if was, ok := ends[kind]; !ok || end.Before(was) {
		ends[kind] = end
	}
}
