package est_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/est"
)

// from is a connection that comes from an address.
type from struct {
	net.Conn
	address *net.TCPAddr
}

func (c from) RemoteAddr() net.Addr { return c.address }

// dialFrom opens a connection from an address of IP.
func (p *pipes) dialFrom(address string) net.Conn {
	ours, theirs := net.Pipe()
	p.accept <- from{theirs, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))}
	return ours
}

// clients remembers whose connections were opened.
type clients struct {
	mu  sync.Mutex
	all []string
}

func (c *clients) event(_ context.Context, e est.Event) {
	if e, ok := e.(est.ConnectionOpened); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all = append(c.all, e.Client.String())
	}
}

func (c *clients) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.all, " ")
}

func header(t *testing.T, h proxyproto.Header) string {
	t.Helper()
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tcp(address string) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
}

func TestWhoseConnectionItIsIsBelievedOfProxiesAlone(t *testing.T) {
	v2 := func(source, destination string, family proxyproto.AddressFamilyAndProtocol) string {
		return header(t, proxyproto.Header{Version: 2, Command: proxyproto.PROXY, TransportProtocol: family, SourceAddr: tcp(source), DestinationAddr: tcp(destination)})
	}
	good := v2("192.0.2.7:1234", "10.0.0.1:8084", proxyproto.TCPv4)
	local := header(t, proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC})
	unix := header(t, proxyproto.Header{
		Version: 2, Command: proxyproto.PROXY, TransportProtocol: proxyproto.UnixStream,
		SourceAddr: &net.UnixAddr{Net: "unix", Name: "a"}, DestinationAddr: &net.UnixAddr{Net: "unix", Name: "b"},
	})
	long := []byte(good)
	long[14], long[15] = 0xff, 0xff // 64 KiB of it
	for _, test := range []struct{ name, peer, begins, client, told string }{
		{"a proxy that says who it is", "10.1.2.3:5", good, "192.0.2.7:1234", ""},
		{"an IPv6 client", "10.1.2.3:5", v2("[2001:db8::7]:1234", "[2001:db8::1]:8084", proxyproto.TCPv6), "[2001:db8::7]:1234", ""},
		{"a proxy in a mapped address", "[::ffff:10.1.2.3]:5", good, "192.0.2.7:1234", ""},
		{"a proxy's own connection", "10.1.2.3:5", local, "10.1.2.3:5", ""},
		{"a proxy that says nothing", "10.1.2.3:5", "", "", "proxyproto: proxy protocol signature not present"},
		{"a proxy of version 1", "10.1.2.3:5", "PROXY TCP4 192.0.2.7 10.0.0.1 1234 8084\r\n", "", "is version 1"},
		{"a proxy with a socket of Unix", "10.1.2.3:5", unix, "", "names no client of TCP"},
		{"a header without an end", "10.1.2.3:5", string(long), "", "proxyproto: invalid length"},
		{"somebody else who says nothing", "192.0.2.9:5", "", "192.0.2.9:5", ""},
		{"somebody else who says it", "192.0.2.9:5", good, "192.0.2.9:5", "no TLS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen clients
			core, logs := observer.New(zap.WarnLevel)
			change := func(o *est.Options) {
				o.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
				o.Events, o.Logger = seen.event, zap.New(core)
			}
			virtual(t, change, func(t *testing.T, p *pipes, _ func() error) {
				c := p.dialFrom(test.peer)
				defer c.Close()
				_, err := io.WriteString(c, test.begins)
				tc := tls.Client(c, &tls.Config{RootCAs: roots(), ServerName: "localhost"})
				if err == nil {
					err = tc.HandshakeContext(t.Context())
				}
				synctest.Wait()
				if got := seen.String(); got != test.client {
					t.Errorf("the client is %q, want %q", got, test.client)
				}
				if enters := test.told == ""; enters != (err == nil) {
					t.Errorf("the handshake: %v", err)
				}
				told := ""
				for _, line := range logs.All() {
					if line.ContextMap()["proxy"] != nil {
						told += line.ContextMap()["error"].(string)
					}
				}
				if test.told != "no TLS" && (told == "") != (test.told == "") || test.told != "no TLS" && !strings.Contains(told, test.told) {
					t.Errorf("told %q, want %q", told, test.told)
				}
			})
		})
	}
}

func TestAProxyThatSendsNoHeaderHoldsUpNobodyAndIsClosedInTime(t *testing.T) {
	change := func(o *est.Options) {
		o.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		o.Limits.HeaderTimeout = 7 * time.Second
	}
	virtual(t, change, func(t *testing.T, p *pipes, stop func() error) {
		start := time.Now()
		silent := p.dialFrom("10.1.2.3:5")
		secure(t, p.dialFrom("192.0.2.9:5")).Close()
		if took := time.Since(start); took > time.Second {
			t.Errorf("another one waited %v", took)
		}
		if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if took := time.Since(start); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("the silent one was closed after %v, want 7 s", took)
		}
		// One that is silent at the end does not hold that up either.
		silent = p.dialFrom("10.1.2.3:6")
		defer silent.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("the end took until %v", took)
		}
	})
}

func TestClientsBehindAProxyHaveTheirLimitEach(t *testing.T) {
	change := func(o *est.Options) {
		o.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		o.Limits.PerClient = 1
	}
	virtual(t, change, func(t *testing.T, p *pipes, _ func() error) {
		var open []net.Conn
		defer func() {
			for _, c := range open {
				c.Close()
			}
		}()
		connect := func(client string) error {
			c := p.dialFrom("10.1.2.3:5")
			open = append(open, c)
			family := proxyproto.TCPv4
			if strings.HasPrefix(client, "[") {
				family = proxyproto.TCPv6
			}
			h := header(t, proxyproto.Header{Version: 2, Command: proxyproto.PROXY, TransportProtocol: family, SourceAddr: tcp(client), DestinationAddr: tcp(client)})
			if _, err := io.WriteString(c, h); err != nil {
				return err
			}
			return tls.Client(c, &tls.Config{RootCAs: roots(), ServerName: "localhost"}).HandshakeContext(t.Context())
		}
		for _, test := range []struct {
			client string
			enters bool
		}{
			{"192.0.2.7:1", true},
			{"192.0.2.7:2", false},
			{"192.0.2.8:1", true},
			{"[2001:db8:1:2::1]:1", true},
			{"[2001:db8:1:2:3:4:5:6]:1", false}, // the same /64
			{"[2001:db8:1:3::1]:1", true},
		} {
			if err := connect(test.client); (err == nil) != test.enters {
				t.Errorf("%s: %v", test.client, err)
			}
		}
	})
}
