package endpoint_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
	"ciscora/ra/check/hello"
)

func checkCertificate(t testing.TB, o endpoint.CertificateOptions, targets ...string) check.Report {
	t.Helper()
	o.Outside, o.Targets = outside(), targets
	r := check.Report{}
	if err := endpoint.Certificate(t.Context(), o, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// pki is a root, an intermediate and Expressway-E's certificate.
type pki struct{ root, intermediate, leaf *made }

func newPKI(t testing.TB) pki {
	t.Helper()
	root := order{cn: "Example Root", ca: true}.make(t)
	intermediate := order{cn: "Example Issuing CA", ca: true, by: root}.make(t)
	leaf := order{
		cn: "expe.example.com", dns: []string{"expe.example.com", "example.com"}, ip: []string{"192.0.2.7"}, by: intermediate,
		aia: "http://pki.example.com/issuing.cer",
	}.make(t)
	return pki{root, intermediate, leaf}
}

func TestAFileThatIsNoPEMIsToldAsWhatItIs(t *testing.T) {
	p := newPKI(t)
	der := write(t, "expe.cer", p.leaf.Raw)
	wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{}, der),
		"certificate.file FAIL: it is X.509 in DER | The file provided is not a valid X.509 PEM certificate file. | openssl x509 -inform DER -in "+der,
		"certificate.leaf ok: CN=expe.example.com | names: expe.example.com, example.com, 192.0.2.7",
		"certificate.chain skip: no --trust")
	key := write(t, "both.pem", append(keyOf(t, p.leaf), pemOf(p.leaf)...))
	r := checkCertificate(t, endpoint.CertificateOptions{}, key)
	wantFindings(t, r, "certificate.file ok: X.509 in PEM, 1 in it", "certificate.key warn: a private key is in the file")
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	for _, f := range r.Findings {
		if strings.Contains(f.Seen+f.Fix, string(block.Bytes)) || strings.Contains(f.Seen+f.Fix, strings.Split(string(text), "\n")[1]) {
			t.Errorf("the key is shown: %+v", f)
		}
	}
	wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{}, write(t, "a.csr", []byte("<html>log in</html>"))), "certificate.file FAIL: it is a page of HTML")
}

func TestTheChainIsJudgedAsExpresswayDoes(t *testing.T) {
	p := newPKI(t)
	store := func(list ...*made) []string { return []string{write(t, "trust.pem", pemOf(list...))} }
	self := order{cn: "self", change: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }}.make(t) // as IIS makes it
	selfCA := order{cn: "localhost", ca: true, dns: []string{"localhost"}}.make(t)                                      // as openssl req -x509 makes it
	for name, test := range map[string]struct {
		file  []byte
		trust []string
		want  string
	}{
		"all are trusted": {pemOf(p.leaf), store(p.root, p.intermediate), "certificate.chain ok: every CA is in the trust store: CN=Example Issuing CA | CN=Example Root"},
		"the intermediate is missing": {
			pemOf(p.leaf), store(p.root),
			"certificate.chain FAIL: the issuer of CN=expe.example.com is missing: CN=Example Issuing CA, key identifier | Unrecognized CA | curl -o issuer.cer 'http://pki.example.com/issuing.cer'",
		},
		"the intermediate comes along": {
			pemOf(p.leaf, p.intermediate), store(p.root),
			"certificate.chain FAIL: not in the trust store: CN=Example Issuing CA | No SSH tunnels have been established | on every Expressway",
		},
		"another root is trusted": {
			pemOf(p.leaf, p.intermediate, p.root), store(order{cn: "Other", ca: true}.make(t)),
			"certificate.chain FAIL: its root is not in the trust store: CN=Example Root | Unrecognized CA",
		},
		"a root of the same name, with another key": {
			pemOf(p.leaf, p.intermediate), store(order{cn: "Example Root", ca: true}.make(t)),
			"certificate.chain FAIL: the issuer of CN=Example Issuing CA is missing | a CA of that name is there, but with another key",
		},
		"a CA itself, trusted": {pemOf(p.root), store(p.root), "certificate.chain ok"},
		"self-signed and trusted": {
			pemOf(self), store(self),
			"certificate.chain warn: self-signed, and in the trust store itself | return code 60 (SSL certificate problem: unable to get local issuer certificate) | OpenSSL 1.0.2, on which CES is built, takes none such even from the trust store",
		},
		"self-signed as a CA, for a server, and trusted": {
			pemOf(selfCA), store(selfCA),
			"certificate.chain warn: self-signed, and in the trust store itself | takes it, CES too by OpenSSL's rule; Cisco's document calls one at IIS not supported",
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{Trust: test.trust}, write(t, "it.pem", test.file)), test.want)
		})
	}
	// An issuer that has expired, and one that signs with SHA-1, as old ones do.
	past := order{cn: "Example Issuing CA", ca: true, by: p.root, days: -2}.make(t)
	late := order{cn: "expe.example.com", by: past}.make(t)
	wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{Trust: store(p.root, past)}, write(t, "it.pem", pemOf(late))),
		"certificate.ca-dates FAIL: CN=Example Issuing CA: | it has expired", "certificate.chain ok")
	old := order{cn: "Old Root", ca: true, rsa: true, sha1: true}.make(t)
	wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{Trust: store(old)}, write(t, "it.pem", pemOf(order{cn: "x", by: old, sha1: true}.make(t)))), "certificate.chain ok")
	// The same of a server that sends its intermediate.
	address := respond(t, hello.Responder{Versions: []hello.Version{hello.TLS12}, EC: ders(p.leaf, p.intermediate), Suites: ids(t, "ECDHE-ECDSA-AES128-GCM-SHA256")})
	wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{Trust: store(p.root)}, address),
		"certificate.server ok: it shows 2: CN=expe.example.com", "certificate.chain FAIL: No SSH tunnels have been established")
	wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{TomcatTrust: store(p.root, p.intermediate), CallManagerTrust: store(p.root)}, address),
		"certificate.tomcat-trust ok", "certificate.callmanager-trust FAIL: not in callmanager-trust: CN=Example Issuing CA | log-in from outside (MRA) fails | restart")
}

