package est

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"ciscora/internal/clientaddr"
)

// maxHeader is the size of a request's header, in bytes: libest's.
const maxHeader = 16 << 10

// NextProtos are the protocols that are offered by ALPN (RFC 7301): without http/1.0 a
// client that names that alone would be refused in the handshake, whose requests are
// answered where it names none.
func NextProtos() []string { return []string{"http/1.1", "http/1.0"} }

// Serve accepts TCP connections on l, speaks TLS by config and HTTP/1.1 on them,
// and serves them until ctx ends. It then closes l, lets what is in flight
// finish, for Options.DrainTimeout at most, and returns nil if all of it did. The
// contexts of requests carry the values of ctx but end with the drain, not with
// ctx. Serve may be called for several listeners.
//
// config is not changed. Whether clients are asked for certificates is its
// ClientAuth; only one that it verified reaches the CA.
func (s *Server) Serve(ctx context.Context, l net.Listener, config *tls.Config) error {
	if config == nil {
		return errors.New("est: no TLS configuration: EST runs over TLS alone (RFC 7030 section 3.3)")
	}
	if len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return errors.New("est: the TLS configuration has no certificate: set Certificates or GetCertificate")
	}
	config = config.Clone()
	config.NextProtos = NextProtos()
	config.DynamicRecordSizingDisabled = true // see exchange.write
	errorLog, err := zap.NewStdLogAt(s.logger, zap.WarnLevel)
	if err != nil {
		return fmt.Errorf("est: make the HTTP server's log: %w", err)
	}
	base, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:                      s,
		ReadHeaderTimeout:            s.limits.HeaderTimeout, // the handshake's limit too
		IdleTimeout:                  s.limits.HeaderTimeout,
		MaxHeaderBytes:               maxHeader,
		ErrorLog:                     errorLog,
		BaseContext:                  func(net.Listener) context.Context { return base },
		ConnContext:                  connContext,
		DisableGeneralOptionsHandler: true,
		Protocols:                    &protocols,
	}
	if len(s.proxies) > 0 {
		l = s.behindProxies(l)
	}
	tcp := &listener{Listener: l, server: s, ctx: base, clients: map[string]*connections{}}
	var failure error // of accepting; set before stopped is closed
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		err := server.Serve(tls.NewListener(tcp, config))
		if !errors.Is(err, http.ErrServerClosed) {
			failure = fmt.Errorf("est: accept connections on %v: %w", l.Addr(), err)
		}
	}()
	select {
	case <-ctx.Done():
	case <-stopped:
	}
	drain, cancel := context.WithTimeout(base, s.drainTimeout)
	defer cancel()
	if err = server.Shutdown(drain); err == nil {
		err = tcp.awaitPatient(drain)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		abandon()
		_ = server.Close() // what is left was waited for
		err = fmt.Errorf("est: requests still in flight %v after the end was asked for were cut off: %w", s.drainTimeout, err)
	case err != nil:
		err = fmt.Errorf("est: close the listener on %v: %w", l.Addr(), err)
	}
	<-stopped
	return errors.Join(failure, err)
}

// listener numbers the connections that it accepts.
type listener struct {
	net.Listener
	server *Server
	ctx    context.Context // what the events of connections come with

	// patient counts the connections that were taken over from net/http, which
	// knows no more of them; each is added before that, hence while Shutdown still
	// waits for it.
	patient sync.WaitGroup

	mu      sync.Mutex              // guards clients
	clients map[string]*connections // by address; an address without any is not there
}

// connections are those of one client address.
type connections struct {
	open int
	told bool // that one more was closed; again only once the last one has ended
}

// awaitPatient waits until no client is kept waiting any more, or ctx ends.
func (l *listener) awaitPatient(ctx context.Context) error {
	done := make(chan struct{})
	go func() { // ends with the requests, whose contexts end at the latest when Serve gives up
		l.patient.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter counts a client's connection; false where it has too many already, and then
// whether that is news.
func (l *listener) enter(client string) (ok, news bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clients[client]
	switch {
	case c == nil:
		l.clients[client] = &connections{open: 1}
		return true, false
	case c.open >= l.server.limits.PerClient:
		news = !c.told
		c.told = true
		return false, news
	}
	c.open++
	return true, false
}

func (l *listener) leave(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clients[client]
	if c.open--; c.open <= 0 {
		delete(l.clients, client)
	}
}

// clientOf is whose address it is.
func clientOf(a net.Addr) string { return clientaddr.Of(a.String()) }

func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	client := clientOf(accepted.RemoteAddr())
	for {
		ok, news := l.enter(client)
		if ok {
			break
		}
		// Without a word: an answer would cost a handshake.
		accepted.Close()
		if news { // a line for each would be the next thing to have too many of
			l.server.logger.Warn("a client has too many connections: whatever more it opens is closed",
				zap.String("client", client), zap.Int("limit", l.server.limits.PerClient))
		}
		if accepted, err = l.Listener.Accept(); err != nil {
			return nil, err
		}
		client = clientOf(accepted.RemoteAddr())
	}
	c := &conn{Conn: accepted, patient: &l.patient, leave: func() { l.leave(client) }, server: l.server, number: l.server.connections.Add(1), opened: l.server.now()}
	c.ctx = context.WithValue(l.ctx, connKey{}, c)
	l.server.report(c.ctx, ConnectionOpened{c.origin(c.opened)})
	return c, nil
}

// conn is a TCP connection, under TLS, with its number.
type conn struct {
	net.Conn
	patient *sync.WaitGroup // its listener's
	leave   func()
	server  *Server
	ctx     context.Context // what its events come with
	number  int64
	opened  time.Time
	once    sync.Once
}

// NetConn returns the connection beneath.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Close closes the connection and reports that, once.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.leave()
		now := c.server.now()
		c.server.report(c.ctx, ConnectionClosed{c.origin(now), now.Sub(c.opened)})
	})
	return err
}

func (c *conn) origin(now time.Time) Origin {
	return Origin{Conn: c.number, Client: c.RemoteAddr(), Server: c.LocalAddr(), Time: now}
}

type connKey struct{}

func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// ConnectionNumber returns the number of the connection that ctx belongs to, from
// 1 in the order of acceptance; 0 if it belongs to none of [Server.Serve].
func ConnectionNumber(ctx context.Context) int64 {
	if c := connOf(ctx); c != nil {
		return c.number
	}
	return 0
}

func connContext(ctx context.Context, c net.Conn) context.Context {
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = wrapped.NetConn()
	}
	if numbered, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, numbered)
	}
	return ctx
}
