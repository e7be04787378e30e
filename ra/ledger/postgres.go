package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	postgresConnections = 16
	// migrationLock is the advisory lock under which replicas that start at once
	// bring the table up to date one after another: "ciscora" in ASCII.
	migrationLock = 0x63697363_6f7261

	uniqueViolation = "23505" // SQLSTATE (PostgreSQL, appendix A)
)

// postgres is a ledger for several replicas.
type postgres struct {
	db     *pool
	ledger *Ledger
	*membership

	looking  chan struct{} // holds one: who brings the tables up to date
	migrated atomic.Bool
	refused  atomic.Pointer[refusal]
}

// refusal is why no waiting makes the database one for this version.
type refusal struct {
	err error
	at  time.Time
}

// lookAgain is after how long a refusal is looked at again: a backup may have been put in
// place.
const lookAgain = 2 * time.Second

// openPostgres does not connect: the RA serves first, and looks then.
func openPostgres(dsn string, l *Ledger, lease time.Duration) (store, error) {
	config, err := parsePostgres(dsn, !l.reader)
	if err != nil {
		return nil, err
	}
	adviseTLS(dsn, config, l.log)
	return newPostgres(config, l, lease), nil
}

func newPostgres(config *pgx.ConnConfig, l *Ledger, lease time.Duration) *postgres {
	h := newHosts(config)
	db := openPool(config, h)
	m := newMembership(config, h, db, l, lease)
	db.silent = func(address string, before time.Time) {
		h.fellSilent(address)
		db.alive.doubted.Store(&before)
		m.fellSilent(address, before)
	}
	return &postgres{db: db, ledger: l, looking: make(chan struct{}, 1), membership: m}
}

// ready brings the tables up to date, where that has not been done.
func (p *postgres) ready(ctx context.Context) (err error) {
	if p.migrated.Load() {
		return nil
	}
	if r := p.refused.Load(); r != nil && time.Since(r.at) < lookAgain {
		return r.err
	}
	select {
	case p.looking <- struct{}{}:
		defer func() { <-p.looking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.migrated.Load() {
		return nil
	}
	ctx, end := p.db.begin(ctx)
	defer func() { err = end(err) }()
	bring := p.migrate
	if p.ledger.reader {
		bring = p.checkVersion
	}
	if err := bring(ctx); err != nil {
		return p.refuse(err)
	}
	old, err := anyOfVersion1(ctx, p.db.DB)
	if err != nil {
		return err
	}
	p.ledger.version1.Store(old)
	p.refused.Store(nil)
	p.migrated.Store(true)
	return nil
}

// refuse keeps what makes the database unusable.
func (p *postgres) refuse(err error) error {
	if errors.Is(err, ErrUnusable) {
		p.refused.Store(&refusal{err, time.Now()})
		p.migrated.Store(false)
	}
	return err
}

func (p *postgres) unusableNow() error {
	if r := p.refused.Load(); r != nil {
		return r.err
	}
	return nil
}

func (p *postgres) checkVersion(ctx context.Context) error {
	version := 0
	if err := p.db.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM ledger_version`).Scan(&version); err != nil {
		return err
	}
	return p.unusable(checkSchema(version))
}

// unusable names the database that no waiting makes usable.
func (p *postgres) unusable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: the database %s at %s %w", ErrUnusable, p.config.Database, p.config.Host, err)
}

func (p *postgres) migrate(ctx context.Context) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit that does nothing
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS ledger_version (version INTEGER NOT NULL)`); err != nil {
		return err
	}
	version := 0
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM ledger_version`).Scan(&version); err != nil {
		return err
	}
	if version > schemaVersion {
		return p.unusable(newer(version))
	}
	if version == 0 {
		var there bool
		if err := tx.QueryRowContext(ctx, `SELECT to_regclass('requests') IS NOT NULL`).Scan(&there); err != nil {
			return err
		}
		if there {
			return p.unusable(errNoVersion)
		}
	}
	for ; version < schemaVersion; version++ {
		for _, statement := range migration(version, "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "BYTEA") {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("bring the table to version %d: %w", version+1, err)
			}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO ledger_version VALUES ($1)`, version+1); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (p *postgres) ping(ctx context.Context) error {
	ctx, end := p.db.begin(ctx)
	return end(p.db.PingContext(ctx))
}

func (p *postgres) probe(ctx context.Context, number int64, about string) (_ time.Time, err error) {
	ctx, end := p.db.begin(ctx)
	defer func() { err = end(err) }()
	now, _ := p.clock(0)
	var clock int64
	var version int
	err = p.db.QueryRowContext(ctx, `UPDATE replicas SET about = $1 WHERE id = $2 RETURNING `+now+`, (SELECT coalesce(max(version), 0) FROM ledger_version)`,
		about, number).Scan(&clock, &version)
	if errors.Is(err, sql.ErrNoRows) {
		if me := p.current.Load(); me != nil && me.number == number {
			p.lose(me) // another one has removed it; the next look makes it a replica anew
		}
		return time.Time{}, errFenced
	}
	if err == nil && version > schemaVersion {
		// A newer replica has come meanwhile. What this one works on it can record no more:
		// others may take it.
		err = p.refuse(p.unusable(newer(version)))
		if me := p.current.Load(); me != nil && me.number == number {
			p.lose(me)
		}
	}
	return timeOf(clock), err
}

func (p *postgres) rows(ctx context.Context, query string, values ...any) (*rows, error) {
	ctx, end := p.db.begin(ctx)
	return newRows(end)(p.db.QueryContext(ctx, query, values...))
}

func (p *postgres) row(ctx context.Context, query string, values ...any) row {
	ctx, end := p.db.begin(ctx)
	return row{p.db.QueryRowContext(ctx, query, values...), end}
}

// change is durable, as every commit of PostgreSQL's.
func (p *postgres) change(ctx context.Context, c change) error {
	err := p.run(ctx, c)
	if err == nil && c.committed != nil {
		c.committed()
	}
	return err
}

func (p *postgres) run(ctx context.Context, c change) (err error) {
	ctx, end := p.db.begin(ctx)
	defer func() { err = end(err) }()
	if !c.several {
		return c.run(ctx, p.db)
	}
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit that does nothing
	if err := c.run(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (p *postgres) insert(ctx context.Context, before []statement, values []any) (id int64, err error) {
	ctx, end := p.db.begin(ctx)
	defer func() { err = end(err) }()
	for _, b := range before {
		// Where another replica does the same its row is the one.
		if _, err := p.db.ExecContext(ctx, b.text, b.values...); err != nil && !isUniqueViolation(err) {
			return 0, err
		}
	}
	err = p.db.QueryRowContext(ctx, insertRow+` RETURNING id`, values...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

func isUniqueViolation(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == uniqueViolation
}

func (p *postgres) clock(int) (string, []any) {
	return "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint", nil
}

func (p *postgres) skipLocked() string { return " FOR UPDATE SKIP LOCKED" }

func (p *postgres) close() error {
	p.leave()
	return p.db.Close()
}
