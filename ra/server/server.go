// Package server is an RA assembled from its configuration: trust stores,
// listeners, the EST front end, the core, the admin port, and the listeners to
// their events (structured log, emulated logs, the record of enrollments). It
// is the production path: no fault and no built-in CA is in it.
package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"ciscora/config"
	"ciscora/est"
	"ciscora/msca"
	"ciscora/ra"
	"ciscora/ra/access"
	"ciscora/ra/access/revocation"
	"ciscora/ra/admin"
	"ciscora/ra/ledger"
	"ciscora/ra/metrics"
	"ciscora/ra/policy"
	"ciscora/ra/queue"
	"ciscora/ra/wire"
)

// Server is an RA with its ports.
type Server struct {
	config *config.RA
	log    *zap.Logger
	now    func() time.Time

	est    *est.Server
	core   *ra.RA
	record *admin.Enrollments
	ledger *ledger.Ledger
	admin  *http.Server // nil where the admin port is off

	estListener, adminListener net.Listener
	estTLS                     *tls.Config
	leaves                     func() []*x509.Certificate // of the EST listener
	trace                      *traceLogs
	hooks                      Hooks
	replicas                   replicas
	draining                   atomic.Bool
	outgrown                   atomic.Pointer[time.Time] // since when the ledger is no use, as far as was asked

	look []func() // at files that are read again when they change
}

// New assembles an RA and opens its ports, which then queue connections until
// [Server.Run]. Errors of files are [config.Problems]; a port in use is named by
// its key. On an error nothing stays open; listeners handed in are the caller's
// until Run.
func New(ctx context.Context, cfg *config.RA, o Options) (_ *Server, err error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	files, err := cfg.Files()
	if err != nil {
		return nil, err
	}
	s := &Server{config: cfg, log: o.Logger, hooks: o.Hooks, now: o.Now}
	defer func() {
		if err != nil {
			s.abandon(o)
		}
	}()
	if s.trace, err = openTraceLogs(cfg, o.Lines, o.Now); err != nil {
		return nil, err
	}
	if s.estListener, err = open(ctx, cfg, "est.listen", cfg.EST.Listen, o.EST); err != nil {
		return nil, err
	}
	if cfg.Admin.Listen != "" || o.Admin != nil {
		if s.adminListener, err = open(ctx, cfg, "admin.listen", cfg.Admin.Listen, o.Admin); err != nil {
			return nil, err
		}
	}
	enrollments := admin.NewEnrollments(0, o.Now)
	s.record = enrollments
	challenges := newChallenges(enrollments, int64(cfg.EST.Limits.Body), cfg.EST.Limits.BodyTimeout, o.Now)
	counted := metrics.New(metrics.Options{Version: o.Version, Look: s.state, Logger: o.Logger.Named("metrics")})
	if o.Wire == nil && cfg.Admin.Detail && s.adminListener != nil {
		o.Wire = wire.New(wire.Options{ID: EnrollmentID, Now: o.Now})
	}
	listeners := []func(context.Context, any){
		legs(o.Wire),
		(&eventLog{o.Logger, func(label string) bool { return s.core.Collects(label) }}).event,
		s.trace.event,
		(&recorder{enrollments, challenges}).event,
		(&counter{metrics: counted}).event,
	}
	if o.Events != nil {
		listeners = append(listeners, o.Events)
	}
	listeners = append(listeners, s.delivered)
	tell := func(ctx context.Context, event any) {
		for _, listener := range listeners {
			listener(ctx, event)
		}
	}

	if s.ledger, err = ledger.Open(ctx, cfg.Ledger.DSN, ledger.Options{About: aboutOf(cfg, o.Version), Observe: counted.Ledger, Now: o.Now, Logger: o.Logger.Named("ledger")}); err != nil {
		return nil, cfg.Problem("ledger.dsn", err)
	}
	if s.core, err = newCore(cfg, s.ledger, o, tell); err != nil {
		return nil, err
	}
	live, err := newLiveTLS(cfg, files.EST, o.Now, o.Logger)
	if err != nil {
		return nil, err
	}
	encryption, err := s.keyEncryption(live, o)
	if err != nil {
		return nil, err
	}
	if s.est, err = newFrontEnd(cfg, s.core, o, encryption, tell, append([]func(http.Handler) http.Handler{challenges.middleware, o.Wire.Middleware}, o.Hooks.Middleware...)...); err != nil {
		return nil, err
	}
	s.estTLS = o.Hooks.tls(live.listener())
	s.look = append(s.look, func() { live.made.Get() })
	s.leaves = live.leaves

	if s.adminListener != nil {
		guard, listener, err := AdminPort(cfg.Admin.Admin, s.adminListener, o.Now, o.Logger)
		if err != nil {
			return nil, cfg.Problem("admin", err)
		}
		s.adminListener = listener
		if o.OpenAdmin {
			guard = nil
		}
		pages, err := s.newConsole(o, enrollments)
		if err != nil {
			return nil, err
		}
		s.admin = &http.Server{
			Handler: admin.New(admin.Options{
				Ready:       s.readiness,
				Serving:     s.serving,
				Warnings:    s.replicas.warnings,
				Roots:       func() []*x509.Certificate { return roots(s.core.Chain()) },
				Enrollments: enrollments,
				Metrics:     counted.Handler(),
				Console:     pages,
				Lockouts:    lockouts{s.core},
				Certsrv:     o.Requests,
				Faults:      o.Faults,
				Guard:       guard,
				Hosts:       o.AdminHosts,
				Lab:         o.Lab,
				Logger:      o.Logger,
			}),
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          zap.NewStdLog(o.Logger.Named("admin")),
		}
	}
	s.trace.startUp(files, shownAddress(cfg.EST.Listen, s.estListener.Addr()))
	return s, nil
}

