// Package lab is the whole product on one machine: the built-in Microsoft CA, an
// RA in front of it, and a phone that enrolls. It is what `ra lab` runs, and a
// Go test's way to a complete EST service:
//
//	l, err := lab.Start(ctx, lab.Options{Dir: t.TempDir(), EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0"})
//	defer l.Close()
package lab

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"ciscora/config"
	"ciscora/msca/certsrv"
	"ciscora/ra"
	"ciscora/ra/admin"
	"ciscora/ra/fault"
	"ciscora/ra/ledger"
	"ciscora/ra/server"
)

// The lab's one account and its templates (design, section 3).
const (
	Domain             = "LAB"
	User               = `LAB\ciscora`
	Template           = "CiscoRA"
	WiFiTemplate       = "WiFiClient" // behind the label "wifi"
	SupervisedTemplate = "Supervised" // behind the label "supervised"; a manager must approve
)

// Lab is a running lab.
type Lab struct {
	Dir        string
	Temporary  bool     // Dir was made for this run: whoever started the lab removes it
	ESTURL     string   // https://HOST:PORT
	ForPhones  []string // the same by this machine's own addresses; none where it listens on loopback
	CertsrvURL string   // https://HOST:PORT/certsrv
	AdminURL   string   // http://HOST:PORT
	AdminCurl  string   // the file for curl -K that has the admin port's token; "" where it wants none
	Roots      *x509.CertPool
	User       string // the lab's account
	Password   string
	Made       bool // the password was made for this run
	Profile    config.Profile
	Edited     []Edit // configurations of an earlier run that were edited
	// Faults are ordered here while the lab runs:
	//
	//	l.Faults.Order("certsrv.submit:hang,count=1")
	Faults *fault.Registry

	others  []*x509.Certificate // Variant.Trust
	draws   draws
	keys    []crypto.Signer // of the RA's certificates, the cheapest first
	options Options
	at      struct{ est, certsrv, admin admin.InfoAddress }
	book    *logBook
	network Network
	flight  *flight
	record  *recording
	pages   *pages
	ca      *CA
	ra      *server.Server
	creds   config.Credentials
	now     func() time.Time

	cancel context.CancelFunc
	done   chan struct{} // closed when both servers have ended
	err    error         // of either; read it after done
	issued int           // in the end; read it after done
}

// Edit is a configuration that was edited, and where that is kept.
type Edit struct{ File, Kept string }

