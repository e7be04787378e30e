package ledger

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// What the CA showed under a ReqID.
const (
	SeenCertificate = "certificate"
	SeenPending     = "pending" // it waits for a manager
	SeenDenied      = "denied"
	SeenRevoked     = "revoked"
	SeenHidden      = "hidden"  // another's, which the CA does not show to this account
	SeenUnknown     = "unknown" // the CA has no such request, yet
)

// exists is the condition that the CA has a request under that number.
const exists = `what IN ('certificate', 'pending', 'denied', 'revoked')`

// Seen is what was found under a ReqID when the CA was searched.
type Seen struct {
	ReqID       int
	What        string // SeenCertificate, ...
	Certificate []byte // DER, of SeenCertificate
	At          time.Time
}

func (s Seen) exists() bool {
	switch s.What {
	case SeenCertificate, SeenPending, SeenDenied, SeenRevoked:
		return true
	}
	return false
}

// maxSeen bounds what SeenFrom and KnownReqIDs return.
const maxSeen = 1 << 20

// See records what was seen, in place of what was seen before under these numbers.
func (l *Ledger) See(ctx context.Context, seen ...Seen) error {
	if len(seen) == 0 {
		return nil
	}
	for _, s := range seen {
		if len(s.Certificate) > maxDER {
			return fmt.Errorf("ledger: the certificate of request %d has %d bytes, more than %d", s.ReqID, len(s.Certificate), maxDER)
		}
	}
	return l.write(ctx, change{
		several: true,
		committed: func() {
			for _, s := range seen {
				if s.exists() {
					l.highest.saw(s.ReqID)
				}
			}
		},
		run: func(ctx context.Context, e execer) error {
			for _, s := range seen {
				if _, err := e.ExecContext(ctx, `INSERT INTO seen (req_id, what, certificate, at) VALUES ($1, $2, $3, $4)
					ON CONFLICT (req_id) DO UPDATE SET what = excluded.what, certificate = excluded.certificate, at = excluded.at`,
					s.ReqID, cut(s.What), notNil(s.Certificate), micros(s.At)); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// SeenFrom returns what was seen under reqID and the numbers above, in their order.
func (l *Ledger) SeenFrom(ctx context.Context, reqID int) ([]Seen, error) {
	if err := l.store.ready(ctx); err != nil {
		return nil, unavailable(err)
	}
	rows, err := l.store.rows(ctx, `SELECT req_id, what, certificate, at FROM seen WHERE req_id >= $1 ORDER BY req_id LIMIT $2`, reqID, maxSeen)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var list []Seen
	for rows.Next() {
		var s Seen
		var at int64
		if err := rows.Scan(&s.ReqID, &s.What, &s.Certificate, &at); err != nil {
			return nil, unavailable(err)
		}
		s.At = timeOf(at)
		list = append(list, s)
	}
	return list, unavailable(rows.Err())
}

// ForgetSeen removes what was seen under the numbers below this one.
func (l *Ledger) ForgetSeen(ctx context.Context, below int) error {
	return l.write(ctx, change{run: func(ctx context.Context, e execer) error {
		_, err := e.ExecContext(ctx, `DELETE FROM seen WHERE req_id < $1`, below)
		return err
	}})
}

// KnownReqIDs returns the ReqIDs from this one on that a row has, in their order.
func (l *Ledger) KnownReqIDs(ctx context.Context, from int) ([]int, error) {
	if err := l.store.ready(ctx); err != nil {
		return nil, unavailable(err)
	}
	rows, err := l.store.rows(ctx, `SELECT DISTINCT req_id FROM requests WHERE req_id > 0 AND req_id >= $1 ORDER BY req_id LIMIT $2`, from, maxSeen)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var list []int
	for rows.Next() {
		var reqID int
		if err := rows.Scan(&reqID); err != nil {
			return nil, unavailable(err)
		}
		list = append(list, reqID)
	}
	return list, unavailable(rows.Err())
}

// HighestReqID returns the highest ReqID that the CA is known to have given, by a
// row or by what was seen; 0 = none. It is cheap: in SQLite it costs no query.
func (l *Ledger) HighestReqID(ctx context.Context) (int, error) {
	if reqID, known := l.highest.get(); known {
		return reqID, nil
	}
	if err := l.store.ready(ctx); err != nil {
		return 0, unavailable(err)
	}
	var reqID int
	err := l.store.row(ctx, highestReqID).Scan(&reqID)
	return reqID, unavailable(err)
}

const highestReqID = `SELECT coalesce(max(req_id), 0) FROM (
	SELECT * FROM (SELECT req_id FROM requests WHERE req_id > 0 ORDER BY req_id DESC LIMIT 1) AS a
	UNION ALL SELECT * FROM (SELECT req_id FROM seen WHERE ` + exists + ` ORDER BY req_id DESC LIMIT 1) AS b) AS c`

// highest is the highest ReqID of a ledger that only this process writes to.
type highest struct {
	known atomic.Bool // else the database is asked
	reqID atomic.Int64
}

// begin makes the process the one that knows.
func (h *highest) begin(reqID int) {
	h.saw(reqID)
	h.known.Store(true)
}

func (h *highest) get() (int, bool) { return int(h.reqID.Load()), h.known.Load() }

func (h *highest) saw(reqID int) {
	for {
		before := h.reqID.Load()
		if int64(reqID) <= before || h.reqID.CompareAndSwap(before, int64(reqID)) {
			return
		}
	}
}
