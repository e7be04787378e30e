package capf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Options is what a [Client] is made of. URL and Roots are required.
type Options struct {
	// URL is the EST server, https://HOST:PORT with nothing behind it; port 443
	// where it names none.
	URL string
	// Label is the additional path segment (RFC 7030 §3.2.2); "" is none.
	Label string
	// Roots are the trust anchors for the server's certificate.
	Roots *x509.CertPool
	// ServerName is the name that the certificate must carry and that SNI
	// sends; "" is the URL's host.
	ServerName string
	// User and Password answer a Basic challenge. Without a User a challenge
	// ends in StatusAuthFail.
	User, Password string
	// Certificate is shown to a server that asks for one; Reenroll needs it.
	Certificate *tls.Certificate
	// Timeout is for connecting, for the TLS handshake, and for each read of
	// the answer; 0 is libest's 10 s.
	Timeout time.Duration
	// UserAgent is CAPF's "Cisco EST client 1.0" where empty.
	UserAgent string
	// Dial opens the TCP connection; nil is net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Events hears what happens, from the goroutine that enrolls; nil is nobody.
	Events func(Event)
	// Now is the clock for certificates' dates and for durations; nil is
	// time.Now. Time-outs run on the system's clock.
	Now func() time.Time
}

// String names the server. Neither user nor password is in it.
func (o Options) String() string { return "EST client of " + redacted(o.URL) }

// GoString is String: %#v shows no password either.
func (o Options) GoString() string { return o.String() }

// Client is a CAPF. It is safe for concurrent use; every operation has
// connections of its own.
type Client struct {
	opts    Options
	host    string // without port
	address string // host:port, as in the Host header
	prefix  string // of the path: /.well-known/est[/LABEL]/
	count   atomic.Int64
}

// String names the server.
func (c *Client) String() string { return c.opts.String() }

// GoString is String.
func (c *Client) GoString() string { return c.opts.String() }

// New checks the options; it opens no connection.
func New(opts Options) (*Client, error) {
	u, err := url.Parse(opts.URL)
	if err != nil {
		return nil, errors.New("EST server: the URL cannot be parsed; it must look like https://host:8084")
	}
	switch {
	case u.User != nil:
		return nil, errors.New("EST server: the URL carries credentials; hand them in as user and password")
	case u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("EST server %q: the URL must look like https://host:8084, without a path", u.Redacted())
	case opts.Roots == nil:
		return nil, fmt.Errorf("EST server %q: no trust anchors for its certificate; hand in the CA's root", u.Redacted())
	case !validLabel(opts.Label):
		return nil, fmt.Errorf("label %q: must be one path segment, at most 128 of letters, digits and any of -._~:!$&'()*+,;=@", opts.Label)
	case strings.Contains(opts.User, ":"):
		return nil, errors.New("user: must not contain a colon (RFC 7617 section 2)")
	case strings.ContainsAny(opts.UserAgent, "\r\n\x00"):
		return nil, errors.New("user agent: must be one line")
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "Cisco EST client 1.0"
	}
	if opts.ServerName == "" {
		opts.ServerName = u.Hostname()
	}
	if opts.Dial == nil {
		opts.Dial = (&net.Dialer{}).DialContext
	}
	if opts.Events == nil {
		opts.Events = func(Event) {}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	c := &Client{opts: opts, host: u.Hostname(), address: net.JoinHostPort(u.Hostname(), port), prefix: "/.well-known/est/"}
	if opts.Label != "" {
		c.prefix += opts.Label + "/"
	}
	return c, nil
}

// validLabel tells whether label is none, or one path segment that needs no
// escaping and that libest's server takes (docs/reference/libest.md, "Limits").
func validLabel(label string) bool {
	for _, r := range label {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-._~:!$&'()*+,;=@", r): // pchar of RFC 3986 §3.3
		default:
			return false
		}
	}
	return len(label) <= 128 && label != "." && label != ".."
}

func redacted(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "an unreadable URL"
	}
	return u.Redacted()
}

// Result is one enrollment. Err is nil exactly if Certificates holds the
// certificate for the CSR's key.
type Result struct {
	RV           Status
	PKCS7        []byte              // base64, as it came
	Certificates []*x509.Certificate // the device's own first
	HTTPStatus   int                 // of the last answer; 0 without one
	RetryAfter   time.Duration       // with StatusEnrollRetry
	Duration     time.Duration
	Challenged   bool // the anonymous request was answered with 401
	Resumed      bool // the second connection resumed the first one's TLS session
	// Err says why, for people; it is an *Error. It may be set although RV is
	// StatusNone: libest does not look into the PKCS#7, so what is no
	// certificate shows only when CAPF converts it.
	Err error
}

