package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/zap"

	"ciscora/internal/postgresurl"
)

// waits are for how long a server may say nothing, by how many there are to ask. Where
// there is another one, it must be asked in time. Where there is none, giving up gains
// nothing, and a machine that is starved (16 connections at once cost PostgreSQL half a
// second of a processor) answers late.
type waits struct {
	// connect is how long one host of the DSN is waited for, where that does not say
	// (connect_timeout).
	connect time.Duration
	// hail is how long a new connection of [silence] may take.
	hail time.Duration
	// others: there is another host to ask.
	others bool
}

// waitsOf leaves time within the 5 s that enrollments give the ledger.
func waitsOf(config *pgx.ConnConfig) waits {
	for _, f := range config.Fallbacks { // the same host again without TLS is no other one
		if f.Host != config.Host || f.Port != config.Port {
			return waits{connect: 2 * time.Second, hail: 1500 * time.Millisecond, others: true}
		}
	}
	return waits{connect: 4 * time.Second, hail: 3 * time.Second}
}

const (
	// pingTimeout is for a connection that has been idle: a server answers at once, or
	// it is not there any more.
	pingTimeout = time.Second
	// connectsAtOnce is how many connections one replica makes at a time.
	connectsAtOnce = 4
	// idleUnasked is how long a connection counts as alive without a question.
	idleUnasked = time.Second
)

// parsePostgres reads the DSN. What is not in it is as several hosts and a network need it.
func parsePostgres(dsn string, writes bool) (*pgx.ConnConfig, error) {
	config, err := postgresurl.Parse(dsn)
	if err != nil {
		return nil, fmt.Errorf("the address of the PostgreSQL server: %w", err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = waitsOf(config).connect
	}
	if writes && config.ValidateConnect == nil {
		// Of several hosts the one that may be written, also after a failover
		// (target_session_attrs); a single one says at once that it is a standby.
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return config, nil
}

// adviseTLS says once that passwords and names may go over the network in the clear:
// without sslmode PostgreSQL's clients take what the server offers, whoever it is.
func adviseTLS(dsn string, config *pgx.ConnConfig, log *zap.Logger) {
	address, err := url.Parse(dsn)
	if err != nil || address.Query().Has("sslmode") || address.Query().Has("ssl") || os.Getenv("PGSSLMODE") != "" || isLocal(config.Host) {
		return
	}
	log.Info("ledger.dsn says nothing of TLS, so the server's certificate is not checked: sslmode=verify-full&sslrootcert=FILE does that, sslmode=disable on a network of your own says that it is meant",
		zap.String("host", config.Host))
}

func isLocal(host string) bool {
	if strings.HasPrefix(host, "/") || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// openPool makes the pool, which connects when it is used.
func openPool(config *pgx.ConnConfig, h *hosts) *pool {
	l := &liveness{}
	db := sql.OpenDB(&fewAtOnce{slots: make(chan struct{}, connectsAtOnce), Connector: stdlib.GetConnector(*config,
		stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error { h.order(c); return nil }),
		stdlib.OptionAfterConnect(func(_ context.Context, c *pgx.Conn) error { h.connected(c.PgConn()); return nil }),
		stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return false }), // reset does
		stdlib.OptionResetSession(l.reset))})
	db.SetMaxOpenConns(postgresConnections)
	db.SetMaxIdleConns(postgresConnections)
	return &pool{DB: db, alive: l, silence: &silence{hail: hailer(config, h), waits: waitsOf(config)}}
}

// fewAtOnce makes connections one after the other, nearly: each costs PostgreSQL much, and
// where all replicas make all of theirs at once, as after a failover, none is ready
// before the time for connecting is over.
type fewAtOnce struct {
	driver.Connector
	slots chan struct{}
}

func (c *fewAtOnce) Connect(ctx context.Context) (driver.Conn, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
		return c.Connector.Connect(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// liveness looks at connections before they are used again: where one has ended nothing
// was sent on it yet, and database/sql takes another. A client would have its 503 else.
type liveness struct {
	// doubted: what was last known to be alive before is given up without a question.
	// One whose server does not answer is hardly alone.
	doubted atomic.Pointer[time.Time]
	// late: a statement was not answered in time, or its connection was ended; what was
	// last known to be alive before is asked first.
	late atomic.Pointer[time.Time]
}

// knownAlive is where a connection's CustomData has the time of its last answer.
const knownAlive = "ciscora.alive"

func (l *liveness) reset(ctx context.Context, conn *pgx.Conn) error {
	c := conn.PgConn()
	now := time.Now()
	last, known := c.CustomData()[knownAlive].(time.Time)
	if doubted := l.doubted.Load(); doubted != nil && known && last.Before(*doubted) {
		return driver.ErrBadConn
	}
	late := l.late.Load()
	if !known || now.Sub(last) > idleUnasked || late != nil && last.Before(*late) || hasNews(c.Conn()) {
		bounded, cancel := context.WithTimeout(ctx, pingTimeout)
		defer cancel()
		if err := c.Ping(bounded); err != nil {
			if ctx.Err() == nil {
				l.doubted.Store(&now)
			}
			return driver.ErrBadConn
		}
	}
	c.CustomData()[knownAlive] = time.Now()
	return nil
}

// errNoVersion says that there are tables and no version of them.
var errNoVersion = errors.New("has a table requests, and ledger_version has no row: either the row was lost (a restored backup that left it out: INSERT INTO ledger_version VALUES (N), with the schema that ra version of that time had), or the table is another program's: name a database of its own")
