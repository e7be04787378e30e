package ledger

import (
	"context"
	"slices"
	"time"
)

// Update writes what change makes of the row; one that is opened where another row of
// the same request is open stays closed. It returns ErrLost, and has written nothing,
// where the claim has ended. The request's own fields stay as they are, and
// so does what Delivered has recorded.
//
// Any other error, the end of ctx included, leaves open whether it was written, or
// will be in a moment: the claim's row stays as it was before, and the next Update
// writes all of the row. Do not act as if it were written, nor as if it were not.
//
// A row that goes to submitted is on the disk when Update returns: a power cut must
// not hide that the CA may have a request. All else can be found out again.
func (l *Ledger) Update(ctx context.Context, c *Claim, change func(*Row)) error {
	return l.update(ctx, c, change, false)
}

// Finish is Update and Release in one. After an error that is not ErrLost the claim
// may have ended: then the next Update returns ErrLost.
func (l *Ledger) Finish(ctx context.Context, c *Claim, change func(*Row)) error {
	return l.update(ctx, c, change, true)
}

func (l *Ledger) update(ctx context.Context, c *Claim, to func(*Row), last bool) error {
	if !l.holding.has(c.Row.ID, c.token) {
		return ErrLost
	}
	if err := l.store.ready(ctx); err != nil {
		return unavailable(err)
	}
	number, err := l.store.member(ctx)
	if err != nil {
		return unavailable(err)
	}
	row := c.Row
	row.Legs, row.Candidates = slices.Clone(c.Row.Legs), slices.Clone(c.Row.Candidates)
	to(&row)
	now := l.now()
	if c.Row.State == StatePending && row.State != StatePending && !c.Row.Submitted.IsZero() {
		row.Waited = now.Sub(c.Row.Submitted)
	}
	row.ID, row.Request, row.Updated, row.key = c.Row.ID, c.Row.Request, now, c.Row.key
	row.Delivered, row.Deliveries = c.Row.Delivered, c.Row.Deliveries
	row.Replica, row.holder, row.token, row.Held = l.replica, number, c.token, !last
	if last {
		row.holder = 0
	}
	row.bound()
	before := &c.Row
	if c.unclear {
		before = nil
	}
	set, values, err := row.changes(before)
	if err != nil {
		return err
	}
	text := l.updates.of(set)
	values = append(values, c.Row.ID, c.Row.token, c.token)
	err = l.write(ctx, change{
		durable: row.State == StateSubmitted && (c.Row.State != StateSubmitted || !row.Submitted.Equal(c.Row.Submitted)),
		committed: func() {
			l.highest.saw(row.ReqID)
			if last {
				l.holding.free(row.ID, row.token)
			} else {
				// A claim of a number that ended, but that nobody took, lives on.
				l.holding.renumber(row.ID, row.token, number)
			}
		},
		run: func(ctx context.Context, e execer) error {
			if !l.holding.has(row.ID, row.token) {
				return ErrLost
			}
			n, err := execOne(ctx, e, text, values...)
			if err == nil && n == 0 {
				l.holding.free(row.ID, row.token)
				err = ErrLost
			}
			return err
		},
	})
	if err != nil {
		c.unclear = true
		return err
	}
	c.Row, c.unclear = row, false
	return nil
}

// Delivered records that the certificate of a row was sent to its client at an
// instant, once more maybe; the row has the first. It needs no claim. ErrNotFound:
// there is no such row.
func (l *Ledger) Delivered(ctx context.Context, id int64, at time.Time) error {
	now, when := micros(l.now()), micros(at)
	return l.write(ctx, change{run: func(ctx context.Context, e execer) error {
		n, err := execOne(ctx, e, `UPDATE requests SET deliveries = deliveries + 1, updated = $1,
			state = CASE WHEN state = 'issued' THEN 'delivered' ELSE state END,
			delivered = CASE WHEN delivered = 0 OR delivered > $2 THEN $3 ELSE delivered END
			WHERE id = $4`, now, when, when, id)
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	}})
}
