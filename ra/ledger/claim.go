package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Claim is a row, and the right to change it where it is Mine.
type Claim struct {
	Row   Row
	Mine  bool // else somebody else works on it
	Fresh bool // the row was made by this call

	token string
}

// maxClaims bounds how often Claim starts over because a row was closed between
// two of its statements.
const maxClaims = 20

// Claim joins the open row of this request, or makes one in state received. It is
// Mine where nobody else has a live claim on it. Claims of several processes at a
// time make one row, and only one of them is Mine.
func (l *Ledger) Claim(ctx context.Context, request Request) (Claim, error) {
	for range maxClaims {
		claim, err := l.insert(ctx, request, true)
		if !errors.Is(err, sql.ErrNoRows) {
			return claim, unavailable(err)
		}
		key := request.Key()
		claim, err = l.take(ctx, `key = $4 AND open = 1`, key[:])
		if !errors.Is(err, sql.ErrNoRows) {
			return claim, unavailable(err)
		}
		row, err := scan(l.store.writer().QueryRowContext(ctx, `SELECT `+allColumns+` FROM requests WHERE key = $1 AND open = 1`, key[:]))
		if !errors.Is(err, sql.ErrNoRows) {
			return Claim{Row: row}, unavailable(err)
		}
	}
	return Claim{}, fmt.Errorf("%w: the row of this request was closed again and again", ErrUnavailable)
}

// New makes a row of its own for the request, which nobody joins.
func (l *Ledger) New(ctx context.Context, request Request) (Claim, error) {
	claim, err := l.insert(ctx, request, false)
	return claim, unavailable(err)
}

// insert makes a row; sql.ErrNoRows where there is an open one with this key.
func (l *Ledger) insert(ctx context.Context, request Request, open bool) (Claim, error) {
	if err := l.store.ready(ctx); err != nil {
		return Claim{}, err
	}
	token, err := newToken()
	if err != nil {
		return Claim{}, err
	}
	now := l.now()
	row := Row{
		Request: request, State: StateReceived, Open: open, Received: now, Updated: now,
		Replica: l.replica, LeaseUntil: now.Add(l.lease),
	}
	row.bound()
	changed, err := row.changedValues()
	if err != nil {
		return Claim{}, err
	}
	values := append(row.fixedValues(), changed...)
	values = append(values, row.Replica, token, micros(row.LeaseUntil), string(row.State), 0, 0)
	// The key is that of the request as it came, however much of it was cut.
	key := request.Key()
	values[0] = key[:]
	got, err := scan(l.store.writer().QueryRowContext(ctx,
		`INSERT INTO requests (`+fixedColumns+`, `+changedColumns+`, `+claimColumns+`, `+deliveryColumns+`) VALUES (`+placeholders(1, len(values))+`)
		ON CONFLICT (key) WHERE open = 1 DO NOTHING RETURNING `+allColumns, values...))
	if err != nil {
		return Claim{}, err
	}
	got.Request = request
	return Claim{Row: got, Mine: true, Fresh: true, token: token}, nil
}

// take claims the row that the condition finds, if its claim has ended;
// sql.ErrNoRows otherwise.
func (l *Ledger) take(ctx context.Context, condition string, value any) (Claim, error) {
	token, err := newToken()
	if err != nil {
		return Claim{}, err
	}
	now := l.now()
	row, err := scan(l.store.writer().QueryRowContext(ctx,
		`UPDATE requests SET replica = $1, token = $2, lease_until = $3 WHERE `+condition+` AND lease_until <= $5 RETURNING `+allColumns,
		l.replica, token, micros(now.Add(l.lease)), value, micros(now)))
	if err != nil {
		return Claim{}, err
	}
	return Claim{Row: row, Mine: true, token: token}, nil
}

// Take claims a row to work on it in the background. It is not Mine where
// somebody else works on it; ErrNotFound where there is no such row.
func (l *Ledger) Take(ctx context.Context, id int64) (Claim, error) {
	if err := l.store.ready(ctx); err != nil {
		return Claim{}, unavailable(err)
	}
	claim, err := l.take(ctx, `id = $4`, id)
	if !errors.Is(err, sql.ErrNoRows) {
		return claim, unavailable(err)
	}
	row, err := l.Get(ctx, id)
	return Claim{Row: row}, err
}

