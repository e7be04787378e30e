package msca

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// Chain gets the CA's certificate and those above it (certnew.p7b): issuing CA
// first, root last, by their issuers, since the order in which they come means
// nothing (reference: certsrv.md 2). With [RenewalNewest] those of earlier renewals
// follow, which have signed what is still valid (RFC 7030 §4.1.3).
func (s *Session) Chain(ctx context.Context) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	renewal := s.client.opts.Renewal
	err := s.page(ctx, PhaseChain, s.chainURL(max(renewal, 0)), func(ctx context.Context, v *visit) error {
		newest := renewal
		if renewal == RenewalNewest {
			var err error
			if newest, err = s.newestRenewal(ctx, v); err != nil {
				return err
			}
			v.leg.URL = s.chainURL(newest)
		}
		a, err := v.get(ctx, v.leg.URL)
		if err != nil {
			return err
		}
		certs, err := parseCertificates(a.body)
		if err != nil {
			return certificateExpected(a, err)
		}
		chain = sortByIssuer(certs)
		for n := newest - 1; renewal == RenewalNewest && n >= max(0, newest-maxEarlier); n-- {
			earlier, err := v.get(ctx, s.chainURL(n))
			if err != nil {
				return err
			}
			certs, err := parseCertificates(earlier.body)
			if err != nil {
				continue // the CA may have thrown it away
			}
			for _, c := range sortByIssuer(certs) {
				if !slices.ContainsFunc(chain, c.Equal) {
					chain = append(chain, c)
				}
			}
		}
		return nil
	})
	return chain, err
}

func (s *Session) chainURL(renewal int) string {
	return fmt.Sprintf("%s/certnew.p7b?ReqID=CACert&Renewal=%d&Enc=bin", s.client.base, renewal)
}

// maxEarlier bounds how many earlier certificates of the CA are asked for.
const maxEarlier = 8

// renewalLink is how the page without the script tells it.
var renewalLink = regexp.MustCompile(`[?&;]Renewal=(\d{1,6})\b`)

var renewals = regexp.MustCompile(`\bnRenewals\s*=\s*(\d{1,6})\b`)

// newestRenewal reads the highest index from certcarc.asp. Variants of the page
// without the script mean a CA that was never renewed.
func (s *Session) newestRenewal(ctx context.Context, v *visit) (int, error) {
	page := s.client.base + "/certcarc.asp"
	a, err := v.get(ctx, page)
	if err != nil {
		return 0, err
	}
	if m := renewals.FindSubmatch(a.body); m != nil {
		return strconv.Atoi(string(m[1]))
	}
	if e := readPage(a).serviceError(); e != nil {
		e.URL = page
		return 0, e
	}
	newest := 0
	for _, m := range renewalLink.FindAllSubmatch(a.body, 1000) {
		if n, err := strconv.Atoi(string(m[1])); err == nil {
			newest = max(newest, n)
		}
	}
	return newest, nil
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
			return !slices.ContainsFunc(rest, func(o *x509.Certificate) bool { return o != c && issued(c, o) })
		}))
		for i >= 0 {
			c := rest[i]
			sorted = append(sorted, c)
			rest = slices.Delete(rest, i, i+1)
			i = slices.IndexFunc(rest, func(o *x509.Certificate) bool { return issued(o, c) })
		}
	}
	return sorted
}

// issued reports whether issuer issued c, by name and, where both say one, key
// identifier. Signatures are not looked at: x509 refuses those of SHA-1, which
// old CAs still have.
func issued(issuer, c *x509.Certificate) bool {
	return bytes.Equal(issuer.RawSubject, c.RawIssuer) &&
		(len(issuer.SubjectKeyId) == 0 || len(c.AuthorityKeyId) == 0 || bytes.Equal(issuer.SubjectKeyId, c.AuthorityKeyId))
}