// DER is the device's certificate; nil without one.
func (r Result) DER() []byte {
	if len(r.Certificates) == 0 {
		return nil
	}
	return r.Certificates[0].Raw
}

// PEM is the device's certificate and what else came, the device's own first;
// nil without one.
func (r Result) PEM() []byte {
	var out []byte
	for _, cert := range r.Certificates {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return out
}

// CACerts asks for the CA's certificates, without credentials (RFC 7030
// §4.1.2), and verifies them against the roots among them as libest does
// (docs/reference/libest.md L4, L12). Its error is an [Error].
func (c *Client) CACerts(ctx context.Context) ([]*x509.Certificate, error) {
	o := c.run(ctx, cacerts, same(nil), nil)
	if o.err != nil {
		return nil, o.err
	}
	certs, err := certificates(o.payload)
	if err != nil {
		return nil, &Error{Operation: cacerts.name, RV: StatusLoadCACerts, HTTPStatus: o.status, Reason: "the CA certificates cannot be read", Err: err}
	}
	if err := verifyAmongThemselves(certs, c.opts.Now()); err != nil {
		return nil, &Error{Operation: cacerts.name, RV: StatusCACertVerification, HTTPStatus: o.status, Reason: "the CA certificates do not verify against the roots among them", Err: err}
	}
	return certs, nil
}

// Enroll sends a CSR in DER to /simpleenroll (RFC 7030 §4.2.1). device names the
// phone in events.
func (c *Client) Enroll(ctx context.Context, device string, csrDER []byte) Result {
	return c.enroll(ctx, simpleEnroll, device, csrDER, same(wrapBase64(csrDER)))
}

// Reenroll sends a CSR in DER to /simplereenroll (RFC 7030 §4.2.2), showing
// Options.Certificate.
func (c *Client) Reenroll(ctx context.Context, device string, csrDER []byte) Result {
	return c.enroll(ctx, simpleReenroll, device, csrDER, same(wrapBase64(csrDER)))
}

func (c *Client) enroll(ctx context.Context, op operation, device string, csrDER []byte, body payload) (r Result) {
	start := c.opts.Now()
	which := Enrollment{Index: c.count.Add(1), Device: device}
	c.opts.Events(EnrollStarted{which})
	defer func() {
		r.Duration = c.opts.Now().Sub(start)
		done := EnrollDone{Enrollment: which, RV: r.RV, Err: r.Err}
		if len(r.Certificates) > 0 {
			done.Key = r.Certificates[0].PublicKey
		}
		c.opts.Events(done)
	}()

	csr, err := x509.ParseCertificateRequest(csrDER)
	if err != nil {
		return refused(op, StatusBadPKCS10, "the CSR cannot be parsed; it must be PKCS#10 in DER", err)
	}
	if op == simpleReenroll && c.opts.Certificate == nil {
		return refused(op, StatusNoCert, "no client certificate to re-enroll with; hand in the device's own and its key", nil)
	}
	c.opts.Events(CSRRead{which})

	o := c.run(ctx, op, body, func() { c.opts.Events(Challenged{which}) })
	r = Result{
		RV: o.rv, PKCS7: o.payload, HTTPStatus: o.status, RetryAfter: o.retryAfter,
		Challenged: o.challenged, Resumed: o.resumed, Err: o.failure(),
	}
	c.opts.Events(EnrollFinished{Enrollment: which, RV: r.RV, PKCS7Length: len(r.PKCS7), HTTPStatus: r.HTTPStatus})
	if r.Err != nil {
		return r
	}
	r.Certificates, err = deviceCertificates(r.PKCS7, csr)
	if err != nil {
		r.Err = &Error{Operation: op.name, HTTPStatus: r.HTTPStatus, Reason: "the answer cannot be converted to a certificate", Err: err}
		return r
	}
	c.opts.Events(CertificateWritten{which})
	return r
}

func refused(op operation, rv Status, reason string, err error) Result {
	return Result{RV: rv, Err: &Error{Operation: op.name, RV: rv, Reason: reason, Err: err}}
}