// delivered tells the core which certificates have reached their clients.
func (s *Server) delivered(ctx context.Context, event any) {
	if e, ok := event.(est.Answered); ok && e.Delivered {
		s.core.Delivered(ctx)
	}
}

// abandon closes what New opened before it failed.
func (s *Server) abandon(o Options) {
	if s.core != nil {
		s.core.Close()
	}
	if s.ledger != nil {
		s.ledger.Close()
	}
	if s.trace != nil {
		s.trace.close()
	}
	if s.estListener != nil && o.EST == nil {
		s.estListener.Close()
	}
	if s.adminListener != nil && o.Admin == nil {
		s.adminListener.Close()
	}
}

func newCore(cfg *config.RA, book *ledger.Ledger, o Options, tell func(context.Context, any)) (*ra.RA, error) {
	trust, err := newLiveTrust(cfg, o.Now, o.Logger)
	if err != nil {
		return nil, err
	}
	t := cfg.CA.Timeouts
	options := ra.Options{
		CA: msca.Options{
			URL: cfg.CA.URL,
			TLS: &tls.Config{
				MinVersion: uint16(cfg.CA.TLS.Min), // 1.0 in the profile of a 2018 product
				MaxVersion: uint16(cfg.CA.TLS.Max),
				Time:       o.Now,
			},
			NameCheck:      nameChecks[cfg.CA.NameCheck],
			Trust:          trust,
			Trace:          o.Wire.Trace(),
			Dial:           o.Hooks.dial(),
			Resolve:        o.Hooks.resolve(),
			UserAgent:      userAgent(cfg),
			Authentication: cfg.CA.Authentication,
			ChannelBinding: cfg.CA.ChannelBinding,
			Renewal:        int(cfg.CA.Renewal),
			Timeouts: msca.Timeouts{
				Resolve: t.Resolve, Connect: t.Connect, Handshake: t.Handshake, Login: t.Login,
				Chain: t.Chain, Template: t.Template, Submit: t.Submit, Fetch: t.Fetch, Request: t.Request,
			},
			Now: o.Now,
		},
		Template:        cfg.CA.Template,
		Labels:          map[string]ra.Label{},
		Refresh:         cfg.CA.Refresh,
		CAFailureStatus: cfg.EST.CAFailureStatus,
		Ledger:          book,
		Join:            cfg.Ledger.Join,
		Retention:       cfg.Ledger.Retention,
		InFlight:        cfg.CA.InFlight,
		Patience:        queuePatience,
		Breaker:         breakerOf(cfg),
		ScriptTimeout:   cfg.CA.ScriptTimeout,
		EnrollmentID:    est.RequestID,
		CSRAttributes:   func(label string) policy.Form { return csrAttributesOf(cfg, label) },
		ServerKeygen:    cfg.EST.ServerKeygen,
		Isolate:         o.Hooks.Isolate,
		Events:          func(ctx context.Context, e ra.Event) { tell(ctx, e) },
		Now:             o.Now,
		Logger:          o.Logger,
	}
	options.Manner = mannerOf(cfg)
	policies, err := compilePolicies(cfg)
	if err != nil {
		return nil, err
	}
	options.Policy = policies[cfg.EST.Policy]
	for name, label := range cfg.EST.Labels {
		l := ra.Label{Template: label.Template, Methods: methods(label.Authentication)}
		if label.Profile != "" {
			manner := mannerOf(underLabel(cfg, name))
			l.Manner = &manner
		}
		if policy, ok := policies[label.Policy]; ok && label.Policy != "" {
			l.Policy = &policy
		}
		options.Labels[name] = l
	}
	if options.Access, err = accessOptions(cfg, book, o); err != nil {
		return nil, err
	}
	return ra.New(options)
}

