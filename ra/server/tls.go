package server

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"go.uber.org/zap"

	"ciscora/config"
	"ciscora/internal/watched"
)

// ticketLife is how long sessions are encrypted under one key.
const ticketLife = 24 * time.Hour

// liveTLS is the EST listener's TLS configuration, made anew when a file that it
// comes from has changed. Files that are no good leave the old one in place.
// Sessions of an older configuration are not resumed: what a client was trusted
// for then may not hold any more.
type liveTLS struct{ made *watched.Value[madeTLS] }

type madeTLS struct {
	config *tls.Config
	files  config.ESTFiles // that it is made of
}

func newLiveTLS(cfg *config.RA, files config.ESTFiles, now func() time.Time, log *zap.Logger) (*liveTLS, error) {
	first := true
	made, err := watched.Open(watched.Source[madeTLS]{
		Files: cfg.ESTFileNames,
		Read: func() (madeTLS, error) {
			var err error
			if !first { // those have been read
				if files, err = cfg.ESTFiles(); err != nil {
					return madeTLS{}, err
				}
			}
			first = false
			c, err := frontEndTLS(cfg, files, now)
			return madeTLS{c, files}, err
		},
		Life: ticketLife,
		Now:  now,
		Changed: func(m madeTLS) {
			leaf := m.files.Certificates[0].Leaf
			log.Info("TLS files of EST read anew", zap.String("subject", leaf.Subject.String()), zap.Time("not_after", leaf.NotAfter), zap.Int("trust", len(m.files.Trust)))
		},
		Failed: func(err error) {
			log.Error("the changed TLS files of EST are not taken, the old ones stay", zap.Error(err))
		},
	})
	return &liveTLS{made}, err
}

// listener is what the listener runs with.
func (t *liveTLS) listener() *tls.Config {
	c := t.made.Get().config.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.made.Get().config, nil }
	return c
}

// frontEndTLS makes the listener's TLS configuration: HTTP/1.1 only; of several
// certificates that which the client can use; and a client certificate is asked
// for, and then verified, where there is an EST trust store (RFC 7030 §3.3.2).
func frontEndTLS(cfg *config.RA, files config.ESTFiles, now func() time.Time) (*tls.Config, error) {
	c := &tls.Config{
		Certificates: files.Certificates,
		MinVersion:   uint16(cfg.EST.TLS.Min),
		MaxVersion:   uint16(cfg.EST.TLS.Max),
		NextProtos:   []string{"http/1.1"},
		Time:         now,
		// est wants it, and sets it in the listener's own configuration only.
		DynamicRecordSizingDisabled: true,
	}
	if len(files.Trust) > 0 {
		c.ClientCAs = x509.NewCertPool()
		for _, ca := range files.Trust {
			c.ClientCAs.AddCert(ca)
		}
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, fmt.Errorf("read randomness for session tickets: %w", err)
	}
	c.SetSessionTicketKeys([][32]byte{key})
	return c, nil
}
