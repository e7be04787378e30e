package ledger

import (
	"context"
	"time"
)

// Summary is what the ledger knows of all its rows.
type Summary struct {
	Orphans      int       // see [Row.Orphan]
	Pending      int       // wait for a manager
	PendingSince time.Time // when the one came that waits longest; zero = none waits
	Lost         int       // the CA may have them, and their ReqID is not known
}

// Summary counts the rows that are of interest. It takes as long as there are such
// rows, however many others there are.
func (l *Ledger) Summary(ctx context.Context) (s Summary, err error) {
	if err := l.store.ready(ctx); err != nil {
		return s, unavailable(err)
	}
	if err := l.store.row(ctx, `SELECT count(*) FROM requests WHERE `+isOrphan).Scan(&s.Orphans); err != nil {
		return s, unavailable(err)
	}
	var since int64
	// "state <> 'delivered'" names the index.
	if err := l.store.row(ctx, `SELECT count(*), coalesce(min(received), 0) FROM requests WHERE state = 'pending' AND state <> 'delivered'`).Scan(&s.Pending, &since); err != nil {
		return s, unavailable(err)
	}
	if s.Pending > 0 {
		s.PendingSince = timeOf(since)
	}
	err = l.store.row(ctx, `SELECT count(*) FROM requests WHERE state = 'submitted' AND state <> 'delivered' AND req_id = 0`).Scan(&s.Lost)
	return s, unavailable(err)
}
