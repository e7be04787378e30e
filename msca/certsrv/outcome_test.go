package certsrv_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"ciscora/msca/certsrv"
)

// templates of one lab: each refuses or does something of its own.
func templates(o *certsrv.Options) {
	o.Templates = []certsrv.Template{
		{Name: "CiscoRA", FriendlyName: "Phones <LSC>", SubjectFromRequest: true},
		{Name: "Supervised", SubjectFromRequest: true, ManagerApproval: true},
		{Name: "User"},
		{Name: "Admins", SubjectFromRequest: true, Enroll: []string{`LAB\admin`}},
		{Name: "Mine", SubjectFromRequest: true, Enroll: []string{"CISCORA"}},
		{Name: "Strong", SubjectFromRequest: true, MinKeySize: 4096},
	}
}

var weakKey = func() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	return key
}()

func asks(template string) string { return "CertificateTemplate:" + template + "\r\n" }

// docs/reference/certsrv.md 5.1 to 5.6.
func TestOutcomesOfARequest(t *testing.T) {
	srv := start(t, templates)
	b := loggedIn(t, srv)
	good := newCSR(t, phoneKey())
	forged := append([]byte(nil), good...)
	forged[len(forged)-1] ^= 1
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	shortCurve, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	named := func(n pkix.Name) string {
		return pemCSR(newCSR(t, phoneKey(), func(r *x509.CertificateRequest) { r.Subject = n }))
	}
	const (
		issued  = `<P ID=locPageTitle> <B> Certificate Issued </B>`
		pending = `<P ID=locInfoReqID>`
		denied  = `<P ID=locDenied>`
		failed  = `<P ID=locReqFailed>`
	)
	for _, c := range []struct {
		name, csr, attribs string
		marker             string
		hresult            string
	}{
		{"PEM", pemCSR(good), asks("CiscoRA"), issued, ""},
		{"PEM of the older label", strings.ReplaceAll(pemCSR(good), "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"), asks("CiscoRA"), issued, ""},
		{"PEM that lost its line ends", strings.ReplaceAll(pemCSR(good), "\n", ""), asks("CiscoRA"), issued, ""},
		{"PEM with blanks for line ends", strings.ReplaceAll(pemCSR(good), "\n", " "), asks("CiscoRA"), issued, ""},
		{"bare base64", base64.StdEncoding.EncodeToString(good), asks("CiscoRA"), issued, ""},
		{"bare base64 without padding", base64.RawStdEncoding.EncodeToString(good), asks("CiscoRA"), issued, ""},
		{"template in another case, after other attributes", pemCSR(good), "UserAgent:x\ncertificatetemplate: ciscora", issued, ""},
		{"template for this user alone", pemCSR(good), asks("Mine"), issued, ""},
		{"template that waits for a manager", pemCSR(good), asks("Supervised"), pending, ""},
		{"unknown template", pemCSR(good), asks("Cisco"), denied, "0x80094800"},
		{"friendly name for a template", pemCSR(good), asks("Phones <LSC>"), denied, "0x80094800"},
		{"no template", pemCSR(good), "", denied, "0x80094801"},
		{"template of other users", pemCSR(good), asks("Admins"), denied, "0x80094012"},
		{"RSA key below the template's size", pemCSR(newCSR(t, weakKey)), asks("CiscoRA"), denied, "0x80094811"},
		{"EC key below P-256", pemCSR(newCSR(t, shortCurve)), asks("CiscoRA"), denied, "0x80094811"},
		{"EC key where RSA must be long", pemCSR(good), asks("Strong"), issued, ""},
		{"key of an algorithm the CA does not know", pemCSR(newCSR(t, edKey)), asks("CiscoRA"), denied, "0x80090008"},
		{"broken signature", pemCSR(forged), asks("CiscoRA"), denied, "0x80090006"},
		{"no base64", "this is not a CSR!", asks("CiscoRA"), denied, "0x8007000d"},
		{"base64 of something else", base64.StdEncoding.EncodeToString([]byte("no ASN.1 at all")), asks("CiscoRA"), denied, "0x8009310b"},
		{"truncated", base64.StdEncoding.EncodeToString(good[:len(good)/2]), asks("CiscoRA"), denied, "0x80093102"},
		{"junk behind it", base64.StdEncoding.EncodeToString(append(good[:len(good):len(good)], 0, 1, 2)), asks("CiscoRA"), denied, "0x8009310b"},
		{"a certificate in place of a CSR", base64.StdEncoding.EncodeToString(srv.Server.Root().Raw), asks("CiscoRA"), denied, "0x8009310b"},
		{"no names at all", named(pkix.Name{}), asks("CiscoRA"), denied, "0x80094001"},
		{"common name of 65 characters", named(pkix.Name{CommonName: strings.Repeat("a", 65)}), asks("CiscoRA"), denied, "0x80094001"},
		{"common name of 65 characters of two bytes", named(pkix.Name{CommonName: strings.Repeat("я", 65)}), asks("CiscoRA"), denied, "0x80094001"},
		{"country of three letters", named(pkix.Name{CommonName: "a", Country: []string{"DEU"}}), asks("CiscoRA"), denied, "0x80094001"},
		{"nothing", "", asks("CiscoRA"), failed, "0x80070057"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := b.submit(c.csr, c.attribs)
			if got.status != 200 || !strings.Contains(got.body, c.marker) {
				t.Fatalf("%d, page without %s:\n%s", got.status, c.marker, got.body)
			}
			if hr := regexp.MustCompile(`0x[0-9a-f]{8}`).FindString(got.body); hr != c.hresult {
				t.Errorf("HRESULT %q, want %q:\n%s", hr, c.hresult, got.body)
			}
		})
	}
}

