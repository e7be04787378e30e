// Package wire remembers what went over the wire for an enrollment, with the EST client
// and with the CA, for whoever looks at it later: TLS, the requests and answers with
// their headers, the messages of NTLM and SPNEGO field by field. Credentials, tokens,
// cookies and keys are left out as they come in, but for their kind and length; a CSR is
// kept whole, whose attributes, such as a challengePassword, are shown by kind and length.
// All is bounded, by enrollments and by bytes of each.
package wire

import (
	"crypto/x509"
	"slices"
	"time"
)

// Record is what is known of one enrollment. Nothing of it may be changed.
type Record struct {
	Client   *Exchange `json:"client,omitempty"` // with the EST client; nil until its request has come
	Legs     []Leg     `json:"legs"`             // with the CA, in the order in which they ended
	UnderWay []Step    `json:"under_way"`        // of the leg that has not ended
	Lines    []Line    `json:"lines"`            // of the logs
	// Cut says that something was left out, since the enrollment had its bytes.
	Cut bool `json:"cut"`
}

// Leg is one exchange of the enrollment with the CA, and what it was made of.
type Leg struct {
	Name  string    `json:"name"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Kind  string    `json:"kind,omitempty"` // of its failure; "" = none
	// Symbol names the CA's HRESULT, where its page had one.
	Symbol string `json:"symbol,omitempty"`
	Steps  []Step `json:"steps"`
}

// Step is a TLS handshake or an HTTP exchange.
type Step struct {
	Handshake *Handshake `json:"handshake,omitempty"`
	Exchange  *Exchange  `json:"exchange,omitempty"`
}

// Ends are both ends of a connection, as addresses with ports.
type Ends struct {
	Local  string `json:"local"` // the RA's
	Remote string `json:"remote"`
}

// Handshake is a TLS handshake.
type Handshake struct {
	Ends

	Start time.Time     `json:"start"`
	Took  time.Duration `json:"took_ns"`
	TLS   TLS           `json:"tls"`
	Error string        `json:"error,omitempty"`
}

// TLS is what both sides agreed on, as far as they came.
type TLS struct {
	Version string `json:"version,omitempty"`
	Cipher  string `json:"cipher,omitempty"`
	Name    string `json:"server_name,omitempty"`
	Resumed bool   `json:"resumed,omitempty"`
	// Peer is what the other side showed, its own first.
	Peer []*x509.Certificate `json:"-"`
	At   time.Time           `json:"-"` // when dates counted
	Role Role                `json:"-"` // of the peer
}

// Role is what a peer is.
type Role int

// The roles.
const (
	Client Role = iota
	Server
)

// Exchange is an HTTP request and its answer.
type Exchange struct {
	Ends

	Start   time.Time     `json:"start"`
	Took    time.Duration `json:"took_ns"` // 0 as long as there is no answer
	TLS     *TLS          `json:"tls,omitempty"`
	Request Message       `json:"request"`
	Answer  *Message      `json:"answer,omitempty"` // nil = none came whole
	Error   string        `json:"error,omitempty"`
}

// Message is a request or an answer.
type Message struct {
	Line    string   `json:"line"` // its first
	Headers []Header `json:"headers"`
	Body    Body     `json:"body"`
}

// Line is a line of a log.
type Line struct {
	Log  string `json:"log"`
	Text string `json:"text"` // as it was written: whoever shows it makes it printable
	// Leg is the place, in Legs, of the leg that the line tells of; -1 = none.
	Leg int `json:"leg"`
}

// Connections are those that the enrollment used, each once, and the time from which on.
func (r *Record) Connections() (all []Connection) {
	add := func(e Ends, at time.Time) {
		if !slices.ContainsFunc(all, func(c Connection) bool { return c.Ends == e }) {
			all = append(all, Connection{e, at})
		}
	}
	if r.Client != nil {
		add(r.Client.Ends, r.Client.Start)
	}
	steps := slices.Clone(r.UnderWay)
	for _, l := range r.Legs {
		steps = append(steps, l.Steps...)
	}
	for _, s := range steps {
		switch {
		case s.Handshake != nil:
			add(s.Handshake.Ends, s.Handshake.Start)
		case s.Exchange != nil:
			add(s.Exchange.Ends, s.Exchange.Start)
		}
	}
	return all
}

// Connection is one that an enrollment used at a time.
type Connection struct {
	Ends

	At time.Time
}
