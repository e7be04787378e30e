package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ciscora/internal/printable"
)

// Options are what all probes of a server have in common.
type Options struct {
	Timeout time.Duration // of each step; 0 = 10 s, as CES has
	Now     func() time.Time
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

func (o Options) complete() Options {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Resolve == nil {
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return o
}

// step is the context of one step.
func (o Options) step(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, o.Timeout)
}

// maxAddresses bounds how many addresses of a name are tried.
const maxAddresses = 16

// endpoint is a server on the network, as far as it has been looked at.
type endpoint struct {
	o          Options
	kind       string // the findings' names begin with it: "ca", "est"
	host, port string
	takesSHA1  bool         // the client does, in certificates: that of the profile cucm-12.5
	open       []netip.Addr // addresses that take connections
	timedOut   bool         // nothing came in a time that is shorter than its clients give it
}

// silence is why nothing can be looked at where reach has found no address that takes
// connections.
func (e *endpoint) silence(r *Report) string {
	if r.was(e.kind+".resolve", Fail) {
		return "see " + e.kind + ".resolve"
	}
	return "nothing answers at " + e.address()
}

// address names the server as curl does.
func (e *endpoint) address() string { return net.JoinHostPort(e.host, e.port) }

// reach looks up the name and connects to each of its addresses. It returns false where
// none takes a connection; the report says so then.
func (e *endpoint) reach(ctx context.Context, r *Report) bool {
	addrs, ok := e.lookUp(ctx, r)
	if !ok {
		return false
	}
	name := e.kind + ".tcp"
	var closed []Finding
	for _, a := range addrs {
		start := e.o.Now()
		at := net.JoinHostPort(a.String(), e.port)
		conn, err := e.dialTo(ctx, a)
		if err != nil {
			closed = append(closed, Finding{
				Name: name, State: Fail, Seen: fmt.Sprintf("%s: %s", at, reasonOf(err)), Symptom: e.unreachable(err),
				Reason: "nothing answers at this address: the service does not run, or a firewall or a route is in the way",
				Fix:    e.opens(),
			})
			continue
		}
		conn.Close()
		e.open = append(e.open, a)
		r.OK(name, fmt.Sprintf("%s takes connections (%s)", at, e.o.took(start)))
	}
	for _, f := range closed {
		if len(e.open) > 0 { // clients go on to the next, after a while
			f.State = Warn
			f.Reason += "; clients that meet it first lose time, or fail"
		}
		r.Add(f)
	}
	return len(e.open) > 0
}

// opens is what lets an address take connections.
func (e *endpoint) opens() string {
	fix := fmt.Sprintf("start the service, open TCP port %s between here and there", e.port)
	if net.ParseIP(e.host) != nil {
		return fix + ", or correct the address and the port in the URL"
	}
	return fix + ", correct the port in the URL, or take the address out of DNS"
}

func (e *endpoint) lookUp(ctx context.Context, r *Report) ([]netip.Addr, bool) {
	name := e.kind + ".resolve"
	if a, err := netip.ParseAddr(e.host); err == nil {
		r.OK(name, e.host+" is an address")
		return []netip.Addr{a}, true
	}
	ctx, cancel := e.o.step(ctx)
	defer cancel()
	addrs, err := e.o.Resolve(ctx, e.host)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no address", Name: e.host, IsNotFound: true}
	}
	if err != nil {
		f := Finding{
			Name: name, State: Fail, Seen: fmt.Sprintf("%s: %s", e.host, reasonOf(err)), Symptom: e.unresolved(ctx, err),
			Reason: "the name has no address in this machine's DNS",
			Fix:    "correct the host in the URL, add the name to DNS, or correct the name servers of this machine",
		}
		if isTimeout(err) {
			f.Reason, f.Fix = fmt.Sprintf("no name server has answered in %s", e.o.Timeout), "correct the name servers of this machine, or open the way to them; --timeout gives them longer"
		}
		r.Add(f)
		return nil, false
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortStableFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	seen := e.host + " is " + strings.Join(words, ", ")
	if len(addrs) > maxAddresses {
		addrs = addrs[:maxAddresses]
		seen += fmt.Sprintf("; the first %d are tried", maxAddresses)
	}
	r.OK(name, printable.Line(seen, 500))
	return addrs, true
}

// dial connects to the first address that took a connection.
func (e *endpoint) dial(ctx context.Context) (net.Conn, error) {
	if len(e.open) == 0 {
		return nil, errors.New("no address takes connections")
	}
	return e.dialTo(ctx, e.open[0])
}

// dialName is dial for a client that knows but the name.
func (e *endpoint) dialName(ctx context.Context, _, _ string) (net.Conn, error) { return e.dial(ctx) }

func (e *endpoint) dialTo(ctx context.Context, a netip.Addr) (net.Conn, error) {
	ctx, cancel := e.o.step(ctx)
	defer cancel()
	return e.o.Dial(ctx, "tcp", net.JoinHostPort(a.String(), e.port))
}

// unreachable and unresolved are how the product's client tells it: CES is one of the
// CA, libest one of EST servers.
func (e *endpoint) unreachable(err error) string {
	if e.kind == kindEST {
		return "EST client: Enrollment rv = 43 (EST_ERR_IP_CONNECT)"
	}
	if isTimeout(err) {
		return cesLogIn(28, fmt.Sprintf("Connection timed out after %d milliseconds", e.o.Timeout.Milliseconds()), "")
	}
	return cesLogIn(7, fmt.Sprintf("Failed to connect to %s port %s: Connection refused", e.host, e.port), "")
}

func (e *endpoint) unresolved(ctx context.Context, err error) string {
	if e.kind == kindEST {
		return "EST client: Enrollment rv = 42 (EST_ERR_IP_GETADDR)"
	}
	var dns *net.DNSError
	if ctx.Err() != nil || errors.As(err, &dns) && dns.IsTimeout {
		return cesLogIn(28, fmt.Sprintf("Resolving timed out after %d milliseconds", e.o.Timeout.Milliseconds()), "")
	}
	return cesLogIn(6, fmt.Sprintf("Could not resolve: %s (Domain name not found)", e.host), "")
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// reasonOf is the innermost reason of an error of the network, on one line.
func reasonOf(err error) string {
	if isTimeout(err) {
		return "no answer in time"
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	return printable.Line(err.Error(), 200)
}

func (o Options) took(start time.Time) string {
	return o.Now().Sub(start).Round(time.Millisecond).String()
}

// short is a foreign text that may be printed, oneLine an error.
func short(s string) string    { return printable.Line(s, 300) }
func oneLine(err error) string { return printable.Line(err.Error(), 500) }
