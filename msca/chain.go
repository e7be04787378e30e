package msca

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
)

// Chain gets the CA's certificate and those above it (certnew.p7b): issuing CA
// first, root last, by their issuers, since the order in which they come means
// nothing (docs/reference/certsrv.md 2). With [RenewalNewest] those of earlier renewals
// follow, which have signed what is still valid (RFC 7030 §4.1.3).
func (s *Session) Chain(ctx context.Context) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	renewal := s.client.opts.Renewal
	err := s.page(ctx, PhaseChain, s.chainURL(max(renewal, 0)), func(ctx context.Context, v *visit) (err error) {
		if renewal == RenewalNewest {
			chain, err = s.newestChain(ctx, v)
		} else {
			chain, err = s.oneChain(ctx, v, renewal)
		}
		return err
	})
	return chain, err
}

// newestChain is the chain of the newest renewal, and behind it what earlier ones have
// besides. Where the page does not tell how many there were, the CA is asked for its
// newest, and a CA that does not know that for one after the other.
func (s *Session) newestChain(ctx context.Context, v *visit) ([]*x509.Certificate, error) {
	newest, known, err := s.newestRenewal(ctx, v)
	if err != nil {
		return nil, err
	}
	if !known {
		chain, err := s.oneChain(ctx, v, RenewalNewest)
		if !answered(err) {
			return chain, err
		}
		return s.lastChain(ctx, v)
	}
	chain, err := s.oneChain(ctx, v, newest)
	if err != nil {
		return nil, err
	}
	for n := newest - 1; n >= max(0, newest-maxEarlier); n-- {
		earlier, err := s.oneChain(ctx, v, n)
		switch {
		case answered(err):
			continue // the CA may have thrown it away
		case err != nil:
			return nil, err
		}
		chain = appendNew(chain, earlier)
	}
	return chain, nil
}

// lastChain finds the newest renewal by asking for the first, the second, and so on,
// until the CA has none.
func (s *Session) lastChain(ctx context.Context, v *visit) ([]*x509.Certificate, error) {
	chain, err := s.oneChain(ctx, v, 0)
	if err != nil {
		return nil, err
	}
	for n := 1; n <= maxEarlier; n++ {
		next, err := s.oneChain(ctx, v, n)
		switch {
		case answered(err):
			return chain, nil
		case err != nil:
			return nil, err
		}
		chain = appendNew(next, chain)
	}
	return chain, nil
}

// appendNew adds what chain has not.
func appendNew(chain, more []*x509.Certificate) []*x509.Certificate {
	for _, c := range more {
		if !slices.ContainsFunc(chain, c.Equal) {
			chain = append(chain, c)
		}
	}
	return chain
}

// answered tells whether the CA answered to a page, though not with what it should.
func answered(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status != 0 && e.Status != http.StatusUnauthorized
}

func (s *Session) oneChain(ctx context.Context, v *visit, renewal int) ([]*x509.Certificate, error) {
	v.leg.URL = s.chainURL(renewal)
	a, err := v.get(ctx, v.leg.URL)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(a.body)
	if err != nil {
		return nil, certificateExpected(a, err)
	}
	return sortByIssuer(certs), nil
}

func (s *Session) chainURL(renewal int) string {
	return fmt.Sprintf("%s/certnew.p7b?ReqID=CACert&Renewal=%d&Enc=bin", s.client.base, renewal)
}

// maxEarlier bounds how many certificates of the CA besides one are asked for.
const maxEarlier = 8

// renewalLink is how the page without the script tells it.
var renewalLink = regexp.MustCompile(`[?&;]Renewal=(\d{1,6})\b`)

var renewals = regexp.MustCompile(`\bnRenewals\s*=\s*(\d{1,6})\b`)

// newestRenewal reads the highest index from certcarc.asp; known is false where the
// page does not tell. Its script, which does, goes to browsers: for any other agent it
// may have neither that nor links.
func (s *Session) newestRenewal(ctx context.Context, v *visit) (newest int, known bool, err error) {
	page := s.client.base + "/certcarc.asp"
	a, err := v.ask(ctx, query{method: http.MethodGet, page: page, userAgent: "Mozilla/5.0 (compatible; " + s.client.opts.UserAgent + ")"})
	if err != nil {
		return 0, false, err
	}
	if m := renewals.FindSubmatch(a.body); m != nil {
		newest, err = strconv.Atoi(string(m[1]))
		return newest, err == nil, err
	}
	if e := readPage(a).serviceError(); e != nil {
		e.URL = page
		return 0, false, e
	}
	for _, m := range renewalLink.FindAllSubmatch(a.body, 1000) {
		if n, err := strconv.Atoi(string(m[1])); err == nil {
			newest, known = max(newest, n), true
		}
	}
	return newest, known, nil
}

// sortByIssuer orders certificates so that each is followed by its issuer. What is
// no part of the first chain comes after it.
func sortByIssuer(certs []*x509.Certificate) []*x509.Certificate {
	var rest []*x509.Certificate
	for _, c := range certs {
		if !slices.ContainsFunc(rest, c.Equal) {
			rest = append(rest, c)
		}
	}
	sorted := make([]*x509.Certificate, 0, len(rest))
	for len(rest) > 0 {
		// Start at one that issued none of the others; a circle starts anywhere.
		i := max(0, slices.IndexFunc(rest, func(c *x509.Certificate) bool {
			return !slices.ContainsFunc(rest, func(o *x509.Certificate) bool { return o != c && Issued(c, o) })
		}))
		for i >= 0 {
			c := rest[i]
			sorted = append(sorted, c)
			rest = slices.Delete(rest, i, i+1)
			i = slices.IndexFunc(rest, func(o *x509.Certificate) bool { return Issued(o, c) })
		}
	}
	return sorted
}

// Issued reports whether issuer issued c, by name and, where both say one, key
// identifier. Signatures are not looked at: x509 refuses those of SHA-1, which
// old CAs still have.
func Issued(issuer, c *x509.Certificate) bool {
	return bytes.Equal(issuer.RawSubject, c.RawIssuer) &&
		(len(issuer.SubjectKeyId) == 0 || len(c.AuthorityKeyId) == 0 || bytes.Equal(issuer.SubjectKeyId, c.AuthorityKeyId))
}