func TestWhatTheCertificateSays(t *testing.T) {
	srv := start(t, templates)
	b := loggedIn(t, srv)
	csr := pemCSR(newCSR(t, phoneKey(), func(r *x509.CertificateRequest) {
		r.DNSNames = []string{"sep001122334455.lab.test"}
		r.ExtraExtensions = []pkix.Extension{ // a CA, and a server for all to see
			{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}},
			{Id: []int{2, 5, 29, 37}, Value: []byte{0x30, 6, 6, 4, 0x55, 0x1d, 0x25, 0}},
			{Id: []int{1, 3, 6, 1, 4, 1, 311, 25, 2}, Value: []byte{0x30, 0}},
		}
	}))
	roots, issuing := srv.Roots, x509.NewCertPool()
	issuing.AddCert(srv.Server.Chain()[0])
	for _, c := range []struct{ template, commonName, dnsName string }{
		{"CiscoRA", "SEP001122334455", "sep001122334455.lab.test"},
		{"User", "ciscora", ""},
	} {
		t.Run(c.template, func(t *testing.T) {
			id := regexp.MustCompile(`certnew\.cer\?ReqID=(\d+)&`).FindStringSubmatch(b.submit(csr, asks(c.template)+"SAN:upn=administrator@lab.test\r\n").body)
			if id == nil {
				t.Fatal("not issued")
			}
			block, _ := pem.Decode([]byte(b.get("/certnew.cer?ReqID=" + id[1]).body))
			if block == nil {
				t.Fatal("no PEM")
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: issuing, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
				t.Errorf("chain: %v", err)
			}
			if cert.Subject.CommonName != c.commonName || strings.Join(cert.DNSNames, " ") != c.dnsName || len(cert.EmailAddresses) != 0 {
				t.Errorf("subject %s, names %q", cert.Subject, cert.DNSNames)
			}
			if !phoneKey().PublicKey.Equal(cert.PublicKey) {
				t.Error("another key")
			}
			if cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || len(cert.ExtKeyUsage) != 2 || len(cert.UnknownExtKeyUsage) != 0 {
				t.Errorf("CA %v, usages %v %v %v: only the template's may be there", cert.IsCA, cert.KeyUsage, cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
			}
			if len(cert.AuthorityKeyId) == 0 || len(cert.SubjectKeyId) == 0 {
				t.Error("key identifiers are missing")
			}
			var named []byte // a BMPString
			for _, letter := range []byte(c.template) {
				named = append(named, 0, letter)
			}
			for _, e := range cert.Extensions {
				if e.Id.String() == "1.3.6.1.4.1.311.20.2" {
					if !bytes.Equal(e.Value[2:], named) || e.Value[0] != asn1.TagBMPString {
						t.Errorf("the template is named %x", e.Value)
					}
					named = nil
					continue
				}
				if strings.HasPrefix(e.Id.String(), "1.3.6.1.4.1.311") {
					t.Errorf("extension %s was copied from the CSR", e.Id)
				}
			}
			if named != nil {
				t.Error("the template is not named")
			}
		})
	}
}

