package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/zap"
)

const (
	postgresConnections = 16
	// migrationLock is the advisory lock under which replicas that start at once
	// bring the table up to date one after another: "ciscora" in ASCII.
	migrationLock = 0x63697363_6f7261
)

// postgres is a ledger for several replicas.
type postgres struct {
	db  *sql.DB
	log *zap.Logger

	mu       sync.Mutex // guards migrated
	migrated bool
}

func openPostgres(ctx context.Context, dsn string, log *zap.Logger) (store, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("the address of the PostgreSQL server: %w", err) // pgx leaves the password out
	}
	p := &postgres{db: stdlib.OpenDB(*config), log: log}
	p.db.SetMaxOpenConns(postgresConnections)
	p.db.SetMaxIdleConns(postgresConnections)
	var wrong *newerError
	if err := p.ready(ctx); errors.As(err, &wrong) {
		return nil, errors.Join(fmt.Errorf("the ledger at %s: %w", config.Host, wrong), p.db.Close())
	} else if err != nil {
		log.Warn("the ledger is away; the RA goes on trying", zap.String("host", config.Host), zap.Error(err))
	}
	return p, nil
}

// newerError is a database of a later version.
type newerError struct{ version int }

func (e *newerError) Error() string { return newer(e.version).Error() }

func (p *postgres) ready(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.migrated {
		return nil
	}
	if err := p.migrate(ctx); err != nil {
		return err
	}
	p.migrated = true
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
		return &newerError{version}
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

func (p *postgres) writer() *sql.DB { return p.db }
func (p *postgres) reader() *sql.DB { return p.db }

// execDurably is what PostgreSQL does with every commit.
func (p *postgres) execDurably(ctx context.Context, statement string, values ...any) (sql.Result, error) {
	return p.db.ExecContext(ctx, statement, values...)
}

func (p *postgres) close() error { return p.db.Close() }
