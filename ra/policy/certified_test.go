package policy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"ciscora/internal/x501"
	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra/policy"
)

// FuzzNoNameIsCertifiedThatTheViewDoesNotShow lets the built-in CA certify what the view
// has taken, and looks for each name of the certificate in the view.
func FuzzNoNameIsCertifiedThatTheViewDoesNotShow(f *testing.F) {
	for _, recipe := range recipes {
		f.Add(recipe)
	}
	ca := certsrv.NewTestServer()
	f.Cleanup(ca.Close)
	client, err := msca.New(msca.Options{URL: ca.URL, TLS: &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12}, UserAgent: "ra", ChannelBinding: true})
	if err != nil {
		f.Fatal(err)
	}
	certify := func(ctx context.Context, csr *x509.CertificateRequest) *x509.Certificate {
		session, err := client.Login(ctx, msca.Credentials{User: ca.User, Password: ca.Password})
		if err != nil {
			return nil
		}
		defer session.Close()
		reqID, err := session.Submit(ctx, csr, "CiscoRA", nil)
		if err != nil {
			return nil
		}
		certificate, err := session.Fetch(ctx, reqID, csr)
		if err != nil {
			return nil
		}
		return certificate
	}
	f.Fuzz(func(t *testing.T, recipe string) {
		csr, err := x509.ParseCertificateRequest(cook(recipe))
		if err != nil {
			return // the front end refuses it
		}
		view, refusal := policy.Read(csr)
		if refusal != nil {
			if !utf8.ValidString(refusal.Text) || strings.ContainsAny(refusal.Text, "\r\n\x1b\x00") || len(refusal.Text) > 400 {
				t.Errorf("refused with %q", refusal.Text)
			}
			return
		}
		if certificate := certify(t.Context(), csr); certificate != nil {
			compare(t, view, certificate)
		}
	})
}

// compare reads the certificate's names by another way than the view does.
func compare(t *testing.T, view *policy.CSR, certificate *x509.Certificate) {
	t.Helper()
	var shown []string
	for _, rdn := range view.Subject {
		for _, a := range rdn {
			shown = append(shown, a.Type.String()+" "+string(a.DER))
			if !strings.Contains(view.Subject.String(), "="+x501.Escape(a.Text)) && !strings.Contains(view.Subject.String(), a.Type.String()+"=#") {
				t.Errorf("the subject %q does not show %q", view.Subject, a.Text)
			}
		}
	}
	type attributeSET []struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	var subject []attributeSET
	if _, err := asn1.Unmarshal(certificate.RawSubject, &subject); err != nil {
		t.Fatal(err)
	}
	for _, set := range subject {
		for _, a := range set {
			if !slices.Contains(shown, a.Type.String()+" "+string(a.Value.FullBytes)) {
				t.Errorf("the certificate's subject has %s=%x, the view shows %s", a.Type, a.Value.FullBytes, view.Subject)
			}
		}
	}
	for _, e := range certificate.Extensions {
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		if !slices.ContainsFunc(view.Extensions, func(o pkix.Extension) bool { return o.Id.Equal(e.Id) && bytes.Equal(o.Value, e.Value) }) {
			t.Errorf("the certificate has the alternative names %x, the view does not", e.Value)
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &names); err != nil {
			t.Fatal(err)
		}
		if len(names) > len(view.Names) {
			t.Errorf("the certificate has %d alternative names, the view %v", len(names), view.Names)
		}
		for _, name := range certificate.DNSNames {
			if !slices.Contains(view.Names, policy.AlternativeName{Kind: "dns", Text: name}) {
				t.Errorf("the certificate has the name %q, the view %v", name, view.Names)
			}
		}
	}
}
