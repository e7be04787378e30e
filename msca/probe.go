package msca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
)

// Open opens a TLS connection to the CA as [Client.Login] does, its certificate
// verified, and leaves it to the caller: nobody is logged in on it, and nothing has been
// sent. Errors are *Error.
func (c *Client) Open(ctx context.Context) (*tls.Conn, error) {
	ctx, cancel := c.budget(ctx)
	defer cancel()
	conn, err := c.open(ctx, errand{began: c.opts.Now(), page: c.base})
	if err != nil {
		return nil, err
	}
	conn.raw.dropUnsent(false)
	return conn.tls, nil
}

// VerifyName tells whether a server's certificate names a host by a rule, whatever its
// chain is; nil: it does. The error has libcurl's words.
func VerifyName(leaf *x509.Certificate, host string, rule NameCheck) error {
	var err error
	if rule == NameCheckCurl {
		err = (&curlVerifier{host: host}).checkName(leaf)
	} else if mismatch := leaf.VerifyHostname(host); mismatch != nil {
		err = wrongName(leaf, host, mismatch)
	}
	if err == nil {
		return nil
	}
	e := &Error{Phase: PhaseHandshake, Err: err}
	if refused, ok := err.(*certificateError); ok { //nolint:errorlint // it is made right here
		e.Kind, e.CurlCode, e.CurlText = refused.kind, refused.code, refused.text
	}
	return e
}

// Renewals asks the CA how often its certificate was renewed (certcarc.asp); known is
// false where the page does not tell.
func (s *Session) Renewals(ctx context.Context) (n int, known bool, err error) {
	err = s.page(ctx, PhaseChain, s.client.base+"/certcarc.asp", func(ctx context.Context, v *visit) (err error) {
		n, known, err = s.newestRenewal(ctx, v)
		return err
	})
	return n, known, err
}

// ChainOf gets the CA's certificate of that number, and those above it (certnew.p7b).
func (s *Session) ChainOf(ctx context.Context, renewal int) (chain []*x509.Certificate, err error) {
	err = s.page(ctx, PhaseChain, s.chainURL(renewal), func(ctx context.Context, v *visit) (err error) {
		chain, err = s.oneChain(ctx, v, renewal)
		return err
	})
	return chain, err
}

// RevocationList gets the CA's list of revoked certificates (certcrl.crl), the base one
// of the CA certificate with that number.
func (s *Session) RevocationList(ctx context.Context, renewal int) (*x509.RevocationList, error) {
	var list *x509.RevocationList
	page := fmt.Sprintf("%s/certcrl.crl?Type=base&Renewal=%d&Enc=bin", s.client.base, renewal)
	err := s.page(ctx, PhaseChain, page, func(ctx context.Context, v *visit) error {
		a, err := v.ask(ctx, query{method: http.MethodGet, page: page})
		if err != nil {
			return err
		}
		if list, err = x509.ParseRevocationList(a.body); err != nil {
			return certificateExpected(a, fmt.Errorf("what came is no revocation list: %w", err))
		}
		return nil
	})
	return list, err
}
