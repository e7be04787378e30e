package lab

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"ciscora/ra/server"
)

// Network is what a lab listens on and connects through.
type Network interface {
	Listen(ctx context.Context, address string) (net.Listener, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// tcp is the machine's own network.
type tcp struct{}

func (tcp) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func (tcp) Listen(ctx context.Context, address string) (net.Listener, error) {
	return server.Listen(ctx, address)
}

// dialCA connects to the built-in CA, whatever address its URL has.
func (l *Lab) dialCA(ca net.Addr) server.DialFunc {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return l.network.DialContext(ctx, network, reachable(ca))
	}
}

// resolver knows the names of the lab's CA and no others: a lab asks no name
// servers.
func resolver(hosts []string) server.ResolveFunc {
	return func(_ context.Context, host string) ([]netip.Addr, error) {
		if !slices.ContainsFunc(hosts, func(name string) bool { return strings.EqualFold(name, host) }) {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
}
