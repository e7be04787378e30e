package hello

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// A Responder answers hellos as a server with certain limits does, also with what
// crypto/tls cannot speak. It shakes no hands: behind its hello there is nothing.
type Responder struct {
	Versions []Version
	Suites   []uint16 // in the order of its preference; of TLS 1.3 none
	RSA, EC  [][]byte // certificate chains, DER; a suite without its own is not chosen
	// Refuse is what it does with a hello that it does not take.
	Refuse Refusal
}

// A Refusal is how a server turns a hello down.
type Refusal string

// The ways of refusing.
const (
	WithAlert Refusal = ""      // protocol version, or handshake failure
	WithReset Refusal = "reset" // as TC and CE endpoints do
	WithClose Refusal = "close" // as SChannel does
)

// patience is how long a responder waits for a hello, and then for whoever asked to go.
const patience = 10 * time.Second

// Serve answers whoever connects until ctx ends. It closes the listener.
func (r Responder) Serve(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	defer listener.Close()
	var answering sync.WaitGroup
	defer answering.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		answering.Go(func() { r.answer(ctx, conn) })
	}
}

func (r Responder) answer(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return
	}
	c, err := ReadClient(conn)
	if err != nil {
		return
	}
	answer, err := r.choose(c)
	if err == nil {
		_, _ = conn.Write(answer) // whoever asks sees whether it comes
		_, _ = conn.Read(make([]byte, 1))
		return
	}
	switch r.Refuse {
	case WithAlert:
		var alert Alert
		errors.As(err, &alert)
		_, _ = conn.Write(record(recordAlert, TLS10, []byte{alert.Level, alert.Code}))
	case WithReset:
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // closing then resets
		}
	}
}

// choose answers a hello up to Server Hello Done; the error is an Alert.
func (r Responder) choose(c Client) ([]byte, error) {
	version := Version(0)
	for _, v := range r.Versions {
		if v <= c.Version && v > version {
			version = v
		}
	}
	if version == 0 {
		return nil, Alert{alertFatal, AlertProtocolVersion}
	}
	for _, id := range r.Suites {
		suite := SuiteByID(id)
		chain := r.RSA
		switch suite.Key {
		case ECDHEECDSA:
			chain = r.EC
		case Anonymous:
			chain = nil
		}
		if slices.Contains(c.Suites, id) && suite.From <= version && (len(chain) > 0 || suite.Key == Anonymous) {
			return r.hello(version, suite, chain)
		}
	}
	return nil, Alert{alertFatal, alertHandshakeFailure}
}

func (r Responder) hello(v Version, s Suite, chain [][]byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16(uint16(v))
	b.AddBytes(make([]byte, randomLength))
	b.AddUint8(0) // no session
	b.AddUint16(s.ID)
	b.AddUint8(nullCompression)
	payload := message(messageServerHello, b.BytesOrPanic())
	if len(chain) > 0 {
		var list cryptobyte.Builder
		list.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, der := range chain {
				b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
			}
		})
		body, err := list.Bytes()
		if err != nil {
			return nil, Alert{alertFatal, alertHandshakeFailure}
		}
		payload = append(payload, message(messageCertificate, body)...)
	}
	payload = append(payload, message(messageServerHelloDone, nil)...)
	var out []byte
	for part := range slices.Chunk(payload, 1<<14) {
		out = append(out, record(recordHandshake, v, part)...)
	}
	return out, nil
}
