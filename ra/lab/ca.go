package lab

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"ciscora/config"
	"ciscora/msca/certsrv"
	"ciscora/msca/ntlm"
	"ciscora/ra/admin"
	"ciscora/ra/fault"
	"ciscora/ra/tracelog"
)

// CAOptions is what a built-in CA needs besides its configuration.
type CAOptions struct {
	Logger *zap.Logger
	Now    func() time.Time
	Events func(certsrv.Event)
	Faults *fault.Registry // nil = none
	// Logged is called after each line of the access log; nil = nobody is told.
	Logged func()
	Seen   func(certsrv.AccessEntry)       // each of them; nil = nobody
	Around func(http.Handler) http.Handler // see [certsrv.Options]
	KeyLog io.Writer                       // see [Options.KeyLog]
	NewKey func() (crypto.Signer, error)   // see [Options.NewKey]
	Rand   io.Reader                       // of serial numbers; nil = chance
	Port   int                             // that the access log has; 0 = the listener's
}

// CA is the built-in Microsoft CA as certsrv.yaml describes it: what `ra
// certsrv` serves, and what the lab puts behind its RA.
type CA struct {
	*certsrv.Server
	config    *config.Certsrv
	log       *zap.Logger
	accessLog *tracelog.W3C   // nil where certsrv.yaml names no folder
	faults    *fault.Registry // nil without
}

// Serve is the server's, on a port with its faults.
func (ca *CA) Serve(ctx context.Context, l net.Listener) error {
	if ca.faults != nil {
		l = ca.faults.Listener(l, fault.CertsrvTLS)
	}
	return ca.Server.Serve(ctx, l)
}

// OpenCA opens the CA in the configuration's folder, or makes it there. Close it
// when done.
func OpenCA(cfg *config.Certsrv, o CAOptions) (*CA, error) {
	accounts, err := cfg.Accounts()
	if err != nil {
		return nil, err
	}
	options := certsrv.Options{
		Users:   usersOf(accounts),
		Dir:     cfg.Dir,
		Domain:  cfg.Domain,
		Hosts:   cfg.Hosts,
		Lockout: certsrv.Lockout{Threshold: cfg.Lockout.Threshold, Duration: cfg.Lockout.Duration},
		Binding: bindings[cfg.ExtendedProtection],
		Basic:   cfg.Basic,
		Manner:  certsrv.MannerOf(uint64(cfg.Vary)),
		TLS:     certsrv.TLSVersions{Min: uint16(cfg.TLS.Min), Max: uint16(cfg.TLS.Max)},
		Events:  o.Events,
		Now:     o.Now,
		Logger:  o.Logger,
		NewKey:  o.newKey(),
		Rand:    o.Rand,
	}
	options.Around = o.Around
	for _, t := range cfg.Templates {
		options.Templates = append(options.Templates, certsrv.Template{
			Name:               t.Name,
			FriendlyName:       t.FriendlyName,
			OID:                t.OID,
			SubjectFromRequest: t.Subject == "request",
			MinKeySize:         t.MinKeySize,
			Validity:           t.Validity,
			KeyUsage:           t.KeyUsageBits(),
			ExtKeyUsage:        t.ExtKeyUsages(),
			Enroll:             t.Enroll,
			ManagerApproval:    t.ManagerApproval,
		})
	}
	ca := &CA{config: cfg, log: o.Logger, faults: o.Faults}
	if ca.log == nil {
		ca.log = zap.NewNop()
	}
	if o.Faults != nil {
		if err := OrderFaults(o.Faults, cfg.Faults, cfg.Problem); err != nil {
			return nil, err
		}
		decorate(&options, o.Faults, func() *certsrv.Server { return ca.Server })
	}
	options.TLSConfig = keyLogged(options.TLSConfig, o.KeyLog)
	if cfg.Log != "" {
		if ca.accessLog, err = tracelog.NewW3CDir(cfg.Log); err != nil {
			return nil, cfg.Problem("log", err)
		}
		options.AccessLog = func(e certsrv.AccessEntry) {
			if o.Port != 0 {
				e.Port = o.Port
			}
			ca.accessLog.Log(tracelog.W3CEntry(e))
			if o.Seen != nil {
				o.Seen(e)
			}
			if o.Logged != nil {
				o.Logged()
			}
		}
	}
	if ca.Server, err = certsrv.New(options); err != nil {
		return nil, errors.Join(fmt.Errorf("open the built-in CA in %s: %w", cfg.Dir, err), ca.closeLog())
	}
	return ca, nil
}

var bindings = map[string]ntlm.Binding{
	"none":    ntlm.BindingNone,
	"accept":  ntlm.BindingAccept,
	"require": ntlm.BindingRequire,
}

func usersOf(accounts []config.Account) []certsrv.User {
	users := make([]certsrv.User, 0, len(accounts))
	for _, account := range accounts {
		user := certsrv.User{Name: account.Name, NTHash: account.NTHash}
		if account.Password != "" {
			user = certsrv.NewUser(account.Name, string(account.Password))
		}
		users = append(users, user)
	}
	return users
}

// Reload opens the access log anew and reads the accounts' files again. What is wrong
// stays as it was, the rest counts, and the structured log tells; certsrv.yaml itself
// takes a restart.
func (ca *CA) Reload() {
	accounts, err := ca.config.Accounts()
	if err == nil {
		err = ca.SetUsers(usersOf(accounts))
	}
	if ca.accessLog != nil {
		err = errors.Join(err, ca.accessLog.Reopen())
	}
	if err != nil {
		ca.log.Error("reload: what is wrong stays as it was, the rest counts", zap.Error(err))
		return
	}
	ca.log.Info("reload: the access log is opened anew, changed files of accounts count; certsrv.yaml itself takes a restart")
}

// Close closes the CA's files; nothing may be served any more.
func (ca *CA) Close() error {
	return errors.Join(ca.Server.Close(), ca.closeLog())
}

func (ca *CA) closeLog() error {
	if ca.accessLog == nil {
		return nil
	}
	return ca.accessLog.Close()
}

// Queue shows the CA's requests on an admin port.
func (ca *CA) Queue() admin.CertsrvQueue { return queue{ca.Server} }

// newKey is NewKey whatever kind is asked for.
func (o CAOptions) newKey() func(string) (crypto.Signer, error) {
	if o.NewKey == nil {
		return nil
	}
	return func(string) (crypto.Signer, error) { return o.NewKey() }
}
