// Package revocation finds out whether client certificates are revoked: by CRLs from
// files and from the certificates' distribution points (RFC 5280), and by OCSP
// (RFC 6960) where no CRL tells.
package revocation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"ciscora/internal/bounded"
	"ciscora/internal/owner"
	"ciscora/internal/watched"
)

const (
	verdictLife = time.Minute // of what was found out about a certificate
	maxVerdicts = 10_000
	maxCRLs     = 64                 // from distribution points, at a time
	keepCRLs    = 7 * 24 * time.Hour // one that cannot be fetched anew
	maxRefresh  = 30 * time.Minute   // then a CRL is fetched anew, however long it is good
	clockSkew   = 5 * time.Minute
	minRefresh  = time.Minute
)

// Options is what a [Checker] is made of.
type Options struct {
	// Files are CRLs, in DER or PEM. They are read again when they change.
	Files []string
	// Hard refuses certificates of which nothing can be found out; else they pass,
	// with a line in the log.
	Hard      bool
	Transport http.RoundTripper // to distribution points and responders; nil: the system's, with its proxies
	Now       func() time.Time
	Logger    *zap.Logger
}

// Checker tells which certificates are revoked. It is safe for concurrent use.
type Checker struct {
	hard bool
	http *http.Client
	now  func() time.Time
	log  *zap.Logger

	files    *watched.Value[[]*list]
	verdicts *bounded.Map[[sha256.Size]byte, verdict]
	points   *bounded.Map[string, point]           // by pointKey
	answers  *bounded.Map[[sha256.Size]byte, said] // the newest of responders, by issuer's key and certificate
	learning sync.Mutex                            // one answer at a time is compared with the one before it

	background *owner.Owner
	flights    singleflight.Group // one question to each URL, or about each certificate
}

// verdict is what was found out about a chain.
type verdict struct{ err error }

// point is what a distribution point gave: a CRL, or why there is none.
type point struct {
	list    *list
	err     error
	refresh time.Time // when it is asked again
}

// RevokedError says that a certificate is revoked.
type RevokedError struct {
	Certificate *x509.Certificate
	At          time.Time
}

func (e *RevokedError) Error() string {
	return fmt.Sprintf("the certificate %q (serial number %x) was revoked at %s", e.Certificate.Subject, e.Certificate.SerialNumber, e.At.UTC().Format(time.RFC3339))
}

// UnknownError says that nothing can be found out about a certificate.
type UnknownError struct {
	Certificate *x509.Certificate
	Err         error // why, of each place that was asked
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("whether the certificate %q (serial number %x) is revoked cannot be found out: %v", e.Certificate.Subject, e.Certificate.SerialNumber, e.Err)
}

func (e *UnknownError) Unwrap() error { return e.Err }

// New reads the files; an error names the one that is no good.
func New(o Options) (*Checker, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	c := &Checker{
		hard: o.Hard, http: newHTTPClient(o.Transport), now: o.Now, log: o.Logger,
		verdicts: bounded.New[[sha256.Size]byte, verdict](maxVerdicts, verdictLife, o.Now),
		points:   bounded.New[string, point](maxCRLs, keepCRLs, o.Now),
		answers:  bounded.New[[sha256.Size]byte, said](maxVerdicts, keepCRLs, o.Now),
	}
	var err error
	c.files, err = watched.Open(watched.Source[[]*list]{
		Files: func() []string { return o.Files },
		Read:  func() ([]*list, error) { return readFiles(o.Files) },
		Now:   o.Now,
		Changed: func(all []*list) {
			c.verdicts.Clear()
			c.log.Info("CRLs read anew", zap.Int("crls", len(all)))
		},
		Failed: func(err error) { c.log.Error("a changed CRL is not taken, the old ones stay", zap.Error(err)) },
	})
	if err != nil {
		return nil, err
	}
	c.background = owner.New()
	return c, nil
}

// Close ends what is asked in the background.
func (c *Checker) Close() {
	c.background.Close()
	c.http.CloseIdleConnections()
}

