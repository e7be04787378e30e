package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// Claims on a PostgreSQL, without a clock.
//
// A replica is a row in the table replicas. Its number, the row's id, is never
// used again; requests.holder is the number of the replica that has a claim on the
// row, requests.token names the claim. The claims under a number are live as long as
// its row is there. That is the one truth, and it changes once: who takes a claim
// from another replica removes that one's row from replicas in the transaction in
// which it takes the request's row. So a number that lost one claim has lost all,
// for ever. It may take a new number; a claim that nobody took meanwhile, whose row
// has its token still, is then renewed under that number when it is used.
//
// Who may remove a replica's row:
//
//   - Anybody, once its connection has ended. Each replica has a connection of its
//     own on which it holds an advisory lock (lockClass, number) from before its row
//     can be seen. A process that ends ends its connection, and thereby its claims,
//     at once. A lock that was given up is never taken again: a replica whose
//     connection ended takes a new number.
//   - One who has watched it for a lease, by its own monotonic clock, without a beat:
//     each replica adds one to its row's beats five times a lease. It removes the row
//     as it has seen it (WHERE beats = what it saw). No two machines' clocks are
//     compared, and none is set by anybody's steps: neither the replicas' nor the
//     server's. Only their rates must be about the same.
//
// The races:
//
//   - A beat against a taker. Both want the lock of the row in replicas. The beat
//     first: the taker's DELETE looks at the row again, does not find the beats that
//     it knows, and takes nothing. The DELETE first: the beat finds no row; its
//     replica takes a new number, and finds out what is left of its claims.
//   - Two takers. The second one's DELETE and UPDATE find nothing left to do, since
//     the UPDATE names the holder that it takes from.
//   - A claim that is renewed against a taker. The renewal is WHERE token = its own,
//     the taking WHERE holder = the old number; each undoes the other's condition, so
//     the second finds nothing.
//   - An Update of the fenced replica against the taker. The Update is WHERE token =
//     its own. First: the taker's UPDATE waits for it and then returns the row as it
//     has become, a state of submitted included. Second: it finds another token,
//     changes nothing, and returns ErrLost.
//   - A request to the CA of a replica that does not know yet. Before it there is an
//     Update (the mark "submitted"), which only a claim that is live, or that nobody
//     has taken, gets through; and [Ledger.Verify] right before the bytes go out, which
//     trusts the last beat for a third of a lease, counted from before it was sent.
//     Nobody takes the claim from a replica that is connected within a lease after
//     that beat, so two thirds of a lease are left for the first byte. Where the
//     connection has ended, this end hears of it by a read that always waits; if the
//     network keeps that from it, it may trust its claim for up to a third of a lease
//     more. So whoever takes a row in state submitted must allow for a request that
//     begins that much later.
//   - The beat that came late but before any taker: the row is there still, nobody has
//     anything of ours, and all is well, however long it took.
//
// The connection must be one: a pooler that gives each transaction another one
// (PgBouncer's transaction mode) makes locks of the session meaningless.

const (
	// lockClass is the first half of the advisory locks of replicas: "cisc" in ASCII;
	// the second half is the number.
	lockClass = 0x63697363

	beatsALease = 5
	// trustPart of a lease is for how long Verify trusts a beat.
	trustPart = 3

	// beatTimeout is how long a beat may take. Who wants to send a CSR may wait for it; a
	// server that is gone without a word is given up then, and another host asked.
	beatTimeout = 3 * time.Second

	goodbye = time.Second // for what is said to the server at the end
)

// isLocked is the condition that the replica r holds its lock: 1667855203 is
// lockClass, objsubid 2 tells locks with two halves (PostgreSQL, pg_locks).
const isLocked = `EXISTS (SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
	AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
	AND l.classid::bigint = 1667855203 AND l.objid::bigint = r.id)`

// membership is what makes this process one of the replicas. It joins them when the
// first claim is made, and anew when its connection has ended.
type membership struct {
	config *pgx.ConnConfig
	hosts  *hosts
	db     *pool
	name   string
	lease  time.Duration
	log    *zap.Logger
	own    *holding

	joining chan struct{} // holds one: who joins, or leaves
	left    bool          // guarded by joining
	keeping sync.WaitGroup
	current atomic.Pointer[member]

	watching sync.Mutex           // guards watched
	watched  map[int64]otherBeats // the other replicas

	giving  sync.Mutex // guards abandon
	abandon []abandoned
}

