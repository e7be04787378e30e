package msca_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"ciscora/msca"
)

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
