package ledger

import (
	"context"
	"database/sql"
	"time"
)

// statementTimeout is for who comes without a deadline of its own.
const statementTimeout = 30 * time.Second

// deadline bounds a statement of a caller that has set no end.
func deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, statementTimeout)
}

// rows are read under a deadline, which ends when they are closed.
type rows struct {
	*sql.Rows
	end func(error) error // tells what an error means
}

// newRows takes what a query returns.
func newRows(end func(error) error) func(*sql.Rows, error) (*rows, error) {
	return func(r *sql.Rows, err error) (*rows, error) {
		if err != nil {
			return nil, end(err)
		}
		return &rows{r, end}, nil
	}
}

// Err leaves what is not read yet to be read, or closed: a connection whose statement is
// cut off is lost.
func (r *rows) Err() error {
	err := r.Rows.Err()
	if err != nil {
		err = r.end(err)
	}
	return err
}

func (r *rows) Close() error { return r.end(r.Rows.Close()) }

// row is the same for one row.
type row struct {
	*sql.Row
	end func(error) error
}

func (r row) Scan(into ...any) error { return r.end(r.Row.Scan(into...)) }