// Start brings up the CA and the RA and returns once both listen; the RA logs in
// meanwhile, see [Lab.Ready]. The lab ends with [Lab.Close] or with ctx. An
// address in use is an error that names the flag and the remedy.
func Start(ctx context.Context, o Options) (_ *Lab, err error) {
	o = o.withDefaults()
	dir, err := stateFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	l := &Lab{Dir: dir, Temporary: o.Dir == "", Profile: o.Profile, Faults: o.Faults, others: o.Variant.Trust, draws: draws{o.Seed}, options: o, network: o.Network, flight: newFlight(), book: newLogBook(o.Now), record: newRecording(o.Now, o.Unrecorded), now: o.Now, done: make(chan struct{})}
	for _, spec := range o.Early {
		if _, err := l.Faults.Order(spec); err != nil {
			return nil, err
		}
	}
	var opened closers
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.Close())
		}
		if err != nil && l.Temporary {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err = l.keepSeed(); err != nil {
		return nil, err
	}
	var listeners [3]net.Listener
	for i, at := range []struct{ flag, address string }{{"--certsrv", o.Certsrv}, {"--est", o.EST}, {"--admin", o.Admin}} {
		if listeners[i], err = o.Network.Listen(ctx, at.address); err != nil {
			return nil, fmt.Errorf("%s: %w", at.flag, err)
		}
		opened = append(opened, listeners[i])
	}
	caListener, estListener, adminListener := listeners[0], listeners[1], listeners[2]
	l.ESTURL = "https://" + reachable(estListener.Addr())
	l.ForPhones = urlsBeyondLoopback(estListener.Addr())
	l.CertsrvURL = "https://" + reachable(caListener.Addr()) + "/certsrv"
	l.AdminURL = "http://" + reachable(adminListener.Addr())
	l.at.est, l.at.certsrv, l.at.admin = placeOf(l.ESTURL+"/.well-known/est", estListener), placeOf(l.CertsrvURL, caListener), placeOf(l.AdminURL, adminListener)

	// Both servers run with the very files that they leave in the folder, so
	// what works here works with `ra serve` and `ra certsrv` too.
	if l.creds, err = l.account(o.User, o.Password); err != nil {
		return nil, err
	}
	l.User, l.Password = l.creds.User, string(l.creds.Password)
	hosts := append(hostsOf(estListener.Addr()), o.Hosts...)
	caYAML, raYAML := l.certsrvConfig(caListener.Addr()), l.raConfig(estListener.Addr(), caListener.Addr(), adminListener.Addr())
	raYAML.EST.Lockout.Failures = o.Lockout
	o.Variant.apply(&raYAML, &caYAML)
	caConfig, err := l.writeCertsrvConfig(caYAML)
	if err != nil {
		return nil, err
	}
	alone := func(context.Context) bool { return true } // until it is known better
	calls := newCallers(l.book, func(ctx context.Context) bool { return alone(ctx) })
	if l.ca, err = OpenCA(caConfig, CAOptions{Around: l.flight.around, Seen: func(e certsrv.AccessEntry) { calls.seen(e); l.record.caLine(e) }, Logger: o.Logger.Named("certsrv"), Now: o.Now, Faults: l.Faults, Logged: o.Logged, KeyLog: l.record.keys(o.KeyLog), NewKey: o.NewKey, Rand: l.draws.stream("serials"), Port: o.Variant.port()}); err != nil {
		return nil, err
	}
	opened = append(opened, l.ca)
	l.Roots = x509.NewCertPool()
	l.Roots.AddCert(l.ca.Root())
	raConfig, err := l.writeRAConfig(raYAML, hosts)
	if err != nil {
		return nil, err
	}
	hooks := FaultHooks(l.Faults, func(kind, value string) (tls.Certificate, error) {
		return l.ca.Shape(kind, value, hosts)
	})
	hooks.Middleware = append([]func(http.Handler) http.Handler{l.learnNames}, hooks.Middleware...)
	setApart(&hooks)
	if raConfig.CA.Sessions != config.SessionsPerEnrollment {
		alone = hooks.Isolate
	}
	if o.AnyHost {
		shaped, anyHost := hooks.TLS, l.anyHost(hosts, l.keys)
		hooks.TLS = func(c *tls.Config) *tls.Config { return shaped(anyHost(c)) }
	}
	hooks.TLS = keyLogged(hooks.TLS, l.record.keys(o.KeyLog))
	hooks.Listener = l.record.listener(hooks.Listener)
	hooks.Middleware = append(slices.Clone(o.Middleware), hooks.Middleware...)
	l.Faults.Behind(l.ca)
	hooks.Dial = func(server.DialFunc) server.DialFunc {
		return calls.dial(l.Faults.Dial(l.record.capture.Dial(l.dialCA(caListener.Addr()))))
	}
	hooks.Resolve = func(server.ResolveFunc) server.ResolveFunc { return l.Faults.Resolve(resolver(caConfig.Hosts)) }
	serverOptions := server.Options{
		EST: estListener, Admin: adminListener, Requests: l.ca.Queue(), Faults: AdminFaults(l.Faults), Hooks: hooks, Wire: l.record.wire, Logger: o.Logger, Now: o.Now,
	}
	l.pages = l.newPages(o)
	serverOptions.LabPages = l.pages.options()
	serverOptions.OpenAdmin, serverOptions.AdminHosts = o.OpenAdmin, o.Hosts
	serverOptions.Lab, serverOptions.Lines, serverOptions.Version = l.admin(hosts, raConfig.CA.Template), l.lines, o.Version
	if raConfig.Admin.Guarded() && !o.OpenAdmin {
		l.AdminCurl = l.Path(fileAdminCurl)
	}
	serverOptions.Events = o.events(l.flight)
	if l.ra, err = server.New(ctx, raConfig, serverOptions); err != nil {
		return nil, err
	}
	l.run(ctx, caListener)
	return l, nil
}

// events is who hears the RA's events; they come after the emulated logs' own.
func (o Options) events(f *flight) func(context.Context, any) {
	watch, logged := func(context.Context, any) {}, func() {}
	if o.Watch != nil {
		watch = steps(o.Watch)
	}
	if o.Logged != nil {
		logged = o.Logged
	}
	return func(ctx context.Context, event any) {
		watch(ctx, event)
		f.event(event)
		logged()
	}
}