// Check returns nil where the first certificate of one of these chains, all of which
// are verified, may be trusted: none below the trust anchor is revoked. One chain that is
// good is enough (RFC 5280 §6), unless the first certificate itself is revoked on another;
// a revoked one weighs more than one of which nothing can be found out. Its errors are
// [*RevokedError], [*UnknownError] where that is refused, or that of ctx. What was found
// out lately is not asked again.
func (c *Checker) Check(ctx context.Context, chains [][]*x509.Certificate) error {
	if len(chains) == 0 {
		return errNoChain
	}
	answers := make([]error, len(chains))
	var all sync.WaitGroup
	for i, chain := range chains { // together: a client does not wait for one after another
		all.Go(func() { answers[i] = c.checkChain(ctx, chain) })
	}
	all.Wait()
	var good bool
	var revoked, unknown error
	for i, chain := range chains {
		err := answers[i]
		refused, isRevoked := errors.AsType[*RevokedError](err)
		_, isUnknown := errors.AsType[*UnknownError](err)
		switch {
		case err == nil:
			good = true
		case isRevoked && refused.Certificate.Equal(chain[0]):
			return err
		case isRevoked:
			revoked = cmp.Or(revoked, err)
		case isUnknown:
			unknown = cmp.Or(unknown, err)
		default:
			return err
		}
	}
	switch {
	case good:
		return nil
	case revoked != nil:
		return revoked
	case c.hard:
		return unknown
	}
	return nil
}

// errNoChain is for who has not verified before: nothing is known of such a certificate.
var errNoChain = errors.New("there is no verified chain to ask about")

