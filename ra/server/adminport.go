package server

import (
	"crypto/tls"
	"net"
	"time"

	"go.uber.org/zap"

	"ciscora/config"
	"ciscora/internal/watched"
	"ciscora/ra/admin"
)

// AdminPort is what the configuration says of who may use an admin port: the guard, nil
// where it is open, and the listener, which speaks TLS where that is wanted. The files
// are read again when they change; one that is no good leaves the old one in place.
func AdminPort(c config.Admin, l net.Listener, now func() time.Time, log *zap.Logger) (*admin.Guard, net.Listener, error) {
	failed := func(err error) {
		log.Error("a changed file of the admin port is not taken, the old one stays", zap.Error(err))
	}
	if c.TLS.Certificate != "" {
		live, err := watched.Open(watched.Source[*tls.Config]{Files: c.TLS.Files, Read: c.TLS.Config, Now: now, Failed: failed})
		if err != nil {
			return nil, nil, err
		}
		first := live.Get().Clone()
		first.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return live.Get(), nil }
		l = tls.NewListener(l, first)
	}
	if !c.Guarded() {
		return nil, l, nil
	}
	guard := &admin.Guard{Certificates: len(c.TLS.Trust) > 0}
	if c.TokenFile != "" {
		token, err := watched.Open(watched.Source[config.Secret]{
			Files: func() []string { return []string{c.TokenFile} }, Read: c.Token, Now: now, Failed: failed,
		})
		if err != nil {
			return nil, nil, err
		}
		guard.Token = func() string { return string(token.Get()) }
	}
	return guard, l, nil
}
