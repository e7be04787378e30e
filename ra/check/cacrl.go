package check

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"ciscora/msca"
)

const (
	maxCRL    = 16 << 20
	maxPoints = 4
)

// crl reports whether the CA's revocation list can be had and is fresh, and whether the
// distribution points in its certificates answer: a CA that cannot check its own chain
// issues nothing.
func (c *caCheck) crl(ctx context.Context, s *msca.Session, newest int, chain []*x509.Certificate) {
	const name = "ca.crl"
	list, err := s.RevocationList(ctx, max(newest, 0))
	if e := asError(err); err != nil && e.Kind == msca.KindFenced {
		failed(c.report, name, e)
		return
	}
	if err != nil {
		e := asError(err)
		f := Finding{
			Name: name, State: Warn, Seen: "certcrl.crl: " + seenOf(e), Symptom: "who checks revocation by this page gets no list; CES does not ask for it",
			Reason: "the page gives no list", Fix: "certutil -CRL on the CA publishes one; see the CA's event log",
		}
		switch e.Kind {
		case msca.KindTimeout, msca.KindClosed:
			f.State = Fail
			fallthrough
		case msca.KindNotFound, msca.KindForbidden, msca.KindRedirect, msca.KindAuthRejected, msca.KindServiceDown:
			m := remedyOf(e)
			f.Reason, f.Fix = m.reason, m.fix
		}
		c.report.Add(f)
		return
	}
	if read := int(c.CA.Renewal); newest > 0 && read >= 0 && read != newest {
		// The chain that this RA reads is an older certificate's: the newest signs the list.
		above, err := s.ChainOf(ctx, newest)
		if err != nil {
			c.report.Add(Finding{
				Name: name, State: Warn, Seen: fmt.Sprintf("certcrl.crl is there; the CA's certificate number %d, which signs it, cannot be read: %s", newest, seenOf(asError(err))),
				Symptom: "none by this alone", Reason: "the list cannot be held against its signer", Fix: "see ca.renewals",
			})
			return
		}
		chain = slices.Concat(above, chain)
	}
	f := c.fresh(name, "certcrl.crl", list, chain)
	if f.State == OK {
		f.Seen += "; " + c.points(ctx, chain, &f)
	}
	c.report.Add(f)
}

// fresh judges a list.
func (c *caCheck) fresh(name, from string, list *x509.RevocationList, chain []*x509.Certificate) Finding {
	now := c.Now()
	f := Finding{Name: name, State: OK, Seen: fmt.Sprintf("%s: %d revoked, next one %s", from, len(list.RevokedCertificateEntries), stamp(list.NextUpdate))}
	leaf := c.server.leaf()
	by := slices.IndexFunc(chain, func(ca *x509.Certificate) bool { return list.CheckSignatureFrom(ca) == nil })
	switch {
	case len(chain) > 0 && by < 0:
		f.State = Fail
		f.Symptom = "who checks revocation refuses the CA's certificates: 0x80092012 CRYPT_E_NO_REVOCATION_CHECK"
		f.Reason, f.Fix = "none of the CA's certificates has signed the list", "certutil -CRL on the CA; see whether several CAs answer behind one name"
	case now.After(list.NextUpdate):
		f.State = Fail
		f.Symptom = "who checks revocation refuses what this CA has issued: 0x80092013 CRYPT_E_REVOCATION_OFFLINE; CES and CAPF do not check"
		f.Reason = "the list has expired"
		f.Fix = "certutil -CRL on the CA, and see why it does not publish by itself"
	case by >= 0 && msca.Issued(chain[by], leaf) && slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(leaf.SerialNumber) == 0 }):
		f.State = Fail
		f.Seen += "; IIS's certificate is on it"
		f.Symptom = "clients that check revocation end the handshake (curl on Windows: CRYPT_E_REVOKED); CES does not check"
		f.Reason = "the certificate of IIS has been revoked"
		f.Fix = "issue a new one and bind it"
	case list.NextUpdate.Sub(now) < min(list.NextUpdate.Sub(list.ThisUpdate)/10, 24*time.Hour):
		f.State = Warn
		f.Symptom = "from then on, at who checks revocation: 0x80092013 CRYPT_E_REVOCATION_OFFLINE"
		f.Reason, f.Fix = "the next list is due soon, and none has been published", "certutil -CRL on the CA"
	}
	return f
}

// points asks the distribution points in the certificates; what is wrong with them goes
// into f.
func (c *caCheck) points(ctx context.Context, chain []*x509.Certificate, f *Finding) string {
	var urls []string
	for _, certificate := range append([]*x509.Certificate{c.server.leaf()}, chain...) {
		for _, u := range certificate.CRLDistributionPoints {
			if strings.HasPrefix(u, "http://") && !slices.Contains(urls, u) && len(urls) < maxPoints {
				urls = append(urls, u)
			}
		}
	}
	for _, u := range urls {
		list, err := c.get(ctx, u)
		if err == nil && c.Now().After(list.NextUpdate) {
			err = fmt.Errorf("the list there has expired, %s", stamp(list.NextUpdate))
		}
		if err != nil {
			f.State = Warn
			f.Symptom = "where the CA cannot reach it either: 0x80092013 CRYPT_E_REVOCATION_OFFLINE"
			f.Reason = fmt.Sprintf("the distribution point %s: %s", short(u), reasonOf(err))
			f.Fix = "publish the list there, and let the CA and its clients reach it"
		}
	}
	return fmt.Sprintf("%d distribution points by http in the certificates", len(urls))
}

// get fetches a list from a distribution point: without credentials, and bounded.
func (c *caCheck) get(ctx context.Context, u string) (*x509.RevocationList, error) {
	ctx, cancel := c.step(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, errors.New("its URL cannot be read")
	}
	client := &http.Client{Transport: &http.Transport{DialContext: c.Dial, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxCRL+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %d", resp.StatusCode)
	case len(body) > maxCRL:
		return nil, errTooLong
	}
	list, err := x509.ParseRevocationList(body)
	if err != nil {
		return nil, errors.New("what comes is no revocation list")
	}
	return list, nil
}
