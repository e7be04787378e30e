package server

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"ciscora/config"
	"ciscora/est"
	"ciscora/internal/watched"
	"ciscora/internal/x501"
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
			log.Info("TLS files of EST read anew", zap.String("subject", x501.Text(leaf.RawSubject)), zap.Time("not_after", leaf.NotAfter), zap.Int("trust", len(m.files.Trust)))
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

// leaves are the certificates that the listener shows.
func (t *liveTLS) leaves() (all []*x509.Certificate) {
	for _, c := range t.made.Get().files.Certificates {
		all = append(all, c.Leaf)
	}
	return all
}

// frontEndTLS makes the listener's TLS configuration: no HTTP/2; of several
// certificates the cheapest one that the client can use; and a client certificate is asked
// for, and then verified, where there is an EST trust store (RFC 7030 §3.3.2).
func frontEndTLS(cfg *config.RA, files config.ESTFiles, now func() time.Time) (*tls.Config, error) {
	certificates := cheapestFirst(files.Certificates)
	c := &tls.Config{
		Certificates:   certificates,
		GetCertificate: choose(certificates),
		MinVersion:     uint16(cfg.EST.TLS.Min),
		MaxVersion:     uint16(cfg.EST.TLS.Max),
		NextProtos:     est.NextProtos(),
		Time:           now,
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

// cheapestFirst puts certificates of ECDSA before the others, of which RSA's cost some
// ten times as much for each handshake.
func cheapestFirst(all []tls.Certificate) []tls.Certificate {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b tls.Certificate) int { return cost(a) - cost(b) })
	return sorted
}

func cost(c tls.Certificate) int {
	if c.Leaf != nil && c.Leaf.PublicKeyAlgorithm == x509.ECDSA {
		return 0
	}
	return 1
}

// choose returns what chooses among certificates by what the client can, whatever name
// it asks for: by itself crypto/tls takes the first one, which not every client can
// use, where the name is in none, as a CN alone is not.
func choose(certificates []tls.Certificate) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		nameless := *hello
		nameless.ServerName = ""
		for i := range certificates {
			if nameless.SupportsCertificate(&certificates[i]) == nil {
				return &certificates[i], nil
			}
		}
		return &certificates[0], nil // the handshake says what is wrong
	}
}
