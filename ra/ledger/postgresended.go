package ledger

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// What a server says that ends a connection on purpose (PostgreSQL, appendix A): an
// administrator or a shutdown, or idle_session_timeout. A statement that this answers
// was not begun, or was rolled back.
const (
	adminShutdown      = "57P01"
	idleSessionTimeout = "57P05"
)

// maxEnded bounds how often a statement is begun anew because its connection was
// ended: one may be ended right after it was made.
const maxEnded = 4

// pool begins a statement anew on another connection where the server ends its
// connection instead of answering. However close liveness looks, the server may do so
// between that look and the statement. What is in a transaction is not begun anew, only
// its BEGIN. The one case in which a statement is done and answered so all the same is
// a commit that waits for a standby; each of ours may run twice, see change.
type pool struct {
	*sql.DB
	alive *liveness
	*silence
}

// begin bounds what its context is used for, see silence; end is told how it ended, and
// tells what that means.
func (p *pool) begin(ctx context.Context) (_ context.Context, end func(error) error) {
	ctx, w := p.watch(ctx)
	return ctx, func(err error) error {
		if errors.Is(err, context.DeadlineExceeded) {
			now := time.Now()
			p.alive.late.Store(&now)
		}
		return w.ended(err)
	}
}

// Close ends all connections.
func (p *pool) Close() error {
	p.close()
	return p.DB.Close()
}

// anew tells whether a statement is to be begun anew.
func (p *pool) anew(ctx context.Context, err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != adminShutdown && pg.Code != idleSessionTimeout || ctx.Err() != nil {
		return false
	}
	now := time.Now()
	p.alive.late.Store(&now) // the others are asked before they are used
	return true
}

func (p *pool) ExecContext(ctx context.Context, text string, values ...any) (result sql.Result, err error) {
	for range maxEnded {
		if result, err = p.DB.ExecContext(ctx, text, values...); !p.anew(ctx, err) {
			break
		}
	}
	return result, err
}

func (p *pool) QueryContext(ctx context.Context, text string, values ...any) (rows *sql.Rows, err error) {
	for range maxEnded {
		if rows, err = p.DB.QueryContext(ctx, text, values...); !p.anew(ctx, err) { //nolint:rowserrcheck,sqlclosecheck // the caller's
			break
		}
	}
	return rows, err
}

func (p *pool) QueryRowContext(ctx context.Context, text string, values ...any) (row *sql.Row) {
	for range maxEnded {
		if row = p.DB.QueryRowContext(ctx, text, values...); !p.anew(ctx, row.Err()) {
			break
		}
	}
	return row
}

func (p *pool) BeginTx(ctx context.Context, options *sql.TxOptions) (tx *sql.Tx, err error) {
	for range maxEnded {
		if tx, err = p.DB.BeginTx(ctx, options); !p.anew(ctx, err) {
			break
		}
	}
	return tx, err
}
