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

// hosts remembers which of the DSN's hosts was connected to last: the next connection
// begins there, so that one that is powered off costs its two seconds once.
type hosts struct {
	mu        sync.Mutex          // guards all below
	addresses map[string][]string // of each host, as they were looked up
	good      string              // address and port
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
}

// order puts the host that was good last in front; c is the caller's own.
func (h *hosts) order(c *pgx.ConnConfig) {
	all := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.SortStableFunc(all, func(a, b *pgconn.FallbackConfig) int { return number(h.isGood(b)) - number(h.isGood(a)) })
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, all[1:]
}

func (h *hosts) isGood(f *pgconn.FallbackConfig) bool {
	return slices.ContainsFunc(h.addresses[f.Host], func(address string) bool {
		return net.JoinHostPort(address, strconv.Itoa(int(f.Port))) == h.good
	})
}