// Extend makes a claim live on for a lease. It returns ErrLost where somebody else
// has the row.
func (l *Ledger) Extend(ctx context.Context, c Claim) error {
	return l.exec(ctx, `UPDATE requests SET lease_until = $1 WHERE id = $2 AND token = $3`, micros(l.now().Add(l.lease)), c.Row.ID, c.token)
}

// Update writes what change makes of the row, and extends the claim. It returns
// ErrLost, and has written nothing, where somebody else has the row. The
// request's own fields stay as they are, and so does what Delivered has recorded.
//
// A row that goes to submitted is on the disk when Update returns: a power cut must
// not hide that the CA may have a request. All else can be found out again.
func (l *Ledger) Update(ctx context.Context, c *Claim, change func(*Row)) error {
	return l.update(ctx, c, change, false)
}

// Finish is Update and Release in one.
func (l *Ledger) Finish(ctx context.Context, c *Claim, change func(*Row)) error {
	return l.update(ctx, c, change, true)
}

func (l *Ledger) update(ctx context.Context, c *Claim, change func(*Row), last bool) error {
	row := c.Row
	row.Legs = append([]Leg(nil), c.Row.Legs...)
	change(&row)
	now := l.now()
	if c.Row.State == StatePending && row.State != StatePending && !c.Row.Submitted.IsZero() {
		row.Waited = now.Sub(c.Row.Submitted)
	}
	row.ID, row.Request, row.Updated = c.Row.ID, c.Row.Request, now
	row.Replica, row.LeaseUntil = l.replica, now.Add(l.lease)
	token := c.token
	if last {
		row.LeaseUntil, token = time.Time{}, ""
	}
	row.bound()
	values, err := row.changedValues()
	if err != nil {
		return err
	}
	n := len(values)
	values = append(values, micros(row.LeaseUntil), token, string(row.State), c.Row.ID, c.token)
	// A row that was delivered meanwhile stays that, whenever it is written that it
	// was issued.
	err = l.change(ctx, row.State == StateSubmitted && c.Row.State != StateSubmitted, fmt.Sprintf(`UPDATE requests SET (%s, lease_until, token) = (%s),
		state = CASE WHEN $%[3]d = 'issued' AND deliveries > 0 THEN 'delivered' ELSE $%[3]d END WHERE id = $%[4]d AND token = $%[5]d`,
		changedColumns, placeholders(1, n+2), n+3, n+4, n+5), values...)
	if err != nil {
		return err
	}
	c.Row = row
	return nil
}

// Release gives a claim back. A claim that is lost already is no error.
func (l *Ledger) Release(ctx context.Context, c Claim) error {
	err := l.exec(ctx, `UPDATE requests SET lease_until = 0, token = '' WHERE id = $1 AND token = $2`, c.Row.ID, c.token)
	if errors.Is(err, ErrLost) || c.token == "" {
		return nil
	}
	return err
}

// Delivered records that the certificate of a row was sent to its client, once
// more maybe. It needs no claim. ErrNotFound: there is no such row.
func (l *Ledger) Delivered(ctx context.Context, id int64) error {
	now := micros(l.now())
	err := l.exec(ctx, `UPDATE requests SET deliveries = deliveries + 1, updated = $1,
		state = CASE WHEN state = 'issued' THEN 'delivered' ELSE state END,
		delivered = CASE WHEN delivered = 0 THEN $2 ELSE delivered END
		WHERE id = $3`, now, now, id)
	if errors.Is(err, ErrLost) {
		return ErrNotFound
	}
	return err
}

// exec changes one row, or returns ErrLost.
func (l *Ledger) exec(ctx context.Context, statement string, values ...any) error {
	return l.change(ctx, false, statement, values...)
}

func (l *Ledger) change(ctx context.Context, durably bool, statement string, values ...any) error {
	if err := l.store.ready(ctx); err != nil {
		return unavailable(err)
	}
	exec := l.store.writer().ExecContext
	if durably {
		exec = l.store.execDurably
	}
	result, err := exec(ctx, statement, values...)
	if err != nil {
		return unavailable(err)
	}
	switch n, err := result.RowsAffected(); {
	case err != nil:
		return unavailable(err)
	case n == 0:
		return ErrLost
	}
	return nil
}

// placeholders returns $from, ..., n of them.
func placeholders(from, n int) string {
	marks := make([]string, n)
	for i := range marks {
		marks[i] = fmt.Sprintf("$%d", from+i)
	}
	return strings.Join(marks, ", ")
}
