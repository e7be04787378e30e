package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// versions are those that are tried, one by one.
var versions = []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}

// server is what a TLS server has shown.
type server struct {
	certificates []*x509.Certificate // its own first
	takes        []uint16            // versions
	silent       []uint16            // versions of which nobody knows: no answer came in time
	asksClient   bool                // it asks for a client certificate
}

func (s *server) leaf() *x509.Certificate { return s.certificates[0] }

// unverified shakes hands with a server whatever its certificate is: to look at it.
// Nothing that is a secret may go over such a connection.
func (e *endpoint) unverified(ctx context.Context, least, most uint16, asked *bool) (*tls.Conn, error) {
	raw, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{
		ServerName:         e.host,
		MinVersion:         least,
		MaxVersion:         most,
		CipherSuites:       allCiphers(),
		NextProtos:         []string{"http/1.1"},
		InsecureSkipVerify: true, //nolint:gosec // the certificate is what is looked at, and no credential goes here
		Time:               e.o.Now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if asked != nil {
				*asked = true
			}
			return &tls.Certificate{}, nil
		},
	})
	ctx, cancel := e.o.step(ctx)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		if ctx.Err() != nil {
			err = context.DeadlineExceeded
		}
		return nil, err
	}
	return conn, nil
}

// allCiphers are those of Go, the broken ones too.
func allCiphers() (ids []uint16) {
	for _, c := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		ids = append(ids, c.ID)
	}
	return ids
}

// look shakes hands once with whatever version there is, and then with each. It returns
// nil where the first one fails; the report says so then.
func (e *endpoint) look(ctx context.Context, r *Report) *server {
	s := &server{}
	start := e.o.Now()
	conn, err := e.unverified(ctx, tls.VersionTLS10, tls.VersionTLS13, &s.asksClient)
	if err != nil {
		err = e.stalledSince(start, err)
		f := e.noHandshake(err, s.asksClient)
		if isTimeout(err) && r.hasty > 0 {
			e.timedOut = true
			f.Symptom = "none by this alone: CES and libest wait ten seconds"
		}
		r.Add(f)
		return nil
	}
	state := conn.ConnectionState()
	s.certificates = state.PeerCertificates
	conn.Close()
	r.OK(e.kind+".tls.handshake", fmt.Sprintf("%s with %s (%s)", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), e.o.took(start)))
	for _, v := range versions {
		asked, start := false, e.o.Now()
		conn, err := e.unverified(ctx, v, v, &asked)
		if err == nil {
			conn.Close()
		}
		switch {
		case err == nil, asked, v == state.Version: // who asks for a certificate has taken the version
			s.takes = append(s.takes, v)
		case isTimeout(err), errors.Is(e.stalledSince(start, err), errStalled):
			s.silent = append(s.silent, v)
		}
	}
	return s
}

// stalled is after how long a server that says nothing does not refuse what it was offered.
const stalled = 5 * time.Second

var errStalled = errors.New("nothing came for long")

// stalledSince returns [errStalled] where the connection was ended after nothing had come for long,
// by whoever was tired of it first.
func (e *endpoint) stalledSince(start time.Time, err error) error {
	if ended := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET); ended && e.o.Now().Sub(start) >= stalled {
		return fmt.Errorf("%w: %w", errStalled, err)
	}
	return err
}

