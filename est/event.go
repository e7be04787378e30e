package est

import (
	"crypto/x509"
	"net"
	"time"
)

// Event is something that happened at the front end: one of the types of this
// file. Options.Events is called with each on the goroutine that serves, so it
// must return soon; the context is the request's (or, for a connection, the
// server's), so [RequestID] works on it.
type Event interface{ event() }

// Origin says where and when an event happened.
type Origin struct {
	ID     string   // the request's id; "" in the events of a connection
	Conn   int64    // the connection's number, from 1; 0 where Serve was not used
	Client net.Addr // may be nil where Serve was not used
	Server net.Addr // may be nil where Serve was not used
	Time   time.Time
}

// ConnectionOpened reports an accepted TCP connection, before its TLS handshake.
type ConnectionOpened struct{ Origin }

// ConnectionClosed reports the end of a connection.
type ConnectionClosed struct {
	Origin
	Duration time.Duration
}

// Received reports a request whose header is read, before anything is checked.
type Received struct {
	Origin
	Method, URI, Proto string // the request line, as sent
	Path               string // decoded path, without the query
	Operation          string // "simpleenroll"; "" where the path names none
	Label              string // additional path segment, decoded
	UserAgent, Referer string
	Length             int64 // Content-Length; -1 = chunked
	Certificate        bool  // the client showed a TLS certificate, which the listener verified
}

// Challenged reports that a request without credentials is asked for them.
type Challenged struct{ Origin }

// Authenticated reports that the Authenticator let the request pass.
type Authenticated struct {
	Origin
	Duration time.Duration // how long the Authenticator took
}

// AuthenticationFailed reports that the Authenticator refused a request that
// named somebody, or could not tell.
type AuthenticationFailed struct {
	Origin
	Status     int
	Challenged bool // the answer asks for credentials again
	Err        error
	Duration   time.Duration
}

// CSRRead reports a CSR that is well formed and whose signature is right.
type CSRRead struct {
	Origin
	CSR *x509.CertificateRequest
}

// Answered reports the end of a request.
type Answered struct {
	Origin
	Received Received      // what was asked
	Status   int           // 0 = the connection was closed without an answer
	Text     string        // body of an answer that is no certificate, its lines as sent
	Bytes    int64         // body bytes written
	Duration time.Duration // since Received
	Err      error         // why the answer is what it is; nil for a success
	// Delivered says that an enrollment was answered with 200 by one who had not gone
	// before, and that the answer's last byte went into the socket without an error.
	// More cannot be known: whether the client has read it HTTP does not tell.
	Delivered bool
}

func (ConnectionOpened) event()     {}
func (ConnectionClosed) event()     {}
func (Received) event()             {}
func (Challenged) event()           {}
func (Authenticated) event()        {}
func (AuthenticationFailed) event() {}
func (CSRRead) event()              {}
func (Answered) event()             {}
