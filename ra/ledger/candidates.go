package ledger

import (
	"context"
	"fmt"
)

// IsCandidate tells whether a row other than this one was given up with the number
// among those that may be its own.
func (l *Ledger) IsCandidate(ctx context.Context, reqID int, other int64) (is bool, err error) {
	if err := l.store.ready(ctx); err != nil {
		return false, unavailable(err)
	}
	// Candidates are a JSON array of numbers, without spaces.
	err = l.store.row(ctx, `SELECT EXISTS (SELECT 1 FROM requests WHERE `+isOrphan+` AND id <> $1
		AND (candidates = $2 OR candidates LIKE $3 OR candidates LIKE $4 OR candidates LIKE $5))`,
		other, fmt.Sprintf("[%d]", reqID), fmt.Sprintf("[%d,%%", reqID), fmt.Sprintf("%%,%d,%%", reqID), fmt.Sprintf("%%,%d]", reqID)).Scan(&is)
	return is, unavailable(err)
}
