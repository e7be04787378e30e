package est

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
	"go.uber.org/zap"

	"ciscora/internal/bounded"
)

const (
	// maxAwaitedHeaders is how many connections may be without their header at a time.
	maxAwaitedHeaders = 1000
	// A proxy whose connections have no header is told of once a minute.
	proxyToldFor   = time.Minute
	maxToldProxies = 1000
)

// proxied is a listener behind proxies that say whose connection it is that they pass
// on, by the PROXY protocol, version 2 (haproxy.org, "The PROXY protocol"). A
// connection from one of the networks must begin with such a header, since a receiver
// must not guess whether there is one; from elsewhere none is read, and what looks like
// one is no TLS.
//
// Headers are read beside Accept: a proxy that sends none holds up nobody.
type proxied struct {
	net.Listener
	networks []netip.Prefix
	timeout  time.Duration
	log      *zap.Logger
	told     *bounded.Map[string, struct{}]

	ctx      context.Context // ends with Close
	stop     context.CancelFunc
	slots    chan struct{}
	accepted chan net.Conn
	failed   chan error
	all      sync.WaitGroup
}

func (s *Server) behindProxies(l net.Listener) *proxied {
	p := &proxied{
		Listener: l, networks: s.proxies, timeout: s.limits.HeaderTimeout, log: s.logger,
		told:     bounded.New[string, struct{}](maxToldProxies, proxyToldFor, s.now),
		slots:    make(chan struct{}, maxAwaitedHeaders),
		accepted: make(chan net.Conn), failed: make(chan error),
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.all.Go(p.acceptAll)
	return p
}

// Accept returns the next connection whose client is known.
func (p *proxied) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case err := <-p.failed:
		return nil, err
	case <-p.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends the listener, and the connections that nobody has accepted so far.
func (p *proxied) Close() error {
	p.stop()
	err := p.Listener.Close()
	p.all.Wait()
	return err
}

func (p *proxied) acceptAll() {
	for {
		c, err := p.Listener.Accept()
		if err != nil {
			select {
			case p.failed <- err: // whoever accepts decides whether to go on
				continue
			case <-p.ctx.Done():
				return
			}
		}
		if !p.trusts(c.RemoteAddr()) {
			p.hand(c)
			continue
		}
		select {
		case p.slots <- struct{}{}:
			p.all.Go(func() {
				defer func() { <-p.slots }()
				p.read(c)
			})
		default:
			c.Close()
			p.tell(c.RemoteAddr(), fmt.Errorf("%d connections wait for theirs already", maxAwaitedHeaders))
		}
	}
}

// hand gives a connection to whoever accepts.
func (p *proxied) hand(c net.Conn) {
	select {
	case p.accepted <- c:
	case <-p.ctx.Done():
		c.Close()
	}
}

// read waits for a connection's header, and hands it on or closes it.
func (p *proxied) read(c net.Conn) {
	closes := context.AfterFunc(p.ctx, func() { c.Close() })
	headed := proxyproto.NewConn(c, proxyproto.WithPolicy(proxyproto.REQUIRE), proxyproto.ValidateHeader(checkHeader), proxyproto.SetReadHeaderTimeout(p.timeout))
	there := headed.ProxyHeader() != nil
	switch {
	case !closes(): // it is closed
	case there:
		p.hand(headed)
	default:
		_, err := headed.Read(nil) // says again why there is none
		c.Close()
		p.tell(c.RemoteAddr(), err)
	}
}

// checkHeader takes what HAProxy's send-proxy-v2 says of a client, and what it says of
// connections of its own, which are no client's (LOCAL).
func checkHeader(h *proxyproto.Header) error {
	_, tcp := h.SourceAddr.(*net.TCPAddr)
	switch {
	case h.Version != 2:
		return errors.New("is version 1, and 2 is wanted (HAProxy: send-proxy-v2)")
	case !h.Command.IsLocal() && !tcp:
		return errors.New("names no client of TCP")
	}
	return nil
}

func (p *proxied) trusts(address net.Addr) bool {
	peer, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return false
	}
	ip := peer.Addr().Unmap().WithZone("")
	for _, network := range p.networks {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

func (p *proxied) tell(address net.Addr, err error) {
	host := clientOf(address)
	if _, told := p.told.Get(host); told {
		return
	}
	p.told.Put(host, struct{}{})
	p.log.Warn("a connection from a proxy's network was closed: it must begin with a PROXY protocol header (est.proxy_protocol)",
		zap.String("proxy", host), zap.Error(err))
}
