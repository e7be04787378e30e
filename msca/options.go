package msca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"
)

// RenewalNewest asks for the chain of the CA's newest certificate.
const RenewalNewest = -1

// Options say which CA, and how it is talked to.
type Options struct {
	// URL is https://host[:port]/certsrv. It goes as it is written, an
	// explicit :443 included, into the Referer and into every URL that is
	// reported, as with CES (docs/reference/certsrv.md 1.4).
	URL string

	// TLS is cloned. It must have RootCAs, or Trust has to be set, and it must not have
	// InsecureSkipVerify; MinVersion (default 1.2), MaxVersion and Time
	// (default Now) are the other fields one would set. The name and the
	// protocols are this package's.
	TLS       *tls.Config
	NameCheck NameCheck

	// Trust, where set, is asked at each handshake for the trust store, in place of
	// TLS.RootCAs: the pool, and its certificates once more, since a pool does not show
	// them. NameCheckCurl needs it: it builds OpenSSL's path to these anchors, under
	// which a certificate that is signed with SHA-1 is taken, too.
	Trust func() (roots *x509.CertPool, anchors []*x509.Certificate)

	// Dial opens the connection (default a net.Dialer). Resolve turns the
	// host into addresses (default the system's resolver if Dial is nil; with
	// Dial and without Resolve, Dial gets the host's name).
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	UserAgent      string // default "CiscoRA 1.0"
	Authentication string // "ntlm" (default), "negotiate" (NTLM under that name) or "basic"
	ChannelBinding bool   // bind NTLM to the server's certificate (Extended Protection)

	// Renewal is the CA certificate whose chain Chain gets: 0 is the oldest
	// and what CES asks for, [RenewalNewest] the newest.
	Renewal  int
	Timeouts Timeouts

	// Observe is told each leg once it has ended, well or not. It is called
	// on the goroutine of the caller of the Session and must not call it.
	Observe func(ctx context.Context, leg Leg)

	// Trace hears what goes over the wire; nil = nobody does.
	Trace *Trace

	Now    func() time.Time // default time.Now
	Logger *zap.Logger      // default none; gets one debug line a leg
}

// Timeouts bound the phases. Zero means the default. If Request is set, it is the
// one budget of each request, from the name's resolution to the last byte, both
// legs of the log-in included, as curl counts; the others are not used then.
type Timeouts struct {
	Resolve   time.Duration // 5 s
	Connect   time.Duration // 10 s
	Handshake time.Duration // 10 s
	Login     time.Duration // 10 s
	Chain     time.Duration // 10 s
	Template  time.Duration // 10 s
	Submit    time.Duration // 120 s: issuing may take the CA over a minute
	Fetch     time.Duration // 30 s
	Request   time.Duration // none

	// Unacknowledged is how long what was sent may stay unacknowledged; the default is
	// UserTimeout, and so is the most: others rely on it.
	Unacknowledged time.Duration
}

func (t Timeouts) unacknowledged() time.Duration {
	if t.Unacknowledged == 0 {
		return UserTimeout
	}
	return t.Unacknowledged
}

// of returns the time a phase may take.
func (t Timeouts) of(p Phase) time.Duration {
	if t.Request > 0 {
		return t.Request
	}
	d, standard := time.Duration(0), 10*time.Second
	switch p {
	case PhaseResolve:
		d, standard = t.Resolve, 5*time.Second
	case PhaseConnect:
		d = t.Connect
	case PhaseHandshake:
		d = t.Handshake
	case PhaseLogin:
		d = t.Login
	case PhaseChain:
		d = t.Chain
	case PhaseTemplate:
		d = t.Template
	case PhaseSubmit:
		d, standard = t.Submit, 120*time.Second
	case PhaseFetch:
		d, standard = t.Fetch, 30*time.Second
	}
	if d == 0 {
		return standard
	}
	return d
}

func (t Timeouts) valid() error {
	for _, d := range []time.Duration{t.Resolve, t.Connect, t.Handshake, t.Login, t.Chain, t.Template, t.Submit, t.Fetch, t.Request, t.Unacknowledged} {
		if d < 0 {
			return fmt.Errorf("msca: time-out %v is negative", d)
		}
	}
	if t.Unacknowledged > UserTimeout {
		return fmt.Errorf("msca: %v without an acknowledgement: at most %v, on which the search for lost POSTs relies", t.Unacknowledged, UserTimeout)
	}
	return nil
}

// Leg is one step towards the CA, as [Options.Observe] is told of it.
type Leg struct {
	Phase    Phase
	For      Phase  // of a connection that was opened anew for a page: the page's; else ""
	URL      string // the page's; before the log-in the CA's
	Start    time.Time
	Duration time.Duration
	Limit    time.Duration // that it took too long for; 0 = it did not
	Status   int           // of the last answer, 0 without one
	Bytes    int           // of the last answer's body
	ReqID    int           // the CA's number of the request, 0 where there is none
	Err      error         // an [*Error], or nil
}

// Client talks to one CA. It has no state besides its options: use it from any
// number of goroutines.
type Client struct {
	opts   Options
	base   string // Options.URL without a final slash
	url    *url.URL
	scheme authScheme
	tls    *tls.Config
}

// New checks the options and returns a client. It does not connect.
func New(opts Options) (*Client, error) {
	u, err := parseURL(opts.URL)
	if err != nil {
		return nil, err
	}
	scheme, err := schemeNamed(opts.Authentication)
	if err != nil {
		return nil, err
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "CiscoRA 1.0"
	}
	if !printableASCII(opts.UserAgent) {
		return nil, fmt.Errorf("msca: user agent %q: only printable ASCII can be sent", opts.UserAgent)
	}
	if opts.Renewal < RenewalNewest {
		return nil, fmt.Errorf("msca: renewal %d: want 0 or more, or %d for the newest", opts.Renewal, RenewalNewest)
	}
	if err := opts.Timeouts.valid(); err != nil {
		return nil, err
	}
	if opts.Dial == nil {
		opts.Dial = (&net.Dialer{}).DialContext
		if opts.Resolve == nil {
			opts.Resolve = resolve
		}
	}
	c := &Client{opts: opts, base: strings.TrimRight(opts.URL, "/"), url: u, scheme: scheme}
	if c.tls, err = c.clientTLS(); err != nil {
		return nil, err
	}
	return c, nil
}

// URL returns the CA's address as it was configured, without a final slash.
func (c *Client) URL() string { return c.base }

func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		// url.Error repeats the whole URL, and with it what was written
		// before an @.
		return nil, errors.New("msca: the CA's URL cannot be parsed: write https://host/certsrv")
	}
	reason := ""
	switch {
	case u.User != nil:
		return nil, errors.New("msca: the CA's URL holds credentials: they belong into the credentials file")
	case u.Scheme != "https":
		reason = "credentials go over https only"
	case u.Hostname() == "":
		reason = "the host is missing"
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		reason = "a query or fragment has no place in it"
	case strings.Trim(u.Path, "/") == "":
		reason = "the path is missing, in general /certsrv"
	case !printableASCII(s) || strings.Contains(s, " "):
		reason = "only printable ASCII can be sent"
	}
	if reason != "" {
		return nil, fmt.Errorf("msca: the CA's URL %q: %s: write https://host/certsrv", s, reason)
	}
	return u, nil
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
