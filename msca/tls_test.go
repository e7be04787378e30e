package msca_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"ciscora/msca"
)

// Each row is a certificate of IIS's, and what curl 7.61 and Go make of it
// (docs/reference/curl.md 2).
func TestServerCertificates(t *testing.T) {
	p := newPKI(t)
	now := time.Date(2019, 3, 5, 0, 0, 0, 0, time.UTC)
	const host = "lab-dc.lab.example"
	leaf := func(change func(*x509.Certificate)) identity { return issue(t, &p.issuing, change) }
	self := func(ku x509.KeyUsage) identity {
		return issue(t, nil, func(c *x509.Certificate) {
			c.Subject.CommonName, c.DNSNames, c.KeyUsage = host, []string{host}, ku
		})
	}
	past := func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) }
	named := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = names }
	}
	both := func(f ...func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for _, g := range f {
				g(c)
			}
		}
	}
	cn := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject.CommonName = name }
	}
	stranger := issue(t, nil, authority("Stranger"))
	expiredCA := issue(t, &p.root, both(authority("Lab Issuing old"), past))
	noCA := issue(t, &p.root, cn("No CA"))
	lastCA := issue(t, &p.root, both(authority("Last CA"), func(c *x509.Certificate) { c.MaxPathLenZero = true }))
	below := issue(t, &lastCA, authority("CA below the last"))
	plainSelf, serverSelf := self(0), self(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment)
	const (
		noIssuer = "SSL certificate problem: unable to get local issuer certificate"
		expired  = "SSL certificate problem: certificate has expired"
	)
	for _, c := range []struct {
		name  string
		chain tls.Certificate
		trust []*x509.Certificate
		// "" = accepted; want is curl's kind and text, wantGo Go's kind
		want, text string
		wantGo     string
	}{
		{"a good one", p.iis.tls(p.issuing.cert), nil, "", "", ""},
		{"a wildcard name", leaf(named("*.lab.example")).tls(p.issuing.cert), nil, "", "", ""},
		{"a common name alone", leaf(cn(host)).tls(p.issuing.cert), nil, "", "", "tls-name"},
		{"a common name in other case", leaf(cn("LAB-DC.Lab.Example")).tls(p.issuing.cert), nil, "", "", "tls-name"},
		{"a wildcard common name", leaf(cn("*.lab.example")).tls(p.issuing.cert), nil, "", "", "tls-name"},
		{"a wildcard for a top level", leaf(cn("*.example")).tls(p.issuing.cert), nil, "tls-name", "SSL: certificate subject name '*.example' does not match target host name '" + host + "'", "tls-name"},
		{"the common name of another host", leaf(cn("lab-dc")).tls(p.issuing.cert), nil, "tls-name", "SSL: certificate subject name 'lab-dc' does not match target host name '" + host + "'", "tls-name"},
		{"the alternative name of another host", leaf(both(cn(host), named("other.lab.example"))).tls(p.issuing.cert), nil, "tls-name", "SSL: no alternative certificate subject name matches target host name '" + host + "'", "tls-name"},
		{"an address alone", leaf(both(cn(host), func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} })).tls(p.issuing.cert), nil, "tls-name", "SSL: no alternative certificate subject name matches target host name '" + host + "'", "tls-name"},
		{"no name at all", leaf(func(*x509.Certificate) {}).tls(p.issuing.cert), nil, "tls-name", "SSL: unable to obtain common name from peer certificate", "tls-name"},
		{"expired", leaf(both(named(host), past)).tls(p.issuing.cert), nil, "tls-validity", expired, "tls-validity"},
		{"not yet valid", leaf(both(named(host), func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) })).tls(p.issuing.cert), nil, "tls-validity", "SSL certificate problem: certificate is not yet valid", "tls-validity"},
		{"an expired intermediate", issue(t, &expiredCA, named(host)).tls(expiredCA.cert), nil, "tls-validity", expired, "tls-validity"},
		{"a missing intermediate", p.iis.tls(), nil, "tls-untrusted", noIssuer, "tls-untrusted"},
		{"a stranger's", issue(t, &stranger, named(host)).tls(), nil, "tls-untrusted", noIssuer, "tls-untrusted"},
		{"a stranger's with its root", issue(t, &stranger, named(host)).tls(stranger.cert), nil, "tls-untrusted", "SSL certificate problem: self signed certificate in certificate chain", "tls-untrusted"},
		{"a stranger's, expired too", issue(t, &stranger, both(named(host), past)).tls(), nil, "tls-untrusted", noIssuer, "tls-validity"},
		{"a stranger's, of another host too", issue(t, &stranger, named("other")).tls(), nil, "tls-untrusted", noIssuer, "tls-name"},
		{"expired, of another host too", leaf(both(named("other"), past)).tls(p.issuing.cert), nil, "tls-validity", expired, "tls-validity"},
		{"an issuer that is no CA", issue(t, &noCA, named(host)).tls(noCA.cert), nil, "tls-untrusted", "SSL certificate problem: invalid CA certificate", "tls-untrusted"},
		{"one CA too many", issue(t, &below, named(host)).tls(below.cert, lastCA.cert), nil, "tls-untrusted", "SSL certificate problem: path length constraint exceeded", "tls-untrusted"},
		{"for clients only", leaf(both(named(host), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })).tls(p.issuing.cert), nil, "tls-untrusted", "SSL certificate problem: unsupported certificate purpose", "tls-untrusted"},
		{"self-signed", plainSelf.tls(), nil, "tls-untrusted", "SSL certificate problem: self signed certificate", "tls-untrusted"},
		{"self-signed and trusted", plainSelf.tls(), []*x509.Certificate{plainSelf.cert}, "", "", ""},
		{"self-signed as IIS makes them", serverSelf.tls(), nil, "tls-untrusted", noIssuer, "tls-untrusted"},
		{"self-signed as IIS makes them, and trusted", serverSelf.tls(), []*x509.Certificate{serverSelf.cert}, "tls-untrusted", noIssuer, ""},
	} {
		for _, mode := range []struct {
			name  string
			check msca.NameCheck
			want  string
		}{{"curl", msca.NameCheckCurl, c.want}, {"Go", msca.NameCheckGo, c.wantGo}} {
			t.Run(c.name+"/"+mode.name, func(t *testing.T) {
				serve := &tls.Config{Certificates: []tls.Certificate{c.chain}}
				o := p.options(t, nil)
				overTCP(t, &o, func(conn net.Conn) {
					s := tls.Server(conn, serve)
					_ = s.HandshakeContext(t.Context())
					// The request, which is not answered, or, with TLS 1.3, the refusal.
					_, _ = s.Read(make([]byte, 1000))
				})
				o.NameCheck, o.TLS.Time = mode.check, func() time.Time { return now }
				for _, trusted := range c.trust {
					o.TLS.RootCAs = o.TLS.RootCAs.Clone()
					o.TLS.RootCAs.AddCert(trusted)
				}
				_, err := newClient(t, o).Login(t.Context(), account)
				if mode.want == "" {
					// The handshake was good; the server knows no HTTP.
					if e := asError(t, err, msca.KindClosed); e.Phase != msca.PhaseLogin {
						t.Error(err)
					}
					return
				}
				e := asError(t, err, msca.Kind(mode.want))
				if e.Phase != msca.PhaseHandshake {
					t.Errorf("phase %s", e.Phase)
				}
				wantCode := 60
				if mode.want == "tls-name" {
					wantCode = 51
				}
				if e.CurlCode != wantCode || (mode.want == c.want && e.CurlText != c.text) {
					t.Errorf("curl %d %q, want %q", e.CurlCode, e.CurlText, c.text)
				}
			})
		}
	}
}

