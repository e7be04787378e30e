package endpoint

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"ciscora/ra/check"
	"ciscora/ra/check/hello"
)

// TLSOptions of a check of what a server takes.
type TLSOptions struct {
	Outside
	Address string // HOST:PORT
	Name    string // in the hello; "" = the host's, if it is a name
	Client  string // the one that must get through; "" = all that are known are told of
}

// TLS finds out versions and ciphers, each by a connection of its own, and whether
// clients that are known would get through. An error is one of the command line.
func TLS(ctx context.Context, o TLSOptions, r *check.Report) error {
	chosen, err := clientsNamed(o.Client)
	if err != nil {
		return err
	}
	if o.Name == "" {
		o.Name = serverName(o.Address)
	}
	s := look(ctx, o, chosen)
	s.judge(r, o.Client != "")
	return nil
}

// An outcome is what became of one hello.
type outcome struct {
	answer hello.Answer
	err    error // nil = taken
}

// seen is what a server did. The verdicts are made of it alone.
type seen struct {
	address  string
	versions map[hello.Version]outcome
	suites   map[hello.Version][]hello.Suite // taken, in the server's order where it has one
	cut      map[hello.Version]error         // why the list of suites may be short
	leaves   []leaf
	clients  []clientSeen
}

// A leaf is a certificate that a server shows, and with which ways of exchanging keys.
type leaf struct {
	certificate *x509.Certificate
	keys        []hello.Key
}

type clientSeen struct {
	client
	outcome
}

// mostTimeouts is how many times the time of one connection all of them may take: who
// answers slowly is not asked for every cipher. The five versions and the clients have
// their time in any case.
const mostTimeouts = 30

// look asks the server; a connection that does not come about ends it.
func look(ctx context.Context, o TLSOptions, chosen []client) seen {
	ctx, cancel := context.WithTimeout(ctx, mostTimeouts*o.Timeout)
	defer cancel()
	s := seen{address: o.Address, versions: map[hello.Version]outcome{}, suites: map[hello.Version][]hello.Suite{}, cut: map[hello.Version]error{}}
	prober := o.prober(o.Address)
	for _, v := range hello.Versions() {
		s.versions[v] = ask(ctx, prober, v, hello.SuitesOf(v), o.Name)
		if s.unreachable() != nil {
			return s
		}
	}
	if !s.speaks() {
		return s // and no further silence is waited for
	}
	for _, c := range chosen {
		answer, err := prober.Ask(ctx, c.offer(o.Name))
		s.clients = append(s.clients, clientSeen{c, outcome{answer, err}})
	}
	for _, v := range slices.Backward(hello.Versions()) { // the newest matters most
		if s.versions[v].err == nil {
			s.enumerate(ctx, prober, v, o.Name)
		}
	}
	if len(s.leaves) == 0 && s.versions[hello.TLS13].err == nil {
		if chain, err := o.chainByTLS13(ctx, o.Address, o.Name); err == nil && len(chain) > 0 {
			s.leaves = []leaf{{chain[0], []hello.Key{hello.Any}}}
		}
	}
	return s
}

// An otherAnswer is one with a version or a cipher that was not asked for. A server that
// has only older versions answers so, and is right.
type otherAnswer struct{ hello.Answer }

func (e otherAnswer) Error() string {
	return fmt.Sprintf("the server answers with %s and %s", e.Version, hello.SuiteByID(e.Suite).Name)
}

// ask offers one version and these suites.
func ask(ctx context.Context, p hello.Prober, v hello.Version, suites []hello.Suite, name string) outcome {
	answer, err := p.Ask(ctx, hello.Offer(v, suites, name))
	if err == nil && (answer.Version != v || !slices.ContainsFunc(suites, func(s hello.Suite) bool { return s.ID == answer.Suite })) {
		err = otherAnswer{answer}
	}
	return outcome{answer, err}
}

// enumerate finds the suites of a version: what the server chose is not offered again,
// until it takes nothing.
func (s *seen) enumerate(ctx context.Context, p hello.Prober, v hello.Version, name string) {
	left, got := hello.SuitesOf(v), s.versions[v]
	for got.err == nil {
		suite := hello.SuiteByID(got.answer.Suite)
		s.suites[v] = append(s.suites[v], suite)
		s.addLeaf(got.answer, suite.Key)
		left = slices.DeleteFunc(left, func(x hello.Suite) bool { return x.ID == suite.ID })
		if len(left) == 0 {
			return
		}
		got = ask(ctx, p, v, left, name)
	}
	var connect *hello.ConnectError
	// The connection's deadline is the context's, and may be told before the context knows.
	end, _ := ctx.Deadline()
	switch {
	case ctx.Err() != nil, !time.Now().Before(end):
		s.cut[v] = errAskedLongEnough
	case errors.As(got.err, &connect), errors.Is(got.err, hello.ErrSilent):
		s.cut[v] = got.err
	}
}

// errAskedLongEnough is why a server that answers slowly was not asked for all.
var errAskedLongEnough = fmt.Errorf("the time for asking, %d times that of one connection, was over", mostTimeouts)

func (s *seen) addLeaf(a hello.Answer, key hello.Key) {
	if len(a.Certificates) == 0 {
		return
	}
	chain, err := parsed(a.Certificates[:1])
	if err != nil {
		return
	}
	for i, l := range s.leaves {
		if l.certificate.Equal(chain[0]) {
			if !slices.Contains(l.keys, key) {
				s.leaves[i].keys = append(s.leaves[i].keys, key)
			}
			return
		}
	}
	const most = 8 // a balancer may have a new one at each connection
	if len(s.leaves) < most {
		s.leaves = append(s.leaves, leaf{chain[0], []hello.Key{key}})
	}
}

// unreachable is why no connection came about; nil = one did.
func (s *seen) unreachable() error {
	for _, got := range s.versions {
		var connect *hello.ConnectError
		if errors.As(got.err, &connect) {
			return connect
		}
	}
	return nil
}

// speaks tells whether any version is taken.
func (s *seen) speaks() bool {
	for _, got := range s.versions {
		if got.err == nil {
			return true
		}
	}
	return false
}
