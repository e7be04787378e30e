package server

import (
	"crypto/x509"
	"errors"
	"time"

	"go.uber.org/zap"

	"ciscora/config"
	"ciscora/internal/watched"
)

// caTrust is the web trust store.
type caTrust struct {
	roots   *x509.CertPool
	anchors []*x509.Certificate
}

// newLiveTrust returns the web trust store as its files have it now. Files that are no
// good leave the old one in place.
func newLiveTrust(cfg *config.RA, now func() time.Time, log *zap.Logger) (func() (*x509.CertPool, []*x509.Certificate), error) {
	live, err := watched.Open(watched.Source[caTrust]{
		Files: func() []string { return cfg.CA.Trust },
		Read: func() (caTrust, error) {
			all, err := cfg.CATrust()
			if err != nil {
				return caTrust{}, err
			}
			trust := caTrust{x509.NewCertPool(), all}
			for _, c := range all {
				trust.roots.AddCert(c)
			}
			return trust, nil
		},
		Now:     now,
		Changed: func(t caTrust) { log.Info("web trust store read anew", zap.Int("certificates", len(t.anchors))) },
		Failed: func(err error) {
			log.Error("the changed web trust store is not taken, the old one stays (ca.trust)", zap.Error(err))
		},
	})
	return func() (*x509.CertPool, []*x509.Certificate) {
		t := live.Get()
		return t.roots, t.anchors
	}, err
}

// Reload is for an administrator who has changed files and wants to know that they
// count: it opens the logs anew, whose files may have been moved away, and reads all
// files that are read again when they change, of which the log tells. The configuration
// itself is not read again. What is in flight goes on.
func (s *Server) Reload() {
	logs := s.trace.reopen()
	for _, look := range s.look {
		look()
	}
	if err := errors.Join(logs, s.config.Check()); err != nil {
		s.log.Error("reload: what is wrong stays as it was, the rest counts", zap.Error(err))
		return
	}
	s.log.Info("reload: logs opened anew, changed files of certificates, trust, users and credentials count; ra.yaml itself takes a restart")
}
