package check_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"ciscora/ra/check"
)

// oddServer answers byte by byte as a table says: what net/http would never send. It
// ends with the test.
type oddServer struct {
	url         string
	root, child *x509.Certificate
}

// answers are those of a server, by operation; "" = 404. An answer that ends in keep
// leaves the connection open.
type answers map[string]string

const keep = "\x00"

func startOdd(t *testing.T, by func(s oddServer) answers, names ...string) oddServer {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	issue := func(template, parent *x509.Certificate) *x509.Certificate {
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(now.UnixNano()), now.Add(-time.Hour), now.Add(1000*24*time.Hour)
		der, err := x509.CreateCertificate(nil, template, parent, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "Odd Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root := issue(ca, ca)
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "127.0.0.1"}, DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature}
	if names == nil {
		leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	s := oddServer{root: root, child: issue(leaf, root)}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{s.child.Raw}, PrivateKey: key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.url = "https://" + l.Addr().String()
	table := by(s)
	var all sync.WaitGroup
	var open []net.Conn
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open = append(open, conn)
			all.Go(func() { answer(conn, table) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
		for _, c := range open {
			c.Close()
		}
	})
	return s
}

func answer(conn net.Conn, table answers) {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(conn)
	req, err := http.ReadRequest(in)
	if err != nil {
		conn.Close()
		return
	}
	text := table[strings.TrimPrefix(req.URL.Path, "/.well-known/est/")]
	if req.UserAgent() == "" && table["strongSwan"] != "" {
		text = table["strongSwan"]
	}
	if text == "" {
		text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	}
	fmt.Fprint(conn, strings.TrimSuffix(text, keep))
	if !strings.HasSuffix(text, keep) {
		conn.Close()
	}
}

// ok is a good answer with a body.
func ok(contentType, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body)
}

func chainOf(t *testing.T, columns int, certs ...*x509.Certificate) string {
	t.Helper()
	var all []byte
	for _, c := range certs {
		all = append(all, c.Raw...)
	}
	der, err := pkcs7.DegenerateCertificate(all)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(der)
	var b strings.Builder
	for len(text) > 0 {
		n := min(columns, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return ok("application/pkcs7-mime", b.String())
}

func TestWhatLibestStumblesOverIsToldByItsNumber(t *testing.T) {
	const (
		challenged = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n"
		asn1OID    = "MAsGCSqGSIb3DQEJBw=="                                             // an OID alone
		asn1Last   = "MBkGCSqGSIb3DQEJBzAMBgNVBAMxBQwDYWJj"                             // an OID, then an attribute
		tooMany    = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 99999999\r\n\r\nxxx" // a body that does not come
	)
	good := func(s oddServer) answers {
		return answers{"cacerts": chainOf(t, 64, s.root), "simpleenroll": challenged, "strongSwan": chainOf(t, 1<<20, s.root)}
	}
	with := func(operation, text string) func(oddServer) answers {
		return func(s oddServer) answers {
			table := good(s)
			table[operation] = text
			return table
		}
	}
	for _, x := range []struct {
		name    string
		by      func(oddServer) answers
		names   []string
		finding string
		state   check.State
		symptom string
	}{
		{"as it should be", good, nil, "L12", check.OK, ""},
		{"Go's spelling", with("simpleenroll", strings.Replace(challenged, "WWW-", "Www-", 1)), nil, "L3", check.Fail, "No WWW-Authenticate header found"},
		{"Negotiate first", with("simpleenroll", strings.Replace(challenged, "WWW-Authenticate: ", "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: ", 1)), nil, "L10", check.Fail, "rv = 22"},
		{"both in one header", with("simpleenroll", strings.Replace(challenged, "Basic", "Digest realm=\"x\", nonce=\"y\", Basic", 1)), nil, "L10", check.OK, ""},
		{"an interim answer", with("simpleenroll", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"+challenged), nil, "L11", check.Fail, "rv = 94"},
		{"a body that does not come", with("simpleenroll", tooMany), nil, "est.challenge", check.Fail, "rv = 14"},
		{"an open connection", func(s oddServer) answers {
			table := good(s)
			table["cacerts"] += keep
			return table
		}, nil, "L6", check.Fail, "rv = 35"},
		{"no root", func(s oddServer) answers {
			table := good(s)
			table["cacerts"] = chainOf(t, 64, s.child)
			return table
		}, nil, "L12", check.Fail, "rv = 6"},
		{"a leaf besides", func(s oddServer) answers {
			table := good(s)
			table["cacerts"] = chainOf(t, 64, s.root, s.child)
			return table
		}, nil, "L12", check.Warn, "rv = 6"},
		{"lines for strongSwan", func(s oddServer) answers {
			table := good(s)
			table["strongSwan"] = table["cacerts"]
			return table
		}, nil, "strongswan.base64", check.Warn, "parsing PKCS#7"},
		{"a CN alone", good, []string{}, "strongswan.san", check.Warn, ""},
		{"an OID last", with("csrattrs", ok("application/csrattrs", asn1OID)), nil, "est.csrattrs", check.OK, ""},
		{"an attribute last", with("csrattrs", ok("application/csrattrs", asn1Last)), nil, "est.csrattrs", check.Warn, "Error adding NID"},
		{"attributes behind a log-in", with("csrattrs", challenged), nil, "est.csrattrs", check.OK, ""},
		{"certificates alone", with("simpleenroll", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), nil, "est.challenge", check.OK, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := startOdd(t, x.by, x.names...)
			r := runEST(t, check.ESTOptions{Options: check.Options{Timeout: 5 * time.Second}, URL: s.url, Trust: []*x509.Certificate{s.root}})
			if !slices.ContainsFunc(r.Findings, func(f check.Finding) bool {
				return f.Name == x.finding && f.State == x.state && strings.Contains(f.Symptom, x.symptom)
			}) {
				t.Errorf("no %s %s; there is:\n%s", x.state, x.finding, findings(r))
			}
		})
	}
}