// noHandshake says why there is none; asked: a client certificate was asked for before it
// ended.
func (e *endpoint) noHandshake(err error, asked bool) Finding {
	f := Finding{Name: e.kind + ".tls.handshake", State: Fail, Symptom: e.handshakeSymptom(35, fmt.Sprintf("OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to %s:%s ", e.host, e.port))}
	var plain tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		f.Seen = "no connection any more: " + reasonOf(err)
		f.Symptom = e.unreachable(err)
		f.Reason = "the server has taken a connection just before, and is gone, or takes one at a time"
		f.Fix = "see whether the service still runs, and what it says of its end; " + e.opens()
	case asked && !isTimeout(err):
		f.Seen = "a client certificate is demanded, and there is none to show: " + reasonOf(err)
		f.Symptom = e.handshakeSymptom(35, "error:14094410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure")
		f.Reason, f.Fix = noClientCertificate.reason, noClientCertificate.fix
		if e.kind == kindEST {
			f.Reason, f.Fix = noClientCertificateEST.reason, noClientCertificateEST.fix
		}
	case isTimeout(err), errors.Is(err, errStalled):
		f.Seen = "the connection opens, and no Server Hello comes"
		f.Symptom = e.handshakeSymptom(28, fmt.Sprintf("Operation timed out after %d milliseconds with 0 out of 0 bytes received", e.o.Timeout.Milliseconds()))
		f.Reason = "the server is overloaded or hangs, or a firewall lets the connection through and then nothing more"
		f.Fix = "look at the server's load and event log, and at firewalls that inspect TLS"
	case errors.As(err, &plain):
		f.Seen = "what answers speaks no TLS, but something else: plain HTTP perhaps"
		f.Symptom = e.handshakeSymptom(35, "error:140770FC:SSL routines:SSL23_GET_SERVER_HELLO:unknown protocol")
		f.Reason = "the port has no https binding"
		f.Fix = "IIS Manager, site, Bindings: https with a certificate on this port; or correct the port in the URL"
		if e.kind == kindEST {
			f.Reason = "the port is not the EST server's (CES: 8084), or has no certificate"
			f.Fix = "correct the port in the URL, or give the server's port its certificate"
		}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.Seen = "the server ends the connection when the Client Hello comes: " + reasonOf(err)
		f.Reason = "no certificate is bound to the port, SCHANNEL takes none of the versions or ciphers, or a firewall cuts the connection"
		f.Fix = "see Schannel's events 36874 and 36888 on the server; netsh http show sslcert shows the bindings"
		if e.kind == kindEST {
			f.Fix = "see the server's log of this moment"
		}
	default:
		f.Seen = "TLS is refused: " + reasonOf(err)
		f.Reason = "the server takes none of the versions and ciphers that are offered"
		f.Fix = "enable TLS 1.2 with AES-GCM and ECDHE at the server"
	}
	return f
}

func (e *endpoint) handshakeSymptom(code int, text string) string {
	if e.kind == kindEST {
		return "EST client: Enrollment rv = 38 (EST_ERR_SSL_CONNECT)"
	}
	return cesLogIn(code, text, "")
}

// checkVersions reports the versions that a server takes, of which a client needs one
// from least to most.
func (e *endpoint) checkVersions(r *Report, s *server, least, most uint16) {
	f := Finding{Name: e.kind + ".tls.versions", State: OK, Seen: "takes " + versionNames(s.takes)}
	if len(s.takes) == 1 {
		f.Seen += " alone"
	}
	var common, old []uint16
	cesToo := false // CES speaks TLS 1.0 to 1.2
	for _, v := range s.takes {
		if v >= least && v <= most {
			common = append(common, v)
		}
		if v < tls.VersionTLS12 {
			old = append(old, v)
		}
		cesToo = cesToo || v <= tls.VersionTLS12
	}
	switch {
	case len(s.silent) > 0: // what it takes is not known then
		f.State = Warn
		f.Seen += "; no answer came to a handshake with " + versionNames(s.silent)
		f.Symptom = e.handshakeSymptom(28, "Operation timed out after 10000 milliseconds with 0 out of 0 bytes received")
		f.Reason = "the server answers some handshakes and not others: it is slow, or something in front of it drops connections"
		f.Fix = "see what it waits for, and ask again: what it takes is not known before"
		if r.hasty > 0 {
			f.Symptom = "none by this alone: CES and libest wait ten seconds"
			f.Fix = "ask again without --timeout"
		}
	case len(common) == 0:
		f.State = Fail
		f.Symptom = e.handshakeSymptom(35, "error:1409442E:SSL routines:ssl3_read_bytes:tlsv1 alert protocol version")
		if cesToo && e.kind == kindCA {
			f.Symptom = "the RA's log: ca leg, phase handshake, kind tls-handshake; CES, which speaks TLS 1.0 to 1.2, goes on"
		}
		f.Reason = fmt.Sprintf("the RA speaks %s to %s alone (ca.tls)", tls.VersionName(least), tls.VersionName(most))
		f.Fix = `enable TLS 1.2: HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server, Enabled=1 and DisabledByDefault=0, then restart the machine`
		if e.kind == kindEST {
			f.Reason = "EST clients of today speak TLS 1.2 or 1.3"
			f.Fix = "enable TLS 1.2 at the server (est.tls of ra.yaml)"
		}
	case len(old) > 0:
		f.State = Warn
		f.Symptom = "scanners report it; nothing fails by it"
		f.Reason = versionNames(old) + ": deprecated since RFC 8996, and open to downgrades"
		f.Fix = "turn the old versions off at the server once no client needs them"
		if len(old) == len(s.takes) {
			f.Symptom = "whoever speaks TLS 1.2 and newer alone gets no connection: Windows, browsers and this RA in its other profile among them; CES gets one"
			f.Fix = "turn TLS 1.2 on at the server, and then the old versions off"
		}
	}
	r.Add(f)
}

func versionNames(all []uint16) string {
	if len(all) == 0 {
		return "no version"
	}
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = tls.VersionName(v)
	}
	return strings.Join(words, ", ")
}
