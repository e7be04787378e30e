package ledger

import (
	"context"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// hosts remembers which of the DSN's hosts was connected to last, where the next
// connection begins, and which one fell silent, where it ends: one that is powered off
// costs its two seconds once.
type hosts struct {
	mu        sync.Mutex          // guards all below
	addresses map[string][]string // of each host, as they were looked up
	good      string              // address and port, or path
	silent    string              // the same
}

// newHosts makes config tell what its hosts' addresses are.
func newHosts(config *pgx.ConnConfig) *hosts {
	h := &hosts{addresses: map[string][]string{}}
	lookup := config.LookupFunc
	config.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		found, err := lookup(ctx, host)
		if err == nil {
			h.mu.Lock()
			h.addresses[host] = found
			h.mu.Unlock()
		}
		return found, err
	}
	return h
}

func (h *hosts) connected(c *pgconn.PgConn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.good = c.Conn().RemoteAddr().String()
	if h.silent == h.good {
		h.silent = ""
	}
}

// fellSilent says that nobody answers there.
func (h *hosts) fellSilent(address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent = address
	if h.good == address {
		h.good = ""
	}
}

// order puts the host that was good last in front, and the one that fell silent last; c
// is the caller's own.
func (h *hosts) order(c *pgx.ConnConfig) {
	all := allOf(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	rank := func(f *pgconn.FallbackConfig) int { return number(h.is(f, h.silent)) - number(h.is(f, h.good)) }
	slices.SortStableFunc(all, func(a, b *pgconn.FallbackConfig) int { return rank(a) - rank(b) })
	set(c, all)
}

// only leaves the host that was good last alone in c, and returns its address; "" where
// there is none.
func (h *hosts) only(c *pgx.ConnConfig) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := slices.DeleteFunc(allOf(c), func(f *pgconn.FallbackConfig) bool { return !h.is(f, h.good) })
	if len(all) == 0 {
		return ""
	}
	set(c, all)
	if address, _, err := net.SplitHostPort(h.good); err == nil {
		c.LookupFunc = func(context.Context, string) ([]string, error) { return []string{address}, nil }
	}
	return h.good
}

func allOf(c *pgx.ConnConfig) []*pgconn.FallbackConfig {
	return append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
}

func set(c *pgx.ConnConfig, all []*pgconn.FallbackConfig) {
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, all[1:]
}

func (h *hosts) is(f *pgconn.FallbackConfig, which string) bool {
	if network, path := pgconn.NetworkAddress(f.Host, f.Port); network == "unix" {
		return path == which
	}
	return slices.ContainsFunc(append(h.addresses[f.Host], f.Host), func(address string) bool {
		return net.JoinHostPort(address, strconv.Itoa(int(f.Port))) == which
	})
}
