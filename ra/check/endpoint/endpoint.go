// Package endpoint checks what the documents about TMS, Expressway, TSP and VPN phones
// have an operator find out: what TLS a server takes and with which certificate, who
// connects with what, what a certificate file is and whether its chain and names fit.
//
// It sends Client Hellos and GETs and nothing else, and no credentials. What comes back
// is bounded in time and size wherever it is read.
package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"ciscora/internal/printable"
	"ciscora/ra/check/hello"
)

// Outside is how a check reaches the world. All of it must be given.
type Outside struct {
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Timeout time.Duration // of each connection
	Now     func() time.Time
	// Soon is how long before its end a certificate is warned of; see [check.EndsSoon].
	Soon time.Duration
	// Exactly says that Soon was asked for, and is meant for short-lived ones as well.
	Exactly bool
}

// Address completes HOST with a port, and takes no other form than HOST:PORT: an error
// is one of the command line.
func Address(text, port string) (string, error) {
	host, p, err := net.SplitHostPort(text)
	if err != nil && port != "" {
		host, p, err = net.SplitHostPort(net.JoinHostPort(strings.Trim(text, "[]"), port))
	}
	if number, convErr := strconv.ParseUint(p, 10, 16); err != nil || convErr != nil || number == 0 || host == "" || strings.ContainsAny(host, "/@ ") {
		want := "HOST:PORT"
		if port != "" {
			want = "HOST, or HOST:PORT"
		}
		return "", fmt.Errorf("%q: want %s", printable.Line(text, 100), want)
	}
	return net.JoinHostPort(host, p), nil
}

// serverName is what a hello names: an address is no name (RFC 6066 §3).
func serverName(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil || net.ParseIP(host) != nil {
		return ""
	}
	return strings.TrimSuffix(host, ".")
}

func (o Outside) prober(address string) hello.Prober {
	return hello.Prober{Dial: o.Dial, Address: address, Timeout: o.Timeout}
}

// chainOf fetches a server's chain, the leaf first, with the newest version that does
// not encrypt it; by crypto/tls where only TLS 1.3 is taken.
func (o Outside) chainOf(ctx context.Context, address, name string) ([]*x509.Certificate, error) {
	prober := o.prober(address)
	var refused error
	for _, v := range slices.Backward(hello.Versions()) {
		var chain []*x509.Certificate
		var err error
		if v == hello.TLS13 {
			continue // last
		}
		var answer hello.Answer
		if answer, err = prober.Ask(ctx, hello.Offer(v, suitesWithCertificate(v), name)); err == nil {
			if chain, err = parsed(answer.Certificates); err == nil {
				return chain, nil
			}
		}
		var connect *hello.ConnectError
		if errors.As(err, &connect) || ctx.Err() != nil {
			return nil, err
		}
		if refused == nil {
			refused = err
		}
	}
	chain, err := o.chainByTLS13(ctx, address, name)
	if err != nil {
		return nil, refused
	}
	return chain, nil
}

func (o Outside) chainByTLS13(ctx context.Context, address, name string) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	raw, err := o.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, &hello.ConnectError{Err: err}
	}
	defer raw.Close()
	var chain []*x509.Certificate
	conn := tls.Client(raw, &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: name,
		InsecureSkipVerify: true, //nolint:gosec // the chain is what is looked at; nothing is sent over it
		VerifyConnection: func(s tls.ConnectionState) error {
			chain = s.PeerCertificates
			return nil
		},
	})
	if err := conn.HandshakeContext(ctx); err != nil && len(chain) == 0 {
		return nil, err
	}
	return chain, nil
}

func suitesWithCertificate(v hello.Version) []hello.Suite {
	return slices.DeleteFunc(hello.SuitesOf(v), func(s hello.Suite) bool { return s.Key == hello.Anonymous })
}

// parsed reads certificates; one that cannot be read is an error if it is the leaf, and
// is left out if not.
func parsed(ders [][]byte) (chain []*x509.Certificate, err error) {
	for i, der := range ders {
		certificate, err := x509.ParseCertificate(der)
		if err != nil && i == 0 {
			return nil, fmt.Errorf("the server's certificate cannot be read: %w", err)
		}
		if err == nil {
			chain = append(chain, certificate)
		}
	}
	if len(chain) == 0 {
		return nil, errors.New("the server shows no certificate")
	}
	return chain, nil
}

// joined is a list for a sentence.
func joined[T fmt.Stringer](list []T) string {
	words := make([]string, len(list))
	for i, x := range list {
		words[i] = x.String()
	}
	return strings.Join(words, ", ")
}

func names(suites []hello.Suite) string {
	words := make([]string, len(suites))
	for i, s := range suites {
		words[i] = s.Name
	}
	return strings.Join(words, ", ")
}