// RFC 5280 §6.1: signatures and names alone make no chain.
func TestAChainThatNobodyMayTakeFails(t *testing.T) {
	unknown := []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	for name, test := range map[string]struct {
		root, issuing, leaf func(*x509.Certificate)
		want                string // "" = it is sound
	}{
		"sound":                   {},
		"the issuer is no CA":     {issuing: func(c *x509.Certificate) { c.IsCA = false }, want: "CN=Example Issuing CA is no CA"},
		"the issuer may not sign": {issuing: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, want: "CN=Example Issuing CA may not sign certificates"},
		"the issuer may sign":     {issuing: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }},
		"too many CAs":            {root: func(c *x509.Certificate) { c.MaxPathLenZero = true }, want: "CN=Example Root allows 0 CAs below it, and there are 1"},
		"as many CAs as may be":   {root: func(c *x509.Certificate) { c.MaxPathLen = 1 }},
		"a name that is not permitted": {issuing: func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"other.com"}
		}, want: "permitted"},
		"an extension that nobody knows":     {leaf: func(c *x509.Certificate) { c.ExtraExtensions = unknown }, want: "CN=expe.example.com has a critical extension that nobody knows, 1.2.3.4"},
		"such an extension of the root":      {root: func(c *x509.Certificate) { c.ExtraExtensions = unknown }, want: "CN=Example Root has a critical extension"},
		"the dates are judged apart from it": {leaf: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }},
	} {
		t.Run(name, func(t *testing.T) {
			root := order{cn: "Example Root", ca: true, change: test.root}.make(t)
			issuing := order{cn: "Example Issuing CA", ca: true, by: root, change: test.issuing}.make(t)
			leaf := order{cn: "expe.example.com", dns: []string{"expe.example.com"}, by: issuing, change: test.leaf}.make(t)
			trust := []string{write(t, "trust.pem", pemOf(root, issuing))}
			r := checkCertificate(t, endpoint.CertificateOptions{Trust: trust, TomcatTrust: trust}, write(t, "leaf.pem", pemOf(leaf)))
			if test.want == "" {
				wantFindings(t, r, "certificate.chain ok", "certificate.tomcat-trust ok")
				return
			}
			wantFindings(t, r, "certificate.chain FAIL: "+test.want, "certificate.tomcat-trust FAIL: "+test.want)
		})
	}
}

// SHA-1 under a root of one's own is still about, and may not hide what is wrong besides.
func TestAChainOfSHA1IsLookedAtAsAnyOther(t *testing.T) {
	root := order{cn: "Example Root", ca: true, rsa: true}.make(t)
	for _, ca := range []bool{true, false} {
		issuing := order{cn: "Example Issuing CA", ca: ca, rsa: true, by: root, sha1: true}.make(t)
		leaf := order{cn: "expe.example.com", by: issuing, sha1: true}.make(t)
		want := map[bool]string{true: "certificate.chain ok", false: "certificate.chain FAIL: is no CA"}[ca]
		wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{Trust: []string{write(t, "trust.pem", pemOf(root, issuing))}}, write(t, "leaf.pem", pemOf(leaf))), want)
	}
}

func TestTheNamesThatArePeersAndJabbersAreLookedFor(t *testing.T) {
	p := newPKI(t)
	file := write(t, "it.pem", pemOf(p.leaf))
	wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{Names: []string{"expe.example.com", "192.0.2.7", "cluster.example.com"}, Domain: "example.com"}, file),
		"certificate.name ok: expe.example.com is", "certificate.name ok: 192.0.2.7 is", "certificate.name FAIL: cluster.example.com is not among | TLS negotiation error",
		"certificate.domain ok: example.com is")
	wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{Domain: "example.org"}, file), "certificate.domain FAIL: neither example.org nor collab-edge.example.org | Jabber warns")
}

