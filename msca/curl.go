package msca

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// The texts of libcurl 7.52 to 7.61 with c-ares and OpenSSL 1.0.2, which CES logs
// (docs/reference/curl.md 1, 2). A trailing blank is libcurl's.

func curlResolve(host string, err *net.DNSError) string {
	reason := "DNS server returned general failure"
	switch {
	case err.IsNotFound:
		reason = "Domain name not found"
	case err.IsTimeout:
		reason = "Timeout while contacting DNS servers"
	}
	return fmt.Sprintf("Could not resolve: %s (%s)", host, reason)
}

func curlConnect(host, port string, err error) string {
	return fmt.Sprintf("Failed to connect to %s port %s: %s", host, port, errnoText(err, "Connection refused"))
}

func curlTimeout(phase Phase, after time.Duration, err error) string {
	ms := after.Milliseconds()
	switch phase {
	case PhaseResolve:
		return fmt.Sprintf("Resolving timed out after %d milliseconds", ms)
	case PhaseConnect:
		return fmt.Sprintf("Connection timed out after %d milliseconds", ms)
	case PhaseHandshake:
		return fmt.Sprintf("Operation timed out after %d milliseconds with 0 out of 0 bytes received", ms)
	}
	received := 0
	var t *transferError
	if errors.As(err, &t) {
		received = t.received
		if t.begun && t.expected >= 0 {
			return fmt.Sprintf("Operation timed out after %d milliseconds with %d out of %d bytes received", ms, received, t.expected)
		}
	}
	return fmt.Sprintf("Operation timed out after %d milliseconds with %d bytes received", ms, received)
}

func curlHandshake(host, port string, err error) string {
	const (
		alertHandshakeFailure = 40
		alertProtocolVersion  = 70
	)
	alert, isAlert := alertNumber(err)
	switch {
	case isAlert && alert == alertHandshakeFailure:
		return "error:14094410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure"
	case isAlert && alert == alertProtocolVersion:
		return "error:1409442E:SSL routines:ssl3_read_bytes:tlsv1 alert protocol version"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Sprintf("OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to %s:%s ", host, port)
	}
	return "SSL connect error"
}

func curlPartial(t *transferError) string {
	if t.expected >= 0 {
		return fmt.Sprintf("transfer closed with %d bytes remaining to read", t.expected-int64(t.received))
	}
	return "transfer closed with outstanding read data remaining"
}
