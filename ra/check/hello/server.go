package hello

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// An Answer is what a server says to a hello that it takes.
type Answer struct {
	Version      Version
	Suite        uint16
	Certificates [][]byte // DER, the leaf first; none where TLS 1.3 encrypts them
	Asks         bool     // for a client's certificate
}

// mostCertificates is how many of a server's are kept.
const mostCertificates = 16

// ReadAnswer reads a server's answer, up to where TLS encrypts or it waits for the
// client. A refusal is an Alert; what is no answer of TLS is a *NotTLS.
func ReadAnswer(r io.Reader) (Answer, error) {
	var a Answer
	m := messages{r: r}
	kind, body, err := m.next()
	if err != nil {
		return a, err
	}
	if kind != messageServerHello {
		return a, fmt.Errorf("handshake message %d where a Server Hello was due", kind)
	}
	if err := a.readHello(body); err != nil || a.Version >= TLS13 {
		return a, err
	}
	for {
		kind, body, err := m.next()
		if err != nil {
			// The Server Hello says what was asked; some servers think long about the
			// rest, or find out only now that they cannot.
			return a, nil //nolint:nilerr // as said
		}
		switch kind {
		case messageCertificate:
			if err := a.readCertificates(body); err != nil {
				return a, err
			}
		case messageServerKeyExchange:
		case messageCertificateRequest:
			a.Asks = true
		default: // Server Hello Done, or what is not due
			return a, nil
		}
	}
}

var errServerHello = errors.New("a Server Hello that cannot be read")

// retryRandom marks a Hello Retry Request (RFC 8446 §4.1.3): it names version and suite
// as a Server Hello does.
func retryRandom() [sha256.Size]byte { return sha256.Sum256([]byte("HelloRetryRequest")) }

func (a *Answer) readHello(body []byte) error {
	s := cryptobyte.String(body)
	var version uint16
	var random []byte
	var session cryptobyte.String
	if !s.ReadUint16(&version) || !s.ReadBytes(&random, randomLength) || !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16(&a.Suite) || !s.Skip(1) {
		return errServerHello
	}
	a.Version = Version(version)
	var extensions cryptobyte.String
	if s.Empty() {
		return nil
	}
	if !s.ReadUint16LengthPrefixed(&extensions) {
		return errServerHello
	}
	for n := 0; !extensions.Empty(); n++ {
		var number uint16
		var value cryptobyte.String
		if n == maxExtensions || !extensions.ReadUint16(&number) || !extensions.ReadUint16LengthPrefixed(&value) {
			return errServerHello
		}
		if number == extensionVersions && !value.ReadUint16(&version) {
			return errServerHello
		}
	}
	a.Version = Version(version)
	if retry := retryRandom(); bytes.Equal(random, retry[:]) && a.Version < TLS13 {
		return errServerHello
	}
	return nil
}

func (a *Answer) readCertificates(body []byte) error {
	s := cryptobyte.String(body)
	var list cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&list) {
		return errors.New("certificates that cannot be read")
	}
	for !list.Empty() && len(a.Certificates) < mostCertificates {
		var der cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&der) {
			return errors.New("certificates that cannot be read")
		}
		a.Certificates = append(a.Certificates, slices.Clone(der))
	}
	return nil
}
