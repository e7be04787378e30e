package server

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"ciscora/ra"
	"ciscora/ra/admin"
	"ciscora/ra/ledger"
)

// Ready tells whether the RA has logged in and holds the CA's chain.
func (s *Server) Ready() ra.Readiness { return s.core.Ready() }

// readiness tells whether an enrollment would work now, as far as it is known.
func (s *Server) readiness() admin.Readiness {
	r := s.core.Ready()
	if s.draining.Load() {
		r.Ready, r.Reason = false, drains
	}
	return admin.Readiness{Ready: r.Ready, Reason: r.Reason, Since: r.Since}
}

const drains = "the RA is being ended: it takes no new clients soon"

// serving tells whether a balancer should send clients here: while it has the chain and
// does not drain. Without the ledger, or the CA, it still serves the chain, and says 503
// and when to come back; where all replicas went out at once clients would be told nothing.
// A ledger that a newer replica has brought up to date has that one to serve them; it has
// just started, and no balancer knows of it yet: so long this one says 503 and when to
// come back, too.
func (s *Server) serving() admin.Readiness {
	ready, unusable := s.core.Ready(), s.ledger.Unusable()
	if unusable == nil {
		s.outgrown.Store(nil)
	}
	switch {
	case s.draining.Load():
		return admin.Readiness{Reason: drains}
	case unusable != nil && s.outlived(s.config.EST.DrainDelay):
		return admin.Readiness{Reason: unusable.Error()}
	case ready.Since.IsZero():
		return admin.Readiness{Reason: "there is no CA chain yet: " + ready.Reason}
	default:
		return admin.Readiness{Ready: true, Since: ready.Since}
	}
}

// outlived tells whether the ledger has been of no use for so long, as far as was asked.
func (s *Server) outlived(patience time.Duration) bool {
	now := s.now()
	if s.outgrown.CompareAndSwap(nil, &now) {
		s.log.Info("this replica is out of date: load balancers are told after est.drain_delay, when they know its successor", zap.Duration("drain_delay", patience))
	}
	since := s.outgrown.Load()
	return since != nil && now.Sub(*since) >= patience
}

// awaitEnd returns when the ports are to close.
func (s *Server) awaitEnd(ctx, serving context.Context) {
	select {
	case <-ctx.Done():
	case <-serving.Done(): // one of those that serve has failed
		return
	}
	s.draining.Store(true)
	delay := s.config.EST.DrainDelay
	s.log.Info("ending: load balancers are told, then the ports close", zap.Duration("drain_delay", delay), zap.Duration("drain", s.config.EST.Drain))
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-serving.Done():
	}
}

// lookAtLedger ends the RA where no waiting makes its ledger one of this version. That a
// server is away the core tells, and goes on.
func (s *Server) lookAtLedger(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	if err := s.ledger.Ready(ctx); errors.Is(err, ledger.ErrUnusable) {
		return s.config.Problem("ledger.dsn", err)
	}
	return nil
}

// firstLook is how long the first look at the ledger may take: several hosts may be away.
const firstLook = 30 * time.Second
