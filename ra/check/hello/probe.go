package hello

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrClosed, ErrReset and ErrSilent are how a server says no without a word.
var (
	ErrClosed = errors.New("the connection was closed without an answer")
	ErrReset  = errors.New("the connection was reset")
	ErrSilent = errors.New("no answer came in time")
)

// A ConnectError is a connection that did not come about: nothing was asked.
type ConnectError struct{ Err error }

func (e *ConnectError) Error() string { return e.Err.Error() }
func (e *ConnectError) Unwrap() error { return e.Err }

// A Prober sends hellos to one server, each over a connection of its own.
type Prober struct {
	Dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil = the network
	Address string                                                               // HOST:PORT
	Timeout time.Duration                                                        // of each connection, from the first packet to the last
}

// Ask sends a hello and returns the answer. Errors are a *ConnectError, an Alert, one of
// ErrClosed, ErrReset and ErrSilent, a *NotTLS, or what cannot be read.
func (p Prober) Ask(ctx context.Context, c Client) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	dial := p.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, "tcp", p.Address)
	if err != nil {
		return Answer{}, &ConnectError{err}
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return Answer{}, &ConnectError{err}
	}
	// From here on it may be closed at any time, and what then fails is asRefusal's.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	data, err := c.Marshal(rand.Reader)
	if err != nil {
		return Answer{}, err
	}
	if _, err := conn.Write(data); err != nil {
		return Answer{}, asRefusal(ctx, err)
	}
	a, err := ReadAnswer(conn)
	if err != nil {
		return a, asRefusal(ctx, err)
	}
	return a, nil
}

// resetOnWindows is WSAECONNRESET, which package syscall has on Windows alone, and where
// ECONNRESET is another number.
const resetOnWindows = syscall.Errno(10054)

// asRefusal tells how a connection ended.
func asRefusal(ctx context.Context, err error) error {
	var other *NotTLS
	var alert Alert
	switch {
	case errors.As(err, &other), errors.As(err, &alert):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrClosed
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, resetOnWindows):
		return ErrReset
	case errors.Is(err, os.ErrDeadlineExceeded), ctx.Err() != nil:
		return ErrSilent
	}
	return err
}
