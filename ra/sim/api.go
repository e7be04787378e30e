package sim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"ciscora/msca"
	"ciscora/ra"
	"ciscora/ra/access"
	"ciscora/ra/ledger"
)

// All that this package knows of the core's API stands in this file.

const (
	// scriptTimeout is for how long, at most, a plan lets a POST without an answer
	// be on its way or at work: after it the core may say that it is not there.
	scriptTimeout = 90 * time.Second
	// converge is how long after the calm the last client may wait for its answer:
	// a POST whose answer is lost in the last moment, and the Retry-After of a
	// request that waits for a manager, twice.
	converge = 15 * time.Minute
	// longestRetry comes on top where clocks step: the Retry-After of what waits for a
	// manager is what such requests took by the wall clock, an hour at most.
	longestRetry = time.Hour

	account  = `LAB\ciscora`
	password = "correct horse"

	plainTemplate      = "CiscoRA"
	supervisedTemplate = "Supervised"
	directoryTemplate  = "Directory"
)

// core is one replica's RA.
type core struct {
	ra   *ra.RA
	stop context.CancelFunc
	done chan error
}

// coreOptions is what the world hands to a replica.
type coreOptions struct {
	dial   func(context.Context, string, string) (net.Conn, error)
	roots  *x509.CertPool
	ledger *ledger.Ledger
	now    func() time.Time
	events func(ra.Event)
	plan   Plan
	delay  time.Duration // before it runs: replicas do nothing in step
}

func openLedger(ctx context.Context, file string, now func() time.Time) (*ledger.Ledger, error) {
	return ledger.Open(ctx, "sqlite:"+file, ledger.Options{Replica: "sim", Now: now})
}

// newCore makes and runs an RA.
func newCore(o coreOptions) (*core, error) {
	r, err := ra.New(ra.Options{
		CA: msca.Options{
			URL: "https://ca.sim.test/certsrv", Dial: o.dial, Now: o.now,
			TLS:       &tls.Config{RootCAs: o.roots, MinVersion: tls.VersionTLS13},
			UserAgent: "ra", Renewal: msca.RenewalNewest, ChannelBinding: true,
			Timeouts: msca.Timeouts{Request: o.plan.timeout()},
		},
		Access: access.Options{
			Credentials: func() (msca.Credentials, error) { return msca.Credentials{User: account, Password: password}, nil },
			Lockout:     access.Lockout{Failures: 3, For: 15 * time.Minute},
		},
		Template: plainTemplate,
		Labels: map[string]ra.Label{
			string(Supervised): {Template: supervisedTemplate},
			string(Directory):  {Template: directoryTemplate},
		},
		InFlight: 32, Patience: time.Minute, ScriptTimeout: scriptTimeout,
		Ledger: o.ledger, Join: o.plan.join(), Now: o.now,
		Events: func(_ context.Context, e ra.Event) { o.events(e) },
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &core{ra: r, stop: cancel, done: make(chan error, 1)}
	go func() {
		time.Sleep(o.delay)
		c.done <- r.Run(ctx)
	}()
	return c, nil
}

// close ends the RA as SIGTERM does.
func (c *core) close() error {
	c.stop()
	err := <-c.done
	c.ra.Close()
	return err
}

// reply is what a client is answered with.
type reply struct {
	certificate *x509.Certificate
	status      int // 200 with a certificate
	retry       time.Duration
	err         error
	delivered   func() // the client has read the answer
}

// ask is one request of a client.
func (c *core) ask(ctx context.Context, from, user string, label Label, csr *x509.CertificateRequest) reply {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://ra.sim.test/.well-known/est/simpleenroll", nil)
	if err != nil {
		return reply{err: err}
	}
	req.RemoteAddr = from
	req.SetBasicAuth(user, password)
	ctx, err = c.ra.Authenticate(req, string(label))
	if err != nil {
		return refusal(err)
	}
	certificate, err := c.ra.Enroll(ctx, csr, string(label), req)
	if err != nil {
		return refusal(err)
	}
	return reply{certificate: certificate, status: http.StatusOK, delivered: func() { c.ra.Delivered(ctx) }}
}

func refusal(err error) reply {
	var answer *ra.Error
	if errors.As(err, &answer) {
		return reply{status: answer.Status, retry: answer.Retry, err: err}
	}
	return reply{err: err}
}

// orphanOf returns the ledger's row that an event tells to be a possible orphan.
func orphanOf(e ra.Event) (o ra.PossibleOrphan, ok bool) {
	o, ok = e.(ra.PossibleOrphan)
	return o, ok
}

// describe is what a history shows of an event; "" for those that are not shown.
func describe(e ra.Event) string {
	switch e := e.(type) {
	case ra.PossibleOrphan:
		return fmt.Sprintf("possible orphan %v", e.Candidates)
	case ra.NeverArrived:
		return "never arrived"
	case ra.Found:
		return "found"
	case ra.Recovered:
		return "recovered"
	case ra.LedgerFailed:
		return "ledger failed: " + e.What
	}
	return ""
}

// direct is another client of the CA: CES, or a person.
type direct struct {
	client  *msca.Client
	session *msca.Session
}

func newDirect(dial func(context.Context, string, string) (net.Conn, error), roots *x509.CertPool) (*direct, error) {
	client, err := msca.New(msca.Options{
		URL: "https://ca.sim.test/certsrv", Dial: dial, UserAgent: "other", Renewal: msca.RenewalNewest, ChannelBinding: true,
		TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
	})
	return &direct{client: client}, err
}

// submit enrolls; where it fails nobody minds.
func (d *direct) submit(ctx context.Context, csr *x509.CertificateRequest, template string) {
	if d.session == nil || !d.session.Alive() {
		session, err := d.client.Login(ctx, msca.Credentials{User: account, Password: password})
		if err != nil {
			return
		}
		d.session = session
	}
	if _, err := d.session.Submit(ctx, csr, template, nil); err != nil {
		d.close()
	}
}

func (d *direct) close() {
	if d.session != nil {
		d.session.Close()
		d.session = nil
	}
}