func TestAManagerDecides(t *testing.T) {
	var events []string
	srv := start(t, templates, func(o *certsrv.Options) {
		o.FirstReqID = 7
		o.Events = func(e certsrv.Event) {
			switch e := e.(type) {
			case certsrv.RequestReceived:
				events = append(events, "received "+e.Template)
			case certsrv.RequestPending:
				events = append(events, "pending "+e.Subject)
			case certsrv.RequestIssued:
				events = append(events, "issued "+e.Subject)
			case certsrv.RequestDenied:
				events = append(events, "denied "+e.Message)
			}
		}
	})
	b := loggedIn(t, srv)
	check := func(id, marker string) {
		t.Helper()
		if got := b.do(http.MethodPost, "/certfnsh.asp", "mode=chkpnd&reqid="+id); !strings.Contains(got.body, marker) {
			t.Errorf("chkpnd %s: no %s in\n%s", id, marker, got.body)
		}
	}
	for range 2 {
		b.submit(phoneCSR(t), asks("Supervised"))
	}
	check("7", "<P ID=locInfoChkPnd>")
	if body := b.get("/certnew.cer?ReqID=7").body; !strings.Contains(body, "5 <LocID ID=locDispSpacer>") || !strings.Contains(body, "Taken Under Submission") {
		t.Errorf("fetch while pending:\n%s", body)
	}
	if err := srv.Server.Approve(7); err != nil {
		t.Fatal(err)
	}
	if err := srv.Server.Deny(8); err != nil {
		t.Fatal(err)
	}
	check("7", `certnew.cer?ReqID=7&`)
	check("8", "<P ID=locDenied>")
	check("9", "0x80094004")
	check("x", "0x80070057")
	if body := b.get("/certnew.cer?ReqID=7").body; !strings.HasPrefix(body, "-----BEGIN CERTIFICATE-----\r\n") {
		t.Errorf("fetch after approval: %s", body)
	}
	denied := b.get("/certnew.cer?ReqID=8").body
	for _, want := range []string{"2 <LocID ID=locDispSpacer>", `Denied by LAB\Administrator`, "administrator.  0x80094014 (-2146877420 CERTSRV_E_ADMIN_DENIED_REQUEST)"} {
		if !strings.Contains(denied, want) {
			t.Errorf("fetch after denial: no %q in\n%s", want, denied)
		}
	}
	if err := srv.Server.Approve(8); !errors.Is(err, certsrv.ErrNotPending) {
		t.Errorf("approve what was denied: %v", err)
	}
	if err := srv.Server.Deny(99); !errors.Is(err, certsrv.ErrNoRequest) {
		t.Errorf("deny what never was: %v", err)
	}
	want := []string{
		"received Supervised", "pending CN=SEP001122334455", "received Supervised", "pending CN=SEP001122334455",
		"issued CN=SEP001122334455", `denied Denied by LAB\Administrator`,
	}
	if strings.Join(events, "|") != strings.Join(want, "|") {
		t.Errorf("events %q, want %q", events, want)
	}
	all := srv.Server.Requests()
	if len(all) != 2 || all[0].ID != 7 || all[0].Disposition != certsrv.DispositionIssued || len(all[0].Certificate) == 0 || all[1].HRESULT != 0x80094014 {
		t.Errorf("requests %+v", all)
	}
}

func TestWhatIsRepeatedIsEscaped(t *testing.T) {
	b := loggedIn(t, start(t, templates))
	got := b.submit(phoneCSR(t), asks(`<script>alert(1)</script>"`+strings.Repeat("x", 1000)))
	if strings.Contains(got.body, "<script>alert") || !strings.Contains(got.body, "&lt;script&gt;") || len(got.body) > 2000 {
		t.Errorf("page of %d bytes:\n%s", len(got.body), got.body)
	}
	if got := b.get("/certrqxt.asp").body; !strings.Contains(got, ">Phones &lt;LSC&gt;</Option>") {
		t.Errorf("page:\n%s", got)
	}
	if got := b.get("/certnew.cer?ReqID=%3Cscript%3E").body; strings.Contains(got, "script") {
		t.Errorf("page:\n%s", got)
	}
}

// docs/reference/certsrv.md 3.
func TestTheTemplateListShowsWhatTheUserMayEnroll(t *testing.T) {
	b := loggedIn(t, start(t, templates))
	var got []string
	for _, m := range regexp.MustCompile(`<Option Value="([^"]*)">`).FindAllStringSubmatch(b.get("/certrqxt.asp").body, -1) {
		fields := strings.Split(html.UnescapeString(m[1]), ";")
		if len(fields) != 14 {
			t.Errorf("%d fields in %q, want 14", len(fields), m[1])
			continue
		}
		got = append(got, fields[0]+" "+fields[1])
	}
	if want := "O CiscoRA|O Supervised|E User|O Mine|O Strong"; strings.Join(got, "|") != want {
		t.Errorf("listed %q, want %s", got, want)
	}
	none := loggedIn(t, start(t, func(o *certsrv.Options) { o.Templates = nil }))
	if body := none.get("/certrqxt.asp").body; !strings.Contains(body, "No certificate templates could be found") {
		t.Errorf("page without templates:\n%s", body)
	}
}