func (c *Checker) checkChain(ctx context.Context, chain []*x509.Certificate) error {
	files := c.files.Get() // first: a changed one clears the verdicts
	key := sha256.New()
	for _, cert := range chain {
		key.Write(cert.Raw)
	}
	known := [sha256.Size]byte(key.Sum(nil))
	if v, ok := c.verdicts.Get(known); ok {
		return v.err
	}
	// Several connections of one client ask at once; each may hang up on its own.
	result := make(chan error, 1)
	detached, done := c.background.Detach(ctx)
	c.background.Go(func() {
		defer done()
		_, err, _ := c.flights.Do("chain "+string(known[:]), func() (any, error) {
			if v, ok := c.verdicts.Get(known); ok {
				return nil, v.err
			}
			bound, cancel := context.WithTimeout(detached, checkTimeout)
			defer cancel()
			err := c.ask(bound, files, chain)
			if detached.Err() == nil {
				c.verdicts.Put(known, verdict{err})
				c.tell(err)
			}
			return nil, err
		})
		result <- err
	})
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tell logs a new verdict, once as long as it stands.
func (c *Checker) tell(err error) {
	revoked, unknown := (*RevokedError)(nil), (*UnknownError)(nil)
	switch {
	case errors.As(err, &revoked):
		c.log.Warn("a client certificate is revoked", zap.Error(err))
	case errors.As(err, &unknown) && c.hard:
		c.log.Warn("a client certificate is refused (est.revocation: hard)", zap.Error(err))
	case errors.As(err, &unknown):
		c.log.Warn("a client certificate passes (est.revocation: soft)", zap.Error(err))
	}
}

// ask looks at each certificate below the trust anchor. One that is revoked decides,
// wherever nothing can be found out.
func (c *Checker) ask(ctx context.Context, files []*list, chain []*x509.Certificate) error {
	var unknown error
	for i := range len(chain) - 1 {
		err := c.askOne(ctx, files, chain[i], chain[i+1])
		if revoked, ok := errors.AsType[*RevokedError](err); ok {
			return revoked
		}
		if err != nil && unknown == nil {
			unknown = &UnknownError{Certificate: chain[i], Err: err}
		}
	}
	return unknown
}

// askOne asks in turn what there is: CRLs of files, distribution points, OCSP. A place
// that knows decides; else the error has what each of them said.
func (c *Checker) askOne(ctx context.Context, files []*list, cert, issuer *x509.Certificate) error {
	now := c.now()
	var said []error
	decided := func(err error) bool {
		_, revoked := errors.AsType[*RevokedError](err)
		return err == nil || revoked
	}
	for _, l := range files {
		if l.covers(cert, issuer) != nil {
			continue
		}
		err := l.status(cert, now)
		if decided(err) {
			return err
		}
		said = append(said, fmt.Errorf("the CRL of est.crls: %w", err))
	}
	for _, address := range cert.CRLDistributionPoints {
		if !fetchable(address) {
			said = append(said, fmt.Errorf("%s: only http and https are asked", address))
			continue
		}
		err := c.askPoint(ctx, address, cert, issuer)
		if decided(err) {
			return err
		}
		said = append(said, fmt.Errorf("%s: %w", address, err))
	}
	for _, address := range cert.OCSPServer {
		if !fetchable(address) {
			continue
		}
		err := c.askOCSP(ctx, address, cert, issuer)
		if decided(err) {
			return err
		}
		said = append(said, fmt.Errorf("OCSP at %s: %w", address, err))
	}
	if said == nil {
		return errors.New("no CRL of est.crls is its issuer's, and it names no distribution point and no responder")
	}
	return errors.Join(said...)
}

// askPoint looks into the CRL of a distribution point, which is fetched before it ends.
func (c *Checker) askPoint(ctx context.Context, address string, cert, issuer *x509.Certificate) error {
	key := pointKey(address, issuer)
	p, known := c.points.Get(key)
	now := c.now()
	good := func(l *list) error { return l.covers(cert, issuer) }
	switch {
	case !known || now.After(p.refresh) && (p.err != nil || p.list.current(now) != nil):
		p = c.fetchPoint(ctx, address, key, good)
	case now.After(p.refresh): // it is good still: nobody need wait
		detached, done := c.background.Detach(ctx)
		c.background.Go(func() {
			defer done()
			c.fetchPoint(detached, address, key, good)
		})
	}
	if p.err != nil {
		return p.err
	}
	if err := p.list.covers(cert, issuer); err != nil {
		return err
	}
	return p.list.status(cert, now)
}

// pointKey is what a distribution point's CRL is kept by: what is none of one issuer's key
// may be another's of the same name, as after a CA's renewal.
func pointKey(address string, issuer *x509.Certificate) string {
	return fmt.Sprintf("%s %x", address, sha256.Sum256(issuer.RawSubjectPublicKeyInfo))
}

// fetchPoint fetches a CRL, and keeps it, or the one before it as long as that is good:
// also where the new one is older, or is not, as good says, the issuer's, since who sits
// between may send what it likes.
func (c *Checker) fetchPoint(ctx context.Context, address, key string, good func(*list) error) point {
	fetched, _, _ := c.flights.Do("CRL "+key, func() (any, error) {
		now := c.now()
		p := point{refresh: now.Add(minRefresh)}
		data, err := c.fetch(ctx, address, "", nil, maxCRL)
		if err == nil {
			p.list, err = firstList(data)
		}
		old, known := c.points.Get(key)
		known = known && old.err == nil
		if err == nil {
			// One that begins later would keep out those that are right.
			if err = good(p.list); err == nil && now.Add(clockSkew).Before(p.list.ThisUpdate) {
				err = fmt.Errorf("it begins only at %s", p.list.ThisUpdate.Format(time.RFC3339))
			}
			if err == nil && known && p.list.ThisUpdate.Before(old.list.ThisUpdate) {
				err = errOlder
			}
		}
		if p.err = err; err != nil {
			if known {
				c.log.Warn("a CRL could not be fetched anew, the old one counts as long as it is good", zap.String("url", address), zap.Error(err))
				p.list, p.err = old.list, nil
			}
		} else {
			p.refresh = refreshAt(p.list, now)
		}
		if ctx.Err() == nil {
			c.points.Put(key, p)
		}
		return p, nil
	})
	return fetched.(point)
}

var errOlder = errors.New("it is older than the one before it")

func firstList(data []byte) (*list, error) {
	all, err := parseLists(data)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// refreshAt is when three quarters of what is left of a CRL have passed, or maxRefresh.
func refreshAt(l *list, now time.Time) time.Time {
	wait := maxRefresh
	if !l.NextUpdate.IsZero() {
		wait = min(wait, l.NextUpdate.Sub(now)*3/4)
	}
	return now.Add(max(wait, minRefresh))
}
