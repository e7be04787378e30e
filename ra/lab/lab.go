// Package lab is the whole product on one machine: the built-in Microsoft CA, an
// RA in front of it, and a phone that enrolls. It is what `ra lab` runs, and a
// Go test's way to a complete EST service:
//
//	l, err := lab.Start(ctx, lab.Options{Dir: t.TempDir(), EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0"})
//	defer l.Close()
package lab

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"ciscora/config"
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

// Options is what a lab is made of. The zero value listens on the fixed ports of
// `ra lab` and keeps its state in a new temporary folder.
type Options struct {
	Dir     string         // state, kept across runs; "" = a new temporary folder
	EST     string         // the RA's address; "" = 127.0.0.1:8084, port 0 works
	Certsrv string         // the built-in CA's; "" = 127.0.0.1:8443
	Admin   string         // the admin port's; "" = 127.0.0.1:8085
	Profile config.Profile // "" = cucm-12.5
	// Watch sees each step of each enrollment as it happens; nil = nobody does.
	Watch  func(Step)
	Logger *zap.Logger
	Now    func() time.Time
}

// Lab is a running lab.
type Lab struct {
	Dir        string
	ESTURL     string // https://HOST:PORT
	CertsrvURL string // https://HOST:PORT/certsrv
	AdminURL   string // http://HOST:PORT
	Roots      *x509.CertPool
	Profile    config.Profile

	ca    *CA
	ra    *server.Server
	creds config.Credentials
	now   func() time.Time

	cancel context.CancelFunc
	done   chan struct{} // closed when both servers have ended
	err    error         // of either; read it after done
}

// Start brings up the CA and the RA and returns once both listen; the RA logs in
// meanwhile, see [Lab.Ready]. The lab ends with [Lab.Close] or with ctx. An
// address in use is an error that names the flag and the remedy.
func Start(ctx context.Context, o Options) (_ *Lab, err error) {
	o = o.withDefaults()
	dir, err := stateFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	l := &Lab{Dir: dir, Profile: o.Profile, now: o.Now, done: make(chan struct{})}
	var opened closers
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.Close())
		}
	}()
	var listeners [3]net.Listener
	for i, at := range []struct{ flag, address string }{{"--certsrv", o.Certsrv}, {"--est", o.EST}, {"--admin", o.Admin}} {
		if listeners[i], err = server.Listen(ctx, at.address); err != nil {
			return nil, fmt.Errorf("%s: %w", at.flag, err)
		}
		opened = append(opened, listeners[i])
	}
	caListener, estListener, adminListener := listeners[0], listeners[1], listeners[2]
	l.ESTURL = "https://" + reachable(estListener.Addr())
	l.CertsrvURL = "https://" + reachable(caListener.Addr()) + "/certsrv"
	l.AdminURL = "http://" + reachable(adminListener.Addr())

	// Both servers run with the very files that they leave in the folder, so
	// what works here works with `ra serve` and `ra certsrv` too.
	if l.creds, err = loadCredentials(l.Path(fileCredentials)); err != nil {
		return nil, err
	}
	caConfig, err := l.writeCertsrvConfig(caListener.Addr())
	if err != nil {
		return nil, err
	}
	if l.ca, err = OpenCA(caConfig, CAOptions{Logger: o.Logger.Named("certsrv"), Now: o.Now}); err != nil {
		return nil, err
	}
	opened = append(opened, l.ca)
	l.Roots = x509.NewCertPool()
	l.Roots.AddCert(l.ca.Root())
	raConfig, err := l.writeRAConfig(estListener.Addr(), caListener.Addr(), adminListener.Addr())
	if err != nil {
		return nil, err
	}
	serverOptions := server.Options{EST: estListener, Admin: adminListener, Requests: l.ca.Queue(), Logger: o.Logger, Now: o.Now}
	if o.Watch != nil {
		serverOptions.Events = steps(o.Watch)
	}
	if l.ra, err = server.New(ctx, raConfig, serverOptions); err != nil {
		return nil, err
	}
	l.run(ctx, caListener)
	return l, nil
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
	go func() {
		defer close(l.done)
		servers.Wait()
		l.err = errors.Join(raErr, caErr, l.ca.Close())
	}()
}

// Ready waits until the RA has logged in to the CA and holds its chain. It
// fails with ctx, or when the lab ended.
func (l *Lab) Ready(ctx context.Context) error {
	for {
		state := l.ra.Ready()
		if state.Ready {
			return nil
		}
		select {
		case <-state.Changed:
		case <-ctx.Done():
			return fmt.Errorf("the RA is not ready: %s: %w", state.Reason, ctx.Err())
		case <-l.done:
			return errors.Join(errors.New("the lab has ended"), l.err)
		}
	}
}

// Wait returns when the lab has ended, with the reason if it did so by itself.
func (l *Lab) Wait() error {
	<-l.done
	return l.err
}

// Close finishes what is in flight and ends the lab. The folder stays.
func (l *Lab) Close() error {
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

func (o Options) withDefaults() Options {
	set := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	set(&o.EST, "127.0.0.1:8084")
	set(&o.Certsrv, "127.0.0.1:8443")
	set(&o.Admin, "127.0.0.1:8085")
	if o.Profile == "" {
		o.Profile = config.ProfileCUCM
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
