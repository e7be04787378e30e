package ra_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra"
)

var (
	varyingSeeds = flag.Int("seeds", 12, "with TestVarying: enroll at so many CAs that vary")
	varyingSeed  = flag.Uint64("seed", 1, "the first of them")
)

// keyPool makes keys once for all CAs; one CA gets no key twice.
type keyPool struct {
	mu   sync.Mutex
	keys map[string][]crypto.Signer
}

func (p *keyPool) key(kind string, n int) (crypto.Signer, error) {
	if kind == "rsa4096" && n > 1 { // such a key takes a second
		kind, n = "rsa2048", n-2
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.keys[kind]) <= n {
		var key crypto.Signer
		var err error
		switch kind {
		case "rsa4096":
			key, err = rsa.GenerateKey(rand.Reader, 4096)
		case "rsa2048":
			key, err = rsa.GenerateKey(rand.Reader, 2048)
		case "ec384":
			key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		default:
			key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		}
		if err != nil {
			return nil, err
		}
		p.keys[kind] = append(p.keys[kind], key)
	}
	return p.keys[kind][n], nil
}

// each returns what makes the keys of one CA.
func (p *keyPool) each() func(string) (crypto.Signer, error) {
	n := map[string]int{}
	return func(kind string) (crypto.Signer, error) {
		n[kind]++
		return p.key(kind, n[kind]-1)
	}
}

// At a CA that does from a seed what the references leave open, everything has to go
// as at any other: run it with -seeds 500, or with the -seed of a failure.
func TestVarying(t *testing.T) {
	pool := &keyPool{keys: map[string][]crypto.Signer{}}
	for i := range uint64(*varyingSeeds) {
		seed := *varyingSeed + i
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			manner := certsrv.MannerOf(seed)
			for name, p := range map[string]profile{"modern": modern, "cucm-12.5": cucm} {
				v := varying{seed: seed, manner: manner, listed: name == "cucm-12.5", t: t, keys: pool}
				v.enroll(name, p)
			}
			if t.Failed() {
				t.Logf("go test ./ra -run TestVarying -seeds 1 -seed %d\n%s", seed, manner)
			}
		})
	}
}

type varying struct {
	seed   uint64
	manner certsrv.Manner
	listed bool // the profile looks for the template on the page, and reads the oldest chain
	t      *testing.T
	keys   *keyPool
}

