package msca_test

import (
	"crypto/tls"
	"encoding/asn1"
	"testing"

	"ciscora/msca"
	"ciscora/msca/certsrv"
)

// docs/reference/certsrv.md 3, 4: a template of version 2 has an OID in the list, and may be asked for
// by it.
func TestATemplateMayBeNamedByItsOID(t *testing.T) {
	const oid = "1.3.6.1.4.1.311.21.8.1.2"
	ca := certsrv.NewTestServer(func(o *certsrv.Options) {
		o.Templates = []certsrv.Template{{Name: "Old", SubjectFromRequest: true}, {Name: "CiscoRA", SubjectFromRequest: true, OID: oid}}
	})
	defer ca.Close()
	session, err := newClient(t, msca.Options{URL: ca.URL, TLS: &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12}}).
		Login(t.Context(), msca.Credentials{User: ca.User, Password: ca.Password})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	list, err := session.Templates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if found, ok := list.Find(oid); !ok || found.Name != "CiscoRA" || found.FriendlyName != "CiscoRA" {
		t.Errorf("%+v", found)
	}
	if _, ok := list.Find(""); ok {
		t.Error("a template without an OID is that of no name")
	}
	csr := newPKI(t).csr
	id, err := session.Submit(t.Context(), csr, oid, nil)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := session.Fetch(t.Context(), id, csr)
	if err != nil {
		t.Fatal(err)
	}
	named := ""
	for _, e := range certificate.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 7}) {
			var v struct {
				ID           asn1.ObjectIdentifier
				Major, Minor int
			}
			if _, err := asn1.Unmarshal(e.Value, &v); err != nil {
				t.Fatal(err)
			}
			named = v.ID.String()
		}
	}
	if named != oid {
		t.Errorf("the certificate names the template %q", named)
	}
}