// accessOptions says who may ask.
func accessOptions(cfg *config.RA, book *ledger.Ledger, o Options) (_ access.Options, err error) {
	options := access.Options{
		Credentials: func() (msca.Credentials, error) {
			c, err := config.LoadCredentials(cfg.CA.Credentials)
			return msca.Credentials{User: c.User, Password: string(c.Password)}, err
		},
		Methods: methods(cfg.EST.Authentication),
		Lockout: access.Lockout{Failures: cfg.EST.Lockout.Failures, For: cfg.EST.Lockout.For},
		Vouch:   cfg.CA.Vouch,
		Idle:    cfg.CA.Pool,

		CheckTemplate: cfg.CA.TemplateCheck == "list",
		Generation:    o.Hooks.Generation,
		Apart:         o.Hooks.Apart,
	}
	if cfg.EST.Users != "" {
		if options.Users, err = access.OpenUsers(cfg.EST.Users, o.Now, o.Logger); err != nil {
			return options, cfg.Problem("est.users", err)
		}
	}
	if cfg.EST.DigestUsers != "" {
		key := func(ctx context.Context) ([]byte, error) { return book.Secret(ctx, "digest nonces") }
		if options.Digest, err = access.OpenDigestUsers(cfg.EST.DigestUsers, key, o.Now, o.Logger); err != nil {
			return options, cfg.Problem("est.digest_users", err)
		}
	}
	if cfg.EST.Revocation != config.RevocationOff && len(cfg.EST.Trust) > 0 {
		options.Revocation, err = revocation.New(revocation.Options{
			Files: cfg.EST.CRLs, Hard: cfg.EST.Revocation == config.RevocationHard, Now: o.Now, Logger: o.Logger.Named("revocation"),
		})
		if err != nil {
			return options, cfg.Problem("est.crls", err)
		}
	}
	return options, nil
}

func methods(names []config.Authentication) (all []access.Method) {
	for _, name := range names {
		all = append(all, access.Method(name))
	}
	return all
}

// queuePatience is how long a client may wait for a place at the CA: longer than most
// EST clients do, and not so long that the CA works for those who are gone.
const queuePatience = time.Minute

// breakerOf is when the CA counts as down: where the RA spares the CA at all.
func breakerOf(cfg *config.RA) queue.Breaker {
	if cfg.CA.InFlight == 0 {
		return queue.Breaker{}
	}
	return queue.Breaker{Failures: 5}
}

var nameChecks = map[string]msca.NameCheck{"go": msca.NameCheckGo, "curl": msca.NameCheckCurl}

// userAgent is what the CA's IIS log shows: CES's own in its profile (docs/reference/ces.md,
// "Who talks to whom").
func userAgent(cfg *config.RA) string {
	if cfg.Profile == config.ProfileCUCM {
		return "CiscoRA 1.0"
	}
	return "ra"
}

func newFrontEnd(cfg *config.RA, core *ra.RA, o Options, encryption est.KeyEncryption, tell func(context.Context, any), middleware ...func(http.Handler) http.Handler) (*est.Server, error) {
	proxies, err := cfg.EST.ProxyNetworks()
	if err != nil {
		return nil, err
	}
	return est.New(est.Options{
		CA:            o.Hooks.ca(core),
		Authenticator: authenticator{core},
		Dialect:       dialects[cfg.EST.Dialect],
		DialectOf:     func(label string) est.Dialect { return dialects[underLabel(cfg, label).EST.Dialect] },
		Base64:        base64Forms[cfg.EST.Base64],
		Label:         o.Hooks.label(core.HasLabel),
		Limits: est.Limits{
			Body:          int64(cfg.EST.Limits.Body),
			HeaderTimeout: cfg.EST.Limits.HeaderTimeout,
			BodyTimeout:   cfg.EST.Limits.BodyTimeout,
			InFlight:      cfg.EST.Limits.InFlight,
			PerClient:     cfg.EST.Limits.PerClient,
		},
		Patience:          cfg.EST.Patience,
		ServerKeygen:      cfg.EST.ServerKeygen,
		KeyEncryption:     encryption,
		TrustRA:           cfg.EST.CMCRA,
		ProofOfPossession: func(label string) bool { return demandsPossession(cfg, label) },
		Names:             policy.Names,
		DrainTimeout:      cfg.EST.Drain,
		ProxyProtocol:     proxies,
		Middleware:        middleware,
		Events:            func(ctx context.Context, e est.Event) { tell(ctx, e) },
		Now:               o.Now,
		// Its line for each answer is the event log's already.
		Logger: warnings(o.Logger),
	})
}