func (v varying) enroll(name string, p profile) {
	t := v.t
	var f *fixture
	f = newFixture(t, func(o *ra.Options) {
		p(o)
		if v.listed {
			o.CA.NameCheck = msca.NameCheckCurl
			roots := o.CA.TLS.RootCAs
			o.CA.Trust = func() (*x509.CertPool, []*x509.Certificate) {
				if f == nil {
					return roots, nil // it looks whether there are any, before the CA can be asked for them
				}
				return roots, []*x509.Certificate{f.ca.Server.Root()}
			}
		}
		o.Access.Lockout.Failures = 10
		o.Labels["forbidden"] = ra.Label{Template: "Forbidden"}
	}, supervised, func(o *certsrv.Options) {
		o.Manner, o.NewKey = v.manner, v.keys.each()
		o.Templates = append(o.Templates, certsrv.Template{Name: "Forbidden", SubjectFromRequest: true})
		o.Decide = func(_ context.Context, d certsrv.Decision) certsrv.Decision {
			if d.Template == "Forbidden" {
				d.HRESULT = 0x80094012
			}
			return d
		}
		if v.listed {
			o.TLS.Min = tls.VersionTLS12
		}
	})
	fail := func(what string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s", name, fmt.Sprintf(what, args...))
	}
	ask := func(password, label string, csr *x509.CertificateRequest) (*x509.Certificate, int, error) {
		c, err := f.enroll(t.Context(), f.ca.User, password, label, csr)
		return c, status(err), err
	}

	v.chain(f, fail)
	if v.listed && v.manner.EmptyList {
		if _, code, err := ask(f.ca.Password, "", newCSR(t, "phone")); code != http.StatusUnauthorized {
			fail("no template is listed: %d %v, want 401", code, err)
		}
		return
	}
	issuing := f.ca.Server.Chain()[0]
	if c, _, err := ask(f.ca.Password, "", newCSR(t, "SEP001122334455")); err != nil {
		fail("enroll: %v", deep(err))
	} else if err := c.CheckSignatureFrom(issuing); err != nil {
		fail("signed by another CA certificate: %v", err)
	}
	v.pending(f, fail, ask)

	refused := http.StatusForbidden
	if v.listed {
		refused = http.StatusBadRequest
	}
	if _, code, err := ask(f.ca.Password, "forbidden", newCSR(t, "denied")); code != refused {
		fail("denied: %d %v, want %d", code, deep(err), refused)
	} else if e := caError(err); e == nil || e.Kind != msca.KindDenied || e.ReqID != f.lastRequest().ID || !v.manner.BareDenial && e.HRESULT != 0x80094012 {
		fail("denied: %v (%+v), want ReqID %d and 0x80094012", err, e, f.lastRequest().ID)
	}
	unknown := http.StatusForbidden
	if v.listed {
		unknown = http.StatusUnauthorized
	}
	if _, code, err := ask(f.ca.Password, "typo", newCSR(t, "typo")); code != unknown {
		fail("a template that is not there: %d %v, want %d", code, deep(err), unknown)
	}
	if _, code, err := ask("wrong", "", newCSR(t, "phone")); code != http.StatusUnauthorized {
		fail("a wrong password: %d %v, want 401", code, deep(err))
	}
	if _, _, err := ask(f.ca.Password, "", newCSR(t, "SEP001122334466")); err != nil {
		fail("enroll once more: %v", deep(err))
	}
}

// chain looks at /cacerts: the CA certificate that signs now first, or the first one
// with the profile that asks for that, and the root, whatever stands around them.
func (v varying) chain(f *fixture, fail func(string, ...any)) {
	before := f.Ready()
	run(v.t, f.RA)
	select {
	case <-before.Changed:
	case <-time.After(time.Minute):
		fail("the RA does not start")
		return
	}
	chain, err := f.CACerts(v.t.Context(), "", nil)
	root := f.ca.Server.Root()
	switch {
	case err != nil:
		fail("no chain: %v", deep(err))
	case !slices.ContainsFunc(chain, root.Equal):
		fail("/cacerts without the root")
	case chain[0].CheckSignatureFrom(root) != nil:
		fail("/cacerts begins with %s", chain[0].Subject)
	case (!v.listed || v.manner.Renewals == 0) != chain[0].Equal(f.ca.Server.Chain()[0]):
		fail("/cacerts begins with another CA certificate")
	}
}

// pending waits for a manager, and collects.
func (v varying) pending(f *fixture, fail func(string, ...any), ask func(string, string, *x509.CertificateRequest) (*x509.Certificate, int, error)) {
	csr := newCSR(v.t, "supervised")
	for range 2 {
		if _, code, err := ask(f.ca.Password, "supervised", csr); code != http.StatusAccepted {
			fail("pending: %d %v, want 202", code, deep(err))
			return
		}
	}
	if err := f.ca.Server.Approve(f.lastRequest().ID); err != nil {
		fail("approve: %v", err)
		return
	}
	if _, _, err := ask(f.ca.Password, "supervised", csr); err != nil {
		fail("collect: %v", deep(err))
	}
}

func (f *fixture) lastRequest() certsrv.Request {
	all := f.ca.Server.Requests()
	return all[len(all)-1]
}

// caError is the CA's part of an answer; nil = none.
func caError(err error) *msca.Error {
	var e *msca.Error
	errors.As(err, &e)
	return e
}

// deep is an answer with what was behind it.
func deep(err error) error {
	if e := caError(err); e != nil {
		return fmt.Errorf("%w [%s: %w]", err, e.Kind, e)
	}
	return err
}
