package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"ciscora/config"
	"ciscora/ra/ledger"
)

const (
	// replicasEvery is how often a replica looks whether the others are like it.
	replicasEvery = 5 * time.Second
	replicasLook  = 5 * time.Second
)

// replicas is what is not alike in the replicas on one ledger, and must be.
type replicas struct {
	found atomic.Pointer[[]ledger.Disagreement]
}

func (r *replicas) disagreements() []ledger.Disagreement {
	if found := r.found.Load(); found != nil {
		return *found
	}
	return nil
}

func (r *replicas) warnings() (lines []string) {
	for _, d := range r.disagreements() {
		lines = append(lines, d.Text)
	}
	return lines
}

// watchReplicas looks at the other replicas until ctx ends. What is not alike is told
// when it is first seen, and when it is over.
func (s *Server) watchReplicas(ctx context.Context) {
	tick := time.NewTicker(replicasEvery)
	defer tick.Stop()
	for {
		s.lookAtReplicas(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) lookAtReplicas(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, replicasLook)
	defer cancel()
	all, err := s.ledger.Replicas(ctx)
	if err != nil {
		return // the core tells that the ledger is away
	}
	found, before := ledger.Disagreements(all), s.replicas.disagreements()
	s.replicas.found.Store(&found)
	for _, d := range found {
		if !slices.ContainsFunc(before, func(b ledger.Disagreement) bool { return b.Key == d.Key }) {
			s.log.Warn("replicas: " + d.Text)
		}
	}
	if len(found) == 0 && len(before) > 0 {
		s.log.Info("replicas: all are alike again", zap.Int("replicas", len(all)))
	}
}

// aboutOf is what other replicas are told of this one: fingerprints of what two must have
// alike, since a request may be sent to either. Nothing secret is among it.
func aboutOf(cfg *config.RA, version string) ledger.About {
	agree := map[string]string{}
	for key, value := range map[string]any{
		"profile":                 cfg.Profile,
		"ca.url":                  cfg.CA.URL,
		"ca.template":             cfg.CA.Template,
		"ca.template_check":       cfg.CA.TemplateCheck,
		"ca.renewal":              cfg.CA.Renewal,
		"ca.script_timeout":       cfg.CA.ScriptTimeout,
		"est.authentication":      cfg.EST.Authentication,
		"est.dialect":             cfg.EST.Dialect,
		"est.labels":              cfg.EST.Labels,
		"est.policies":            cfg.EST.Policies,
		"est.policy":              cfg.EST.Policy,
		"est.lockout":             cfg.EST.Lockout,
		"est.proof_of_possession": cfg.EST.ProofOfPossession,
		"est.cmc_ra":              cfg.EST.CMCRA,
		"ledger.join":             cfg.Ledger.Join,
		"ledger.retention":        cfg.Ledger.Retention,
	} {
		text, err := json.Marshal(value) // maps in the order of their keys
		if err != nil {
			continue // none of these types fails
		}
		sum := sha256.Sum256(text)
		agree[key] = hex.EncodeToString(sum[:8])
	}
	return ledger.About{Version: version, Agree: agree}
}
