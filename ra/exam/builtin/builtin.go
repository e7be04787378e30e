// Package builtin is the two EST clients that this program brings, as commands that take
// what ra exam tells a client from the environment.
package builtin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	globalest "github.com/globalsign/est"

	"ciscora/est/capf"
)

// Names are the clients that there are.
func Names() []string { return []string{"capf", "globalsign"} }

// patience is that of github.com/globalsign/est's own estclient for one operation.
const patience = 15 * time.Second

// request is what the environment says.
type request struct {
	operation, host, port, label string
	user, password               string
	name, out, key               string
	roots                        *x509.CertPool
	csr                          []byte // DER
	certificate                  *tls.Certificate
}

func read(env func(string) string) (request, error) {
	get := func(name string) string { return env("EST_" + name) }
	r := request{
		operation: get("OPERATION"), host: get("HOST"), port: get("PORT"), label: get("LABEL"), user: get("USER"), password: get("PASSWORD"),
		name: get("NAME"), out: get("OUT"), key: get("KEY"),
	}
	anchors, err := os.ReadFile(get("CACERT"))
	if err != nil {
		return r, fmt.Errorf("the trust anchors: %w", err)
	}
	r.roots = x509.NewCertPool()
	if !r.roots.AppendCertsFromPEM(anchors) {
		return r, errors.New("the file of trust anchors has no certificate")
	}
	if r.csr, err = os.ReadFile(get("CSR_DER")); err != nil {
		return r, fmt.Errorf("the CSR: %w", err)
	}
	if file := get("CERT"); file != "" {
		pair, err := tls.LoadX509KeyPair(file, get("OLDKEY"))
		if err != nil {
			return r, fmt.Errorf("the certificate to renew: %w", err)
		}
		r.certificate = &pair
	}
	return r, nil
}

// Run does what the environment says with one of the clients.
func Run(ctx context.Context, client string, env func(string) string) error {
	if !slices.Contains(Names(), client) {
		return fmt.Errorf("there is no client %q: want one of %v", client, Names())
	}
	r, err := read(env)
	if err != nil {
		return err
	}
	if client == "capf" {
		return r.capf(ctx, env("EST_URL"))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return r.globalsign(ctx)
}

func (r request) capf(ctx context.Context, url string) error {
	if len(url) < 6 || url[:6] != "https:" {
		return errors.New("the URL is not https")
	}
	client, err := capf.New(capf.Options{
		URL: "https://" + net.JoinHostPort(r.host, r.port), Label: r.label, Roots: r.roots, User: r.user, Password: r.password, Certificate: r.certificate,
	})
	if err != nil {
		return err
	}
	var result capf.Result
	switch r.operation {
	case "cacerts":
		all, err := client.CACerts(ctx)
		if err != nil {
			return err
		}
		return r.write(all...)
	case "enroll":
		result = client.Enroll(ctx, r.name, r.csr)
	case "reenroll":
		result = client.Reenroll(ctx, r.name, r.csr)
	default:
		return fmt.Errorf("capf cannot do %s", r.operation)
	}
	if result.Err != nil {
		return result.Err
	}
	return r.write(result.Certificates...)
}

func (r request) globalsign(ctx context.Context) error {
	csr, err := x509.ParseCertificateRequest(r.csr)
	if err != nil {
		return fmt.Errorf("the CSR: %w", err)
	}
	client := &globalest.Client{
		Host: net.JoinHostPort(r.host, r.port), AdditionalPathSegment: r.label, ExplicitAnchor: r.roots,
		Username: r.user, Password: r.password, DisableKeepAlives: true,
	}
	if r.certificate != nil {
		client.Certificates, client.PrivateKey = []*x509.Certificate{r.certificate.Leaf}, r.certificate.PrivateKey
	}
	switch r.operation {
	case "cacerts":
		all, err := client.CACerts(ctx)
		if err != nil {
			return err
		}
		return r.write(all...)
	case "csrattrs":
		_, err := client.CSRAttrs(ctx)
		return err
	case "enroll":
		certificate, err := client.Enroll(ctx, csr)
		if err != nil {
			return err
		}
		return r.write(certificate)
	case "reenroll":
		certificate, err := client.Reenroll(ctx, csr)
		if err != nil {
			return err
		}
		return r.write(certificate)
	case "serverkeygen":
		certificate, key, err := client.ServerKeyGen(ctx, csr)
		if err != nil {
			return err
		}
		if err := os.WriteFile(r.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600); err != nil {
			return fmt.Errorf("write the key: %w", err)
		}
		return r.write(certificate)
	}
	return fmt.Errorf("globalsign cannot do %s", r.operation)
}

func (r request) write(certificates ...*x509.Certificate) error {
	var out []byte
	for _, c := range certificates {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	if err := os.WriteFile(r.out, out, 0o600); err != nil {
		return fmt.Errorf("write the certificates: %w", err)
	}
	return nil
}
