package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/url"
	"time"

	globalest "github.com/globalsign/est"

	"ciscora/est/capf"
)

// enrollGlobalsign enrolls with github.com/globalsign/est's client: the second
// opinion on a server that does not serve CAPF, or only CAPF.
func (c *cli) enrollGlobalsign(ctx context.Context, f enrollFlags, o capf.Options, phone *capf.Phone) error {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" {
		return usagef("--url %q: want https://HOST:PORT", o.URL)
	}
	csr, err := x509.ParseCertificateRequest(phone.CSR)
	if err != nil {
		return fmt.Errorf("the CSR: %w", err)
	}
	client := &globalest.Client{
		Host: u.Host, AdditionalPathSegment: o.Label, ExplicitAnchor: o.Roots,
		Username: o.User, Password: o.Password,
	}
	if o.Certificate != nil {
		client.Certificates = []*x509.Certificate{o.Certificate.Leaf}
		client.PrivateKey = o.Certificate.PrivateKey
	}
	began := time.Now()
	var cert *x509.Certificate
	if f.reenroll {
		cert, err = client.Reenroll(ctx, csr)
	} else {
		cert, err = client.Enroll(ctx, csr)
	}
	result := enrollment{Phone: phone.Name, Seconds: time.Since(began).Seconds(), err: err}
	if err != nil {
		result.Error = err.Error()
		return c.printEnrollment(result, f.asJSON)
	}
	result.describe(cert)
	if err := f.keep(phone, []*x509.Certificate{cert}, false); err != nil {
		return err
	}
	return c.printEnrollment(result, f.asJSON)
}
