package certsrv

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ciscora/msca/ntlm"

	"go.uber.org/zap"
)

const (
	headerTimeout = 30 * time.Second
	bodyTimeout   = 30 * time.Second
	keepAlive     = 120 * time.Second // IIS's connection time-out
	drainTimeout  = 10 * time.Second
)

// Server is the CA with its IIS. It is safe for concurrent use.
type Server struct {
	opts        Options
	authority   *authority
	successors  successors
	policy      policy
	requests    *requests
	certificate tls.Certificate // IIS's own
	iis         *iis

	lockouts *lockouts
	open     connections

	manager sync.Mutex // one decision of a manager at a time, and none while all is forgotten
	users   atomic.Pointer[[]User]
}

// New opens the CA in Options.Dir, or creates it there, or in memory. Nothing
// listens yet. It returns an error when the options make no sense, the folder is
// in use by another process, or what it holds is no CA. Close it in the end.
func New(o Options) (*Server, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	kept := shelf(newMemory())
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o755); err != nil { //nolint:gosec // root.pem in it is for all to read
			return nil, fmt.Errorf("certsrv: %w", err)
		}
		if kept, err = openJournal(o.Dir); err != nil {
			return nil, err
		}
	}
	s := &Server{
		opts:     o,
		policy:   policy{domain: o.Domain, templates: o.Templates},
		requests: newRequests(kept, o.FirstReqID, o.Logger),
		lockouts: newLockouts(o.Lockout, o.Now),
		open:     connections{all: map[net.Conn]*openConnection{}},
	}
	users := slices.Clone(o.Users)
	s.users.Store(&users)
	if s.authority, err = openAuthority(o); err == nil {
		s.certificate, err = s.authority.serverCertificate(o.Hosts)
	}
	if err == nil {
		err = s.Renew(o.Manner.Renewals)
	}
	if err == nil {
		s.iis, err = newIIS(s)
	}
	if err != nil {
		return nil, errors.Join(err, kept.close())
	}
	return s, nil
}

// SetUsers replaces the accounts. Who is logged in stays so until his connection ends,
// as with IIS; how often a password was wrong is not forgotten.
func (s *Server) SetUsers(users []User) error {
	if err := checkUsers(s.opts.Domain, users); err != nil {
		return err
	}
	users = slices.Clone(users)
	s.users.Store(&users)
	return nil
}

// Close ends the CA's use of its folder. Call it when no Serve runs any more.
func (s *Server) Close() error { return s.requests.close() }

// Root returns the root CA's certificate, the anchor for clients.
func (s *Server) Root() *x509.Certificate { return s.authority.root }

// Chain returns the issuing CA's newest certificate and the root's.
func (s *Server) Chain() []*x509.Certificate {
	return []*x509.Certificate{s.authority.newest().certificate, s.authority.root}
}

// IssueServerCertificate makes a key and a certificate for another TLS server of
// the lab: hosts are DNS names and IP addresses, at least one. The certificate
// goes with the issuing CA's, for clients that trust the root.
func (s *Server) IssueServerCertificate(hosts []string) (tls.Certificate, error) {
	return s.authority.serverCertificate(hosts)
}

// IssueServerCertificateFor is IssueServerCertificate for a key of the caller's.
func (s *Server) IssueServerCertificateFor(key crypto.Signer, hosts []string) (tls.Certificate, error) {
	return s.authority.serverCertificateFor(key, hosts)
}

// Renew renews the CA's certificate, each time with a new key, until it has been
// renewed n times; earlier ones stay. With a folder that lasts.
func (s *Server) Renew(n int) error {
	if n > maxRenewals {
		return fmt.Errorf("certsrv: %d renewals: at most %d", n, maxRenewals)
	}
	return s.authority.renew(s.opts, n)
}

// Forget forgets all requests, those that wait for a manager too. The certificates stay
// what they are, and the ReqIDs go on: none comes twice while the CA runs.
func (s *Server) Forget() error {
	s.manager.Lock() // what is being decided would come back
	defer s.manager.Unlock()
	return s.requests.clear()
}

