package certsrv_test

import (
	"crypto/x509"
	"encoding/pem"
	"regexp"
	"strings"
	"testing"

	"ciscora/msca/certsrv"

	"github.com/smallstep/pkcs7"
)

// What public clients look for in each page (docs/reference/certsrv.md 5, 6, 7, 11).
func TestPublicClientsUnderstandThePages(t *testing.T) {
	srv := start(t, templates, func(o *certsrv.Options) { o.FirstReqID = 25 })
	b := loggedIn(t, srv)
	const mozilla = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
	issued := b.submit(phoneCSR(t), asks("CiscoRA")).body     // 25
	pending := b.submit(phoneCSR(t), asks("Supervised")).body // 26
	denied := b.submit(phoneCSR(t), asks("ESC1Vuln")).body    // 27
	garbage := b.submit("VGhpcyBpcyBub3QgYSBDU1I=", "").body  // 28
	waiting := b.get("/certnew.cer?ReqID=26&Enc=b64").body    //
	unknown := b.get("/certnew.cer?ReqID=-1&Enc=b64").body    //
	refused := b.get("/certnew.cer?ReqID=27&Enc=b64").body    //
	plainCA := b.get("/certcarc.asp").body                    //
	list := b.get("/certrqxt.asp").body                       //
	b.userAgent = mozilla
	browserIssued := b.submit(phoneCSR(t), asks("CiscoRA")).body // 29
	browserCA := b.get("/certcarc.asp").body

	for _, c := range []struct {
		name, pattern, page, want string
	}{
		{"any client: ReqID of a plain page", `certnew\.cer\?ReqID=(\d+)&`, issued, "25"},
		{"any client: ReqID of a browser's page", `certnew\.cer\?ReqID=(\d+)&`, browserIssued, "29"},
		{"impacket: script of a browser's page", `location="certnew.cer\?ReqID=(.*?)&`, browserIssued, "29"},
		{"magnuswatn: pending", `Certificate Pending`, pending, "Certificate Pending"},
		{"magnuswatn: ReqID when pending", `Your Request Id is (\d+)\.`, pending, "26"},
		{"UCM: pending in any language", `ID=locInfoReqID[^a-z][^0-9]*(\d+)`, pending, "26"},
		{"magnuswatn: why denied", `The disposition message is "([^"]+)`, denied, "Denied by Policy Module  0x80094800, The request was for a certificate template that is not supported by the Active Directory Certificate Services policy: ESC1Vuln"},
		{"magnuswatn: garbage", `The disposition message is "(Error Parsing Request )`, garbage, "Error Parsing Request "},
		{"Certipy: template not supported", `template that is not supported`, denied, "template that is not supported"},
		{"nokia, djkormo: disposition message", `Disposition message:[^\t]+\t\t([^\r\n]+)`, waiting, "Taken Under Submission"},
		{"nokia, djkormo: last status", `LastStatus:[^\t]+\t\t([^\r\n]+)`, waiting, "The operation completed successfully. 0x0 (WIN32: 0)"},
		{"nokia, djkormo: rejected", `(Denied by) `, refused, "Denied by"},
		{"nokia, djkormo: last status of a refusal", `LastStatus:[^\t]+\t\t([^\r\n]+)`, refused, "The requested certificate template is not supported by this CA. 0x80094800 (-2146875392 CERTSRV_E_UNSUPPORTED_CERT_TYPE)"},
		{"Certipy: unknown ReqID", `(0x80094004) \(-2146877436 CERTSRV_E_PROPERTY_EMPTY`, unknown, "0x80094004"},
		{"UCM: disposition in any language", `([0-9A-F]+)\s*<LocID ID=locDispSpacer`, waiting, "5"},
		{"UCM: denied in any language", `ID=(locDenied)`, denied, "locDenied"},
		{"degagne: renewals", `var nRenewals=(\d+);`, browserCA, "0"},
		{"metasploit, E templates alone", `Option Value="E;(.*?);`, list, "User"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := regexp.MustCompile(c.pattern).FindStringSubmatch(c.page)
			if m == nil {
				t.Fatalf("%s does not match:\n%s", c.pattern, c.page)
			}
			if got := m[len(m)-1]; got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if strings.Contains(plainCA, "nRenewals") {
		t.Error("a client that is no browser gets a script")
	}
	for name, page := range map[string]string{"issued": issued, "pending": pending, "denied": denied, "waiting": waiting} {
		if lf := strings.Count(page, "\n"); lf == 0 || lf != strings.Count(page, "\r\n") {
			t.Errorf("%s: lines do not all end in CRLF", name)
		}
	}
}

// docs/reference/certsrv.md 0 fact 6, 2.
func TestFilesOfCertificates(t *testing.T) {
	srv := start(t)
	b := loggedIn(t, srv)
	b.submit(phoneCSR(t), ciscoRA)
	for _, c := range []struct {
		name, path, userAgent, contentType string
		pkcs7                              bool
		certificates                       int
	}{
		{"certificate for the RA", "/certnew.cer?ReqID=1&ENC=b64", "CiscoRA 1.0", "text/html", false, 1},
		{"certificate without Enc", "/certnew.cer?ReqID=1", "CiscoRA 1.0", "text/html", false, 1},
		{"certificate for a browser", "/certnew.cer?ReqID=1&Enc=b64", "Mozilla/5.0", "application/pkix-cert", false, 1},
		{"certificate in DER", "/certnew.cer?ReqID=1&Enc=bin", "Mozilla/5.0", "application/pkix-cert", false, 1},
		{"the CA's certificate", "/certnew.cer?ReqID=CACert&Renewal=0&Enc=bin", "CiscoRA 1.0", "application/pkix-cert", false, 1},
		{"the CA's chain", "/certnew.p7b?ReqID=CACert&Renewal=0&Enc=bin", "CiscoRA 1.0", "application/x-pkcs7-certificates", true, 2},
		{"the CA's newest chain in base64", "/certnew.p7b?ReqID=CACert&Renewal=-1&Enc=b64", "CiscoRA 1.0", "application/x-pkcs7-certificates", true, 2},
		{"a certificate with its chain", "/certnew.p7b?ReqID=1&Enc=bin", "CiscoRA 1.0", "application/x-pkcs7-certificates", true, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.userAgent = c.userAgent
			got := b.get(c.path)
			if ct := got.header.Get("Content-Type"); got.status != 200 || ct != c.contentType {
				t.Errorf("%d %q, want 200 %q", got.status, ct, c.contentType)
			}
			der := []byte(got.body)
			if !strings.Contains(strings.ToLower(c.path), "enc=bin") {
				block, rest := pem.Decode(der)
				if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
					t.Fatalf("no PEM under the label CERTIFICATE: %q", got.body)
				}
				der = block.Bytes
			}
			if c.pkcs7 {
				p7, err := pkcs7.Parse(der)
				if err != nil {
					t.Fatal(err)
				}
				if len(p7.Certificates) != c.certificates {
					t.Errorf("%d certificates, want %d", len(p7.Certificates), c.certificates)
				}
			} else if _, err := x509.ParseCertificate(der); err != nil {
				t.Error(err)
			}
		})
	}
	for _, path := range []string{"/certnew.p7b?ReqID=CACert&Renewal=1&Enc=bin", "/certnew.cer?ReqID=CACert", "/certnew.p7b?ReqID=77&Enc=bin", "/certnew.cer"} {
		if got := b.get(path); got.status != 200 || !strings.Contains(got.body, "<P ID=locFetchFailed>") {
			t.Errorf("%s: %d, want the error page", path, got.status)
		}
	}
}
