package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/zap"
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
	db     *sql.DB
	ledger *Ledger
	*membership

	mu       sync.Mutex // guards migrated
	migrated bool
}

func openPostgres(ctx context.Context, dsn string, l *Ledger, lease time.Duration) (store, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("the address of the PostgreSQL server: %w", err) // pgx leaves the password out
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(postgresConnections)
	db.SetMaxIdleConns(postgresConnections)
	p := &postgres{db: db, ledger: l, membership: newMembership(config, db, l, lease)}
	var wrong *schemaError
	if err := p.ready(ctx); errors.As(err, &wrong) {
		return nil, errors.Join(fmt.Errorf("the ledger at %s: %w", config.Host, wrong.error), p.db.Close())
	} else if err != nil {
		l.log.Warn("the ledger is away; the RA goes on trying", zap.String("host", config.Host), zap.Error(err))
	}
	return p, nil
}

// schemaError is a database of another version.
type schemaError struct{ error }

func (p *postgres) ready(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.migrated {
		return nil
	}
	bring := p.migrate
	if p.ledger.reader {
		bring = p.checkVersion
	}
	if err := bring(ctx); err != nil {
		return err
	}
	old, err := anyOfVersion1(ctx, p.db)
	if err != nil {
		return err
	}
	p.ledger.version1.Store(old)
	p.migrated = true
	return nil
}

func (p *postgres) checkVersion(ctx context.Context) error {
	version := 0
	if err := p.db.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM ledger_version`).Scan(&version); err != nil {
		return err
	}
	if err := checkSchema(version); err != nil {
		return &schemaError{err}
	}
	return nil
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
		return &schemaError{newer(version)}
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

func (p *postgres) ping(ctx context.Context) error { return p.db.PingContext(ctx) }

func (p *postgres) rows(ctx context.Context, query string, values ...any) (*sql.Rows, error) {
	return p.db.QueryContext(ctx, query, values...)
}

func (p *postgres) row(ctx context.Context, query string, values ...any) *sql.Row {
	return p.db.QueryRowContext(ctx, query, values...)
}

// change is durable, as every commit of PostgreSQL's.
func (p *postgres) change(ctx context.Context, c change) error {
	err := p.run(ctx, c)
	if err == nil && c.committed != nil {
		c.committed()
	}
	return err
}

func (p *postgres) run(ctx context.Context, c change) error {
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