// run serves until ctx ends or one of the two servers does. The CA ends after
// the RA: what the RA still has in flight needs its answers.
func (l *Lab) run(ctx context.Context, caListener net.Listener) {
	ctx, l.cancel = context.WithCancel(ctx)
	caCtx, endCA := context.WithCancel(context.WithoutCancel(ctx))
	var raErr, caErr error
	var servers sync.WaitGroup
	servers.Go(func() {
		defer endCA()
		raErr = l.ra.Run(ctx)
	})
	servers.Go(func() {
		defer l.cancel()
		caErr = l.ca.Serve(caCtx, caListener)
	})
	servers.Go(func() {
		<-ctx.Done()
		l.pages.phones.Close()
	})
	go func() {
		defer close(l.done)
		servers.Wait()
		l.issued = l.ca.Count(certsrv.DispositionIssued)
		l.err = errors.Join(raErr, caErr, l.ca.Close())
	}()
}

// Ready waits until the RA has logged in to the CA and holds its chain. It
// fails with ctx, or when the lab ended.
func (l *Lab) Ready(ctx context.Context) error {
	return l.until(ctx, "the RA is not ready", func(r ra.Readiness) bool { return r.Ready })
}

// Tried waits until the RA has tried to log in to the CA, well or not.
func (l *Lab) Tried(ctx context.Context) error {
	return l.until(ctx, "the RA has not tried to log in", func(r ra.Readiness) bool { return r.Tried })
}

// until waits until the RA is as it should be; without says what it is otherwise.
func (l *Lab) until(ctx context.Context, without string, is func(ra.Readiness) bool) error {
	for {
		state := l.ra.Ready()
		if is(state) {
			return nil
		}
		select {
		case <-state.Changed:
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: %w", without, state.Reason, ctx.Err())
		case <-l.done:
			return errors.Join(errors.New("the lab has ended"), l.err)
		}
	}
}

// NotReady says why the RA cannot enroll; "" when it can.
func (l *Lab) NotReady() string {
	if state := l.ra.Ready(); !state.Ready {
		return state.Reason
	}
	return ""
}

// Issued is how many certificates the built-in CA has issued; the lab may have ended.
func (l *Lab) Issued() int {
	select {
	case <-l.done:
		return l.issued
	default:
		return l.ca.Count(certsrv.DispositionIssued)
	}
}

// Decide approves, or denies, the newest request that waits for a manager.
func (l *Lab) Decide(approve bool) error {
	for _, r := range slices.Backward(l.ca.Recent(recentRequests)) {
		switch {
		case r.Disposition != certsrv.DispositionPending:
		case approve:
			return l.ca.Approve(r.ID)
		default:
			return l.ca.Deny(r.ID)
		}
	}
	return errors.New("no request waits for a manager")
}

// Finish ends the lab as [Lab.Close] does, and tells how many certificates the
// ledger counts as not collected, those that there may be included, once nothing
// is in flight any more.
func (l *Lab) Finish(orphans func(int)) error {
	if err := l.Close(); err != nil {
		return err
	}
	book, err := ledger.OpenReadOnly(context.Background(), "sqlite:"+l.Path("ra.db"), ledger.Options{})
	if err != nil {
		return err
	}
	defer book.Close()
	rows, err := book.List(context.Background(), ledger.Filter{Orphans: true, Limit: 1000})
	if err != nil {
		return err
	}
	orphans(len(rows))
	return nil
}

// MakeCA makes the keys of a lab's CA in a folder, for several labs to share.
func MakeCA(dir string) error {
	made := 0
	newKey := func(string) (crypto.Signer, error) {
		if made++; made <= 2 { // root and issuing CA
			return rsa.GenerateKey(rand.Reader, 2048)
		}
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // of a web server that nobody asks
	}
	ca, err := certsrv.New(certsrv.Options{Dir: dir, Domain: Domain, NewKey: newKey})
	if err != nil {
		return err
	}
	return ca.Close()
}

// Reload does what SIGHUP does to `ra serve` and `ra certsrv`: logs are opened anew,
// and files of certificates, trust and accounts read again.
func (l *Lab) Reload() {
	l.ra.Reload()
	l.ca.Reload()
}

// Wait returns when the lab has ended, with the reason if it did so by itself.
func (l *Lab) Wait() error {
	<-l.done
	return l.err
}

// Close finishes what is in flight and ends the lab. The folder stays.
func (l *Lab) Close() error {
	l.Faults.Clear() // what waits in one holds up the end
	l.cancel()
	return l.Wait()
}

type closers []io.Closer

func (cs closers) Close() error {
	var errs []error
	for _, c := range slices.Backward(cs) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
