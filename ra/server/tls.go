package server

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"ciscora/config"
)

const (
	tlsLookEvery = time.Second
	// ticketLife is how long sessions are encrypted under one key.
	ticketLife = 24 * time.Hour
)

// liveTLS is the EST listener's TLS configuration, made anew when a file that it
// comes from has changed. Files that are no good leave the old one in place.
// Sessions of an older configuration are not resumed: what a client was trusted
// for then may not hold any more.
type liveTLS struct {
	cfg *config.RA
	now func() time.Time
	log *zap.Logger

	mu     sync.Mutex // guards all below
	config *tls.Config
	made   time.Time
	looked time.Time
	stamps map[string]fileStamp
}

type fileStamp struct {
	modified time.Time
	size     int64
}

func newLiveTLS(cfg *config.RA, files config.ESTFiles, now func() time.Time, log *zap.Logger) (*liveTLS, error) {
	t := &liveTLS{cfg: cfg, now: now, log: log, stamps: stampsOf(cfg)}
	var err error
	t.config, err = frontEndTLS(cfg, files, now)
	t.made, t.looked = now(), now()
	return t, err
}

// listener is what the listener runs with.
func (t *liveTLS) listener() *tls.Config {
	c := t.current().Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.current(), nil }
	return c
}

// current looks whether a file has changed, at most once a second.
func (t *liveTLS) current() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if now.Sub(t.looked) < tlsLookEvery {
		return t.config
	}
	t.looked = now
	stamps := stampsOf(t.cfg)
	changed := false
	for path, stamp := range stamps {
		changed = changed || t.stamps[path] != stamp
	}
	if !changed && now.Sub(t.made) < ticketLife {
		return t.config
	}
	files, err := t.cfg.ESTFiles()
	var made *tls.Config
	if err == nil {
		made, err = frontEndTLS(t.cfg, files, t.now)
	}
	if err != nil {
		t.log.Error("the changed TLS files of EST are not taken, the old ones stay", zap.Error(err))
		t.stamps = stamps // told once, not each second
		return t.config
	}
	t.config, t.made, t.stamps = made, now, stamps
	if changed {
		leaf := files.Certificates[0].Leaf
		t.log.Info("TLS files of EST read anew", zap.String("subject", leaf.Subject.String()), zap.Time("not_after", leaf.NotAfter), zap.Int("trust", len(files.Trust)))
	}
	return t.config
}

func stampsOf(cfg *config.RA) map[string]fileStamp {
	stamps := map[string]fileStamp{}
	for _, path := range cfg.ESTFileNames() {
		if info, err := os.Stat(path); err == nil {
			stamps[path] = fileStamp{info.ModTime(), info.Size()}
		} else {
			stamps[path] = fileStamp{}
		}
	}
	return stamps
}

// frontEndTLS makes the listener's TLS configuration: HTTP/1.1 only; of several
// certificates the cheapest one that the client can use; and a client certificate is asked
// for, and then verified, where there is an EST trust store (RFC 7030 §3.3.2).
func frontEndTLS(cfg *config.RA, files config.ESTFiles, now func() time.Time) (*tls.Config, error) {
	certificates := cheapestFirst(files.Certificates)
	c := &tls.Config{
		Certificates:   certificates,
		GetCertificate: choose(certificates),
		MinVersion:     uint16(cfg.EST.TLS.Min),
		MaxVersion:     uint16(cfg.EST.TLS.Max),
		NextProtos:     []string{"http/1.1"},
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
