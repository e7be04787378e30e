package msca

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"syscall"
	"time"
)

// failure makes an *Error of whatever ended a leg. ctx is the leg's; elapsed and
// limit are its time and what it may take.
func (c *Client) failure(ctx context.Context, phase Phase, err error, elapsed, limit time.Duration) *Error {
	var e *Error
	unanswered, isUnanswered := errors.AsType[*unansweredError](err)
	if isUnanswered {
		err = unanswered.error
	}
	if !errors.As(err, &e) {
		e = &Error{Err: err}
		c.classify(ctx, phase, e, elapsed, limit)
	}
	e.Unanswered = isUnanswered
	if e.Phase == "" {
		e.Phase = phase
	}
	e.Elapsed = elapsed
	return e
}

func (c *Client) classify(ctx context.Context, phase Phase, e *Error, elapsed, limit time.Duration) {
	var dns *net.DNSError
	switch {
	case errors.Is(context.Cause(ctx), errTimeUp):
		e.Kind = KindTimeout
		e.CurlCode, e.CurlText = 28, curlTimeout(phase, max(elapsed, limit), e.Err)
		e.Err = context.DeadlineExceeded
	case ctx.Err() != nil:
		e.Kind, e.Err = KindCanceled, ctx.Err()
	case errors.As(e.Err, &dns):
		e.Phase, e.Kind = PhaseResolve, KindResolve
		e.CurlCode, e.CurlText = 6, curlResolve(c.url.Hostname(), dns)
	case phase == PhaseResolve:
		e.Kind = KindResolve
		e.CurlCode, e.CurlText = 6, curlResolve(c.url.Hostname(), &net.DNSError{})
	case phase == PhaseConnect:
		e.Kind = KindConnect
		e.CurlCode, e.CurlText = 7, curlConnect(c.url.Hostname(), c.port(), e.Err)
	case phase == PhaseHandshake:
		c.classifyHandshake(e)
	default:
		classifyTransfer(e)
	}
}

func (c *Client) classifyHandshake(e *Error) {
	var (
		refused *certificateError
		verify  *tls.CertificateVerificationError
		plain   tls.RecordHeaderError
	)
	if errors.As(e.Err, &verify) {
		var anchors []*x509.Certificate
		if c.opts.Trust != nil {
			_, anchors = c.opts.Trust()
		}
		refused = inCurlTerms(verify, anchors, c.tls.ServerName, c.tls.Time())
		e.Err = refused
	}
	switch {
	case refused != nil || errors.As(e.Err, &refused):
		e.Kind, e.CurlCode, e.CurlText = refused.kind, refused.code, refused.text
	case errors.As(e.Err, &plain):
		e.Kind, e.CurlCode = KindTLSHandshake, 35
		e.CurlText = "error:140770FC:SSL routines:SSL23_GET_SERVER_HELLO:unknown protocol"
	default:
		e.Kind, e.CurlCode = KindTLSHandshake, 35
		e.CurlText = curlHandshake(c.url.Hostname(), c.port(), e.Err)
	}
}

// inCurlTerms translates a refusal of Go's own verification. Without anchors, which a
// pool does not show, the words are those of a path that ends in none.
func inCurlTerms(err *tls.CertificateVerificationError, anchors []*x509.Certificate, host string, now time.Time) *certificateError {
	var (
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		certs   = err.UnverifiedCertificates
	)
	switch {
	case errors.As(err, &name) && len(certs) > 0:
		return wrongName(certs[0], host, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return invalidAt(now, invalid.Cert, err)
	}
	if words := wordsOf(err); words != "" {
		return untrusted(err, words)
	}
	if weak := sha1Refused(err, certs); weak != nil {
		return weak
	}
	words := wordsLocalMissing
	if len(certs) > 0 {
		path, missing := opensslPath(certs, anchors)
		words = cmp.Or(missing, opensslExtensions(path), words)
	}
	return untrusted(err, words)
}

func classifyTransfer(e *Error) {
	var t *transferError
	if !errors.As(e.Err, &t) {
		e.Kind = KindParse
		return
	}
	if errors.Is(t.err, errTooLarge) {
		e.Kind = KindParse
		return
	}
	e.Kind = KindClosed
	_, isAlert := alertNumber(t.err)
	switch {
	case !t.sent:
		e.CurlCode, e.CurlText = 55, "Send failure: "+errnoText(t.err, "Broken pipe")
	case errors.Is(t.err, syscall.ECONNRESET):
		e.CurlCode, e.CurlText = 56, "Recv failure: Connection reset by peer"
	case isAlert:
		e.CurlCode, e.CurlText = 56, "OpenSSL SSL_read: error:14094410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure, errno 0"
	case !t.begun && errors.Is(t.err, io.EOF):
		e.CurlCode, e.CurlText = 52, "Empty reply from server"
	case t.begun && errors.Is(t.err, io.ErrUnexpectedEOF):
		e.CurlCode, e.CurlText = 18, curlPartial(t)
	case t.begun:
		// Bytes came that are no HTTP.
		e.Kind = KindParse
	default:
		e.CurlCode, e.CurlText = 56, "Recv failure: "+errnoText(t.err, "Connection was reset")
	}
}

// alertNumber returns the TLS alert that the other side sent. crypto/tls does not
// export its type, a byte.
func alertNumber(err error) (uint64, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	v := reflect.ValueOf(op.Err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return v.Uint(), true
}

// errnoText is strerror's word for a system error, or the given one.
func errnoText(err error, otherwise string) string {
	var errno syscall.Errno
	switch {
	case !errors.As(err, &errno):
		return otherwise
	case errors.Is(errno, syscall.ECONNREFUSED):
		return "Connection refused"
	case errors.Is(errno, syscall.EHOSTUNREACH):
		return "No route to host"
	case errors.Is(errno, syscall.ENETUNREACH):
		return "Network is unreachable"
	case errors.Is(errno, os.ErrDeadlineExceeded), errors.Is(errno, syscall.ETIMEDOUT):
		return "Connection timed out"
	case errors.Is(errno, syscall.EPIPE):
		return "Broken pipe"
	case errors.Is(errno, syscall.ECONNRESET):
		return "Connection reset by peer"
	}
	return otherwise
}