// member is this process under one number.
type member struct {
	number  int64
	conn    *pgx.Conn // of keep alone
	address string    // of its server
	stop    context.CancelFunc

	beating sync.Mutex // one beat at a time
	trust   atomic.Pointer[time.Time]
	over    atomic.Bool
}

// otherBeats is what was seen of another replica, and since when it is the same.
type otherBeats struct {
	beats int64
	since time.Time
}

func newMembership(config *pgx.ConnConfig, h *hosts, db *pool, l *Ledger, lease time.Duration) *membership {
	if lease <= 0 {
		lease = DefaultLease
	}
	return &membership{
		config: config, hosts: h, db: db, name: l.replica, lease: lease, log: l.log, own: l.holding,
		joining: make(chan struct{}, 1), watched: map[int64]otherBeats{},
	}
}

func (m *membership) member(ctx context.Context) (int64, error) {
	if me := m.current.Load(); me != nil {
		return me.number, nil
	}
	select {
	case m.joining <- struct{}{}:
		defer func() { <-m.joining }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if me := m.current.Load(); me != nil {
		return me.number, nil
	}
	if m.left {
		return 0, errClosing
	}
	me, err := m.join(ctx)
	if err != nil {
		return 0, fmt.Errorf("become a replica: %w", err)
	}
	kept, stop := context.WithCancel(context.Background())
	me.stop = stop // leave calls it, and lose
	m.own.begin(me.number)
	m.current.Store(me)
	m.keeping.Go(func() { m.keep(kept, me) })
	return me.number, nil
}

// join connects, and takes a number and its lock.
func (m *membership) join(ctx context.Context) (_ *member, err error) {
	ctx, end := m.db.begin(ctx)
	defer func() { err = end(err) }()
	began := time.Now()
	config := m.config.Copy()
	m.hosts.order(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	m.hosts.connected(conn.PgConn())
	number, err := register(ctx, conn, m.name)
	if err != nil {
		closeSoon(conn)
		return nil, err
	}
	me := &member{number: number, conn: conn, address: conn.PgConn().Conn().RemoteAddr().String()}
	me.trust.Store(&began)
	return me, nil
}

func register(ctx context.Context, conn *pgx.Conn, name string) (number int64, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // after a commit that does nothing
	// Those whose connection has ended are dead already; this is tidying.
	if _, err := tx.Exec(ctx, `DELETE FROM replicas r WHERE NOT `+isLocked); err != nil {
		return 0, err
	}
	var locked bool
	for !locked {
		if err := tx.QueryRow(ctx, `INSERT INTO replicas (name) VALUES ($1) RETURNING id`, cut(name)).Scan(&number); err != nil {
			return 0, err
		}
		// It is free, unless another ledger in this database counts, too.
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, $2::bigint::int)`, lockClass, number).Scan(&locked); err != nil {
			return 0, err
		}
		if !locked {
			if _, err := tx.Exec(ctx, `DELETE FROM replicas WHERE id = $1`, number); err != nil {
				return 0, err
			}
		}
	}
	return number, tx.Commit(ctx)
}

// keep beats until the connection ends, or the number is lost, or leave.
func (m *membership) keep(ctx context.Context, me *member) {
	defer closeSoon(me.conn)
	defer me.stop()
	for {
		err := m.rest(ctx, me)
		if err == nil {
			err = m.beat(ctx, me)
		}
		switch {
		case ctx.Err() != nil: // leave, or it is lost
			m.lose(me)
			bye, cancel := context.WithTimeout(context.Background(), goodbye)
			_, _ = me.conn.Exec(bye, `DELETE FROM replicas WHERE id = $1`, me.number) // its connection ends in a moment anyway
			cancel()
			return
		case err != nil:
			m.lose(me)
			m.log.Warn("others may take this replica's claims in the ledger, until it is connected again", zap.Int64("number", me.number), zap.Error(err))
			return
		}
	}
}

// rest waits for the time of the next beat. It reads all the while, so that the end
// of the connection shows at once.
func (m *membership) rest(ctx context.Context, me *member) error {
	until, cancel := context.WithTimeout(ctx, m.lease/beatsALease)
	defer cancel()
	for {
		_, err := me.conn.WaitForNotification(until)
		switch {
		case err == nil: // nobody notifies; it costs nothing
		case until.Err() != nil && !me.conn.IsClosed():
			return nil
		default:
			return err
		}
	}
}

// errFenced says that another replica has removed this one.
var errFenced = errors.New("no sign of this replica came for too long, and another one took its claims")

// beat says that this replica lives, looks at the others, and ends claims in the
// database that have ended here.
func (m *membership) beat(ctx context.Context, me *member) (err error) {
	me.beating.Lock()
	defer me.beating.Unlock()
	ctx, cancel := context.WithTimeout(ctx, min(m.lease-m.lease/beatsALease, beatTimeout))
	defer cancel()
	ctx, end := m.db.begin(ctx)
	defer func() { err = end(err) }()
	began := time.Now()
	rows, err := me.conn.Query(ctx, `WITH beat AS (UPDATE replicas SET beats = beats + 1 WHERE id = $1 RETURNING id)
		SELECT id, -1 FROM beat UNION ALL SELECT id, beats FROM replicas WHERE id <> $1`, me.number)
	if err != nil {
		return err
	}
	seen := map[int64]int64{}
	var number, beats int64
	if _, err := pgx.ForEachRow(rows, []any{&number, &beats}, func() error { seen[number] = beats; return nil }); err != nil {
		return err
	}
	if _, alive := seen[me.number]; !alive {
		return errFenced
	}
	me.trust.Store(&began)
	delete(seen, me.number)
	m.watch(seen)
	return m.giveBackAll(ctx, me)
}

// watch notes what was seen of the other replicas.
func (m *membership) watch(seen map[int64]int64) {
	now := time.Now()
	m.watching.Lock()
	defer m.watching.Unlock()
	for number := range m.watched {
		if _, there := seen[number]; !there {
			delete(m.watched, number)
		}
	}
	for number, beats := range seen {
		if was, there := m.watched[number]; !there || was.beats != beats {
			m.watched[number] = otherBeats{beats, now}
		}
	}
}

// silent returns the beats at which a replica has stood for a lease.
func (m *membership) silent(number int64) (beats int64, ok bool) {
	m.watching.Lock()
	defer m.watching.Unlock()
	was, there := m.watched[number]
	return was.beats, there && time.Since(was.since) >= m.lease
}

// lose ends this number.
func (m *membership) lose(me *member) {
	if me.over.Swap(true) {
		return
	}
	m.own.end(me.number)
	m.current.CompareAndSwap(me, nil)
	me.stop()
	// The idle ones have most likely ended with it; each would fail one more query.
	m.db.SetMaxIdleConns(0)
	m.db.SetMaxIdleConns(postgresConnections)
}

// fellSilent ends the number whose connection's server is given up, where nothing was
// heard of that since.
func (m *membership) fellSilent(address string, before time.Time) {
	m.log.Warn("the PostgreSQL server has fallen silent and is given up: it answers neither statements nor a new connection; the next host of ledger.dsn is asked first", zap.String("address", address))
	if me := m.current.Load(); me != nil && me.address == address && me.trust.Load().Before(before) {
		m.lose(me)
	}
}

// leave ends the membership.
func (m *membership) leave() {
	m.joining <- struct{}{}
	defer func() { <-m.joining }()
	m.left = true
	if me := m.current.Load(); me != nil {
		me.stop()
	}
	m.keeping.Wait()
}

func (m *membership) verify(ctx context.Context, number int64) (err error) {
	me := m.current.Load()
	if me == nil || me.number != number {
		return ErrLost
	}
	if me.trusted(m.lease / trustPart) {
		return nil
	}
	me.beating.Lock()
	defer me.beating.Unlock()
	if me.trusted(m.lease / trustPart) {
		return nil
	}
	ctx, end := m.db.begin(ctx)
	defer func() { err = end(err) }()
	began := time.Now()
	// Any connection will do. Without the lock anybody may remove the row.
	result, err := m.db.ExecContext(ctx, `UPDATE replicas r SET beats = beats + 1 WHERE id = $1 AND `+isLocked, number)
	if err != nil {
		return err
	}
	switch n, err := result.RowsAffected(); {
	case err != nil:
		return err
	case n == 0 || me.over.Load():
		m.lose(me)
		return ErrLost
	}
	me.trust.Store(&began)
	return nil
}

// trusted tells whether the last beat was begun less than d ago. Both clocks must
// say so: the monotonic one stands still while a machine sleeps, the other one may
// be set.
func (me *member) trusted(d time.Duration) bool {
	last, now := *me.trust.Load(), time.Now()
	wall := now.Round(0).Sub(last.Round(0))
	return now.Sub(last) < d && wall >= 0 && wall < d && !me.over.Load()
}

// closeSoon ends a connection, without waiting long for a server that is away.
func closeSoon(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	_ = conn.Close(ctx) // it is of no use any more
}