// What turns on an errno needs a socket.
func TestConnectionsThatFail(t *testing.T) {
	p := newPKI(t)
	reset := func(c net.Conn) {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		kind  msca.Kind
		phase msca.Phase
		code  int
		text  string
	}{
		{"refused", nil, msca.KindConnect, msca.PhaseConnect, 7, "Failed to connect to 127.0.0.1 port PORT: Connection refused"},
		{"closed in the handshake", func(c net.Conn) { _, _ = c.Read(make([]byte, 1000)) }, msca.KindTLSHandshake, msca.PhaseHandshake, 35, "OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to 127.0.0.1:PORT "},
		{"reset in the handshake", func(c net.Conn) { _, _ = c.Read(make([]byte, 10)); reset(c) }, msca.KindTLSHandshake, msca.PhaseHandshake, 35, "OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to 127.0.0.1:PORT "},
		{"plain HTTP", func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1000))
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		}, msca.KindTLSHandshake, msca.PhaseHandshake, 35, "error:140770FC:SSL routines:SSL23_GET_SERVER_HELLO:unknown protocol"},
		{"another protocol version", func(c net.Conn) {
			_ = tls.Server(c, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10, Certificates: p.serverTLS().Certificates}).Handshake()
		}, msca.KindTLSHandshake, msca.PhaseHandshake, 35, "error:1409442E:SSL routines:ssl3_read_bytes:tlsv1 alert protocol version"},
		{"closed after the request", func(c net.Conn) {
			s := tls.Server(c, p.serverTLS())
			_, _ = s.Read(make([]byte, 1000))
			s.Close()
		}, msca.KindClosed, msca.PhaseLogin, 52, "Empty reply from server"},
		{"reset after the request", func(c net.Conn) {
			s := tls.Server(c, p.serverTLS())
			_, _ = s.Read(make([]byte, 1000))
			reset(c)
		}, msca.KindClosed, msca.PhaseLogin, 56, "Recv failure: Connection reset by peer"},
		{"no HTTP", func(c net.Conn) {
			s := tls.Server(c, p.serverTLS())
			_, _ = s.Read(make([]byte, 1000))
			_, _ = s.Write([]byte("220 smtp.example ESMTP\r\n\r\n"))
		}, msca.KindParse, msca.PhaseLogin, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan struct{})
			go func() {
				defer close(served)
				if conn, err := l.Accept(); err == nil {
					defer conn.Close()
					if c.serve != nil {
						c.serve(conn)
					}
				}
			}()
			if c.serve == nil {
				l.Close()
			}
			defer func() {
				l.Close()
				<-served
			}()
			o := msca.Options{URL: "https://" + l.Addr().String() + "/certsrv", TLS: &tls.Config{RootCAs: p.roots, VerifyConnection: nil}}
			// The shared certificate is a host's; dial the address for it.
			if c.phase == msca.PhaseLogin {
				o.URL = caURL
				o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
				}
			}
			_, err = newClient(t, o).Login(t.Context(), account)
			e := asError(t, err, c.kind)
			_, port, err := net.SplitHostPort(l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.ReplaceAll(c.text, "PORT", port); e.Phase != c.phase || e.CurlCode != c.code || e.CurlText != text {
				t.Errorf("phase %s, curl %d %q, want %s, %d %q", e.Phase, e.CurlCode, e.CurlText, c.phase, c.code, text)
			}
		})
	}
}

func TestNamesThatDoNotResolve(t *testing.T) {
	p := newPKI(t)
	for _, c := range []struct {
		name string
		err  net.DNSError
		text string
	}{
		{"unknown", net.DNSError{IsNotFound: true}, "Could not resolve: lab-dc.lab.example (Domain name not found)"},
		{"a slow name server", net.DNSError{IsTimeout: true}, "Could not resolve: lab-dc.lab.example (Timeout while contacting DNS servers)"},
		{"a broken name server", net.DNSError{IsTemporary: true}, "Could not resolve: lab-dc.lab.example (DNS server returned general failure)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := p.options(t, nil)
			o.Resolve = nil
			o.Dial = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: &c.err}
			}
			_, err := newClient(t, o).Login(t.Context(), account)
			if e := asError(t, err, msca.KindResolve); e.CurlCode != 6 || e.CurlText != c.text || e.Phase != msca.PhaseResolve {
				t.Errorf("phase %s, curl %d %q", e.Phase, e.CurlCode, e.CurlText)
			}
		})
	}
}