// warnings is a logger that passes on warnings and worse.
func warnings(l *zap.Logger) *zap.Logger {
	if !l.Core().Enabled(zap.WarnLevel) {
		return l // it passes on less; zap refuses to raise its level to a lower one
	}
	return l.WithOptions(zap.IncreaseLevel(zap.WarnLevel))
}

func demandsPossession(cfg *config.RA, label string) bool {
	return cfg.EST.ProofOfPossession || cfg.EST.Labels[label].ProofOfPossession
}

// csrAttributesOf is the form for a label. A client that knows the template reads
// nothing besides it (RFC 9908 §4), and the template has no words for proof of
// possession: where that is demanded, it is asked for in the classic form.
func csrAttributesOf(cfg *config.RA, label string) policy.Form {
	form := csrAttributes[underLabel(cfg, label).EST.CSRAttributes]
	if form == policy.FormTemplate && demandsPossession(cfg, label) {
		return policy.FormClassic
	}
	return form
}

// underLabel is the configuration under a label, whose profile may be another one.
func underLabel(cfg *config.RA, label string) *config.RA {
	l := cfg.EST.Labels[label]
	if l.Profile == "" {
		return cfg
	}
	c := config.Default(l.Profile)
	return &c
}

func mannerOf(cfg *config.RA) (m ra.Manner) {
	if cfg.CA.Sessions == config.SessionsPerEnrollment {
		m.Sessions = ra.SessionsPerEnrollment
	}
	if cfg.EST.Dialect == config.DialectLibest {
		m.Answers = ra.AnswersCES
	}
	return m
}

var dialects = map[config.Dialect]est.Dialect{
	config.DialectRFC8951: est.DialectRFC8951,
	config.DialectLibest:  est.DialectLibest,
}

var csrAttributes = map[string]policy.Form{
	"none": policy.FormNone, "classic": policy.FormClassic, "template": policy.FormTemplate,
}

var base64Forms = map[config.Base64]est.Base64{
	config.Base64Auto:    est.Base64Auto,
	config.Base64Wrapped: est.Base64Wrapped,
	config.Base64Single:  est.Base64Single,
}

// authenticator tells the core the label, which the front end has found.
type authenticator struct{ core *ra.RA }

func (a authenticator) Authenticate(r *http.Request) (context.Context, error) {
	return a.core.Authenticate(r, est.Label(r.Context()))
}

// roots are a chain's trust anchors: its self-issued certificates.
func roots(chain []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(chain), func(c *x509.Certificate) bool { return !bytes.Equal(c.RawSubject, c.RawIssuer) })
}

// ESTAddr is where EST clients are served.
func (s *Server) ESTAddr() net.Addr { return s.estListener.Addr() }

// Run serves until ctx ends. Then it is not ready any more, but goes on for
// est.drain_delay, closes its ports, finishes what is in flight, for at most est.drain,
// and returns nil. Call it once. It fails where the ledger is none of this version.
func (s *Server) Run(ctx context.Context) error {
	defer s.trace.close()
	// The core goes last: what is in flight needs it.
	defer func() {
		s.core.Close()
		if err := s.ledger.Close(); err != nil {
			s.log.Error("the ledger did not close well", zap.Error(err))
		}
	}()

	s.log.Info("listening", zap.Stringer("est", s.ESTAddr()), zap.String("ca", s.config.CA.URL), zap.String("profile", string(s.config.Profile)))
	// Of those that serve: it ends est.drain_delay after ctx, or when one of them fails.
	group, serving := errgroup.WithContext(context.WithoutCancel(ctx))
	serving, stop := context.WithCancel(serving)
	defer stop()
	group.Go(func() error {
		s.awaitEnd(ctx, serving)
		stop()
		return nil
	})
	group.Go(func() error {
		// The admin port stays as long as something is in flight: who asks is told so.
		defer func() {
			if s.admin != nil {
				s.admin.Close()
			}
		}()
		if err := s.est.Serve(serving, s.hooks.listener(s.estListener), s.estTLS); err != nil {
			return fmt.Errorf("est.listen: %w", err)
		}
		return nil
	})
	group.Go(func() error { return s.core.Run(serving) })
	group.Go(func() error { return s.lookAtLedger(serving) })
	group.Go(func() error { s.watchReplicas(serving); return nil })
	if s.admin != nil {
		group.Go(func() error {
			if err := s.admin.Serve(s.adminListener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("admin.listen: %w", err)
			}
			return nil
		})
	}
	err := group.Wait()
	s.log.Info("stopped")
	return err
}