// Requests returns all requests by ReqID: of a CA that has had many, many.
func (s *Server) Requests() []Request {
	return s.requests.list(func(int) bool { return true })
}

// Recent returns up to n requests by ReqID, the newest, and of those before them up to
// n that wait for a manager.
func (s *Server) Recent(n int) []Request {
	newest, pending := n, n
	return s.requests.list(func(disposition int) bool {
		if newest > 0 {
			newest--
			return true
		}
		if disposition != DispositionPending || pending == 0 {
			return false
		}
		pending--
		return true
	})
}

// Request returns the request of a ReqID; false where there is none.
func (s *Server) Request(id int) (Request, bool) {
	r, ok := s.requests.find(id)
	return r.Request, ok
}

// Count is how many requests have a disposition.
func (s *Server) Count(disposition int) int { return s.requests.count(disposition) }

// Serve speaks TLS and HTTP/1.1 on l until ctx ends, then lets requests in flight
// finish for up to ten seconds. It closes l, and returns nil after such an end or
// why it could not go on. Several listeners may be served at a time.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true) // a log-in belongs to one connection (docs/reference/certsrv.md 1.1)
	acceptor := s.acceptor()
	server := &http.Server{
		Handler:           s.iis.handler(),
		Protocols:         &protocols,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       keepAlive,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			styled, _ := c.(*mannerConn)
			login := &connection{styled: styled, begin: func() *ntlm.Exchange { // the handshake comes first
				return acceptor.NewExchange(ntlm.ChannelBinding(cmp.Or(shownOn(c), s.certificate.Leaf)))
			}}
			s.open.opened(c, login)
			return withConnection(ctx, login)
		},
		ConnState: s.open.changed,
	}
	if stdlog, err := zap.NewStdLogAt(s.opts.Logger, zap.DebugLevel); err == nil {
		server.ErrorLog = stdlog
	}
	ended := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-stop: // the listener failed
		}
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		err := server.Shutdown(drain)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		ended <- err
	}()
	l = tls.NewListener(shownListener{l}, noteShown(s.tlsConfig()))
	if s.opts.Manner != (Manner{}) {
		l = mannerListener{l, &s.opts.Manner}
	}
	err := server.Serve(l)
	close(stop)
	closed := <-ended
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("certsrv: serve %s: %w", l.Addr(), err)
	}
	if closed != nil && !errors.Is(closed, net.ErrClosed) {
		return fmt.Errorf("certsrv: close %s: %w", l.Addr(), closed)
	}
	return nil
}

func (s *Server) tlsConfig() *tls.Config {
	c := &tls.Config{
		Certificates: []tls.Certificate{s.certificate},
		MinVersion:   s.opts.TLS.Min,
		MaxVersion:   s.opts.TLS.Max,
		NextProtos:   []string{"http/1.1"},
		Time:         s.opts.Now,
	}
	m := s.opts.Manner
	if m.ClientCertificate {
		c.ClientAuth, c.ClientCAs = tls.RequestClientCert, x509.NewCertPool()
		c.ClientCAs.AddCert(s.authority.root)
	}
	if m.SendRoot {
		c.Certificates[0].Certificate = append(slices.Clone(s.certificate.Certificate), s.authority.root.Raw)
	}
	c.SessionTicketsDisabled = m.NoTickets
	if s.opts.TLSConfig != nil {
		return s.opts.TLSConfig(c)
	}
	return c
}

func (s *Server) acceptor() *ntlm.Acceptor {
	domain := s.opts.Domain
	return &ntlm.Acceptor{
		Domain:      domain,
		Computer:    domain + "-DC",
		DNSDomain:   dnsDomain(domain),
		DNSComputer: strings.ToLower(domain) + "-dc." + dnsDomain(domain),
		Lookup:      s.lookup,
		Permit:      func(a ntlm.Account, right bool) bool { return s.lockouts.permit(a.String(), right) },
		Binding:     s.opts.Binding,
		Rand:        s.opts.Rand,
		Now:         s.opts.Now,
	}
}