// As the document's console has it: *.vpn.com is not test.vpn.com.
func TestThePhonesOwnRuleForNames(t *testing.T) {
	for _, test := range []struct {
		host, cn string
		dns, ip  []string
		want     string
	}{
		{"test.vpn.com", "asa", []string{"test.vpn.com"}, nil, "ok"},
		{"TEST.vpn.com", "test.VPN.com", nil, nil, "ok: the subject's CN"},
		{"test.vpn.com", "*.vpn.com", []string{"*.vpn.com"}, nil, "FAIL: Generic third level wildcards are not allowed, stopping checks on host=(test.vpn.com) and dns=(*.vpn.com) | hostIDCheck failed!!"},
		{"a.eu.vpn.com", "asa", []string{"*.eu.vpn.com"}, nil, "ok"},
		{"a.b.eu.vpn.com", "asa", []string{"*.eu.vpn.com"}, nil, "FAIL: is in no SAN"},
		{"test.vpn.com", "asa", []string{"vpn.com"}, nil, "FAIL: in no SAN and is not the CN"},
		{"10.198.16.140", "asa", nil, []string{"10.198.16.140"}, "ok: an IP address among the SANs"},
		{"10.198.16.140", "10.198.16.140", nil, nil, "warn: the subject's CN"},
		{"10.198.16.140", "asa.vpn.com", []string{"asa.vpn.com"}, nil, "FAIL: has no SAN with it | hostIDCheck failed!!"},
	} {
		m := order{cn: test.cn, dns: test.dns, ip: test.ip}.make(t)
		r := checkCertificate(t, endpoint.CertificateOptions{URL: "https://" + test.host + "/VPNPhone"}, write(t, "asa.pem", pemOf(m)))
		wantFindings(t, r, "certificate.host-id "+test.want)
	}
}

func TestAPhonesCertificateIsItsMakersOrItsOwners(t *testing.T) {
	for _, test := range []struct{ issuer, subject, want string }{
		{"Cisco Manufacturing CA", "CP-7962G-SEP8CB64F576113", "warn: a MIC | before the 8811"},
		{"Cisco Manufacturing CA SHA2", "CP-8861-SEP8CB64F576113", "warn: a MIC | 8811, 8841, 8851, 8861 | Import the Cisco Manufacturing CA SHA2"},
		{"CAPF-c5d37298", "CP-7962G-SEP8CB64F576113", "ok: an LSC | CAPF's own certificate"},
		{"Example Issuing CA", "SEP8CB64F576113", "ok: an LSC | this CA is what the ASA must trust"},
	} {
		ca := order{cn: test.issuer, ca: true}.make(t)
		m := order{cn: test.subject, by: ca}.make(t)
		wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{}, write(t, "phone.pem", pemOf(m))), "certificate.phone "+test.want)
	}
	r := checkCertificate(t, endpoint.CertificateOptions{}, write(t, "other.pem", pemOf(newPKI(t).leaf)))
	if got, ok := states(r)["certificate.phone"]; ok {
		t.Errorf("no phone's: %s", got)
	}
}

func TestDatesAndTwoCertificatesOfOneName(t *testing.T) {
	old, fresh := order{cn: "asa.vpn.com", days: 10}.make(t), order{cn: "ASA.vpn.com"}.make(t)
	r := checkCertificate(t, endpoint.CertificateOptions{}, write(t, "old.pem", pemOf(old)), write(t, "new.pem", pemOf(fresh)))
	wantFindings(t, r, "certificate.dates warn: expires in 10 days | phone-vpn-trust", "certificate.dates ok: CN=ASA.vpn.com",
		"certificate.same-cn warn: two certificates have the CN ASA.vpn.com | CSCuh19734")
	wantFindings(t, checkCertificate(t, endpoint.CertificateOptions{}, write(t, "expired.pem", pemOf(order{cn: "x", days: -2}.make(t)))), "certificate.dates FAIL: it has expired | do not come back by themselves")
}

func TestWhatIsNoTargetIsAMistakeOfTheCommandLine(t *testing.T) {
	file := write(t, "it.pem", pemOf(newPKI(t).leaf))
	for name, test := range map[string]struct {
		o      endpoint.CertificateOptions
		target string
		want   string
	}{
		"no such file":        {endpoint.CertificateOptions{}, file + ".none", "no such file"},
		"a trust store":       {endpoint.CertificateOptions{Trust: []string{write(t, "t", []byte("x"))}}, file, "holds no certificate: it is text"},
		"a URL without TLS":   {endpoint.CertificateOptions{URL: "http://x/VPNPhone"}, file, "want https://HOST/GROUP"},
		"a URL with a log-in": {endpoint.CertificateOptions{URL: "https://u:secret@x/VPNPhone"}, file, "want https://HOST/GROUP"},
	} {
		test.o.Outside, test.o.Targets = outside(), []string{test.target}
		if err := endpoint.Certificate(t.Context(), test.o, &check.Report{}); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), ":secret@") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
