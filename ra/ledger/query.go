package ledger

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Filter chooses rows; its zero value chooses the newest ones. Texts are compared
// as they are.
type Filter struct {
	State                         State
	CN, Identity, Label, Template string
	ReqID                         int
	Since, Until                  time.Time // of Received; Until is not included
	Uncertain                     bool      // only those
	Orphans                       bool      // only those, see [Row.Orphan]
	Before                        int64     // only rows with a smaller ID: the next page
	Limit                         int       // 0 = 100, at most 1000
}

const (
	standardLimit = 100
	maxLimit      = 1000
	// clocksApart is by how much rows may be out of the order of their times: replicas
	// whose clocks differ more do not live (a row has its replica's time, and the next
	// free id).
	clocksApart = time.Hour
)

// List returns the rows that the filter chooses, newest first.
func (l *Ledger) List(ctx context.Context, f Filter) ([]Row, error) {
	query, values := f.query()
	return l.list(ctx, query, values...)
}

func (l *Ledger) list(ctx context.Context, query string, values ...any) ([]Row, error) {
	if err := l.store.ready(ctx); err != nil {
		return nil, unavailable(err)
	}
	defer l.took("read", time.Now())
	rows, err := l.store.rows(ctx, query, values...)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var list []Row
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, unavailable(err)
		}
		list = append(list, row)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err)
	}
	rows.Close() // an in-memory database has one connection
	return list, l.markHeld(ctx, list)
}

// markHeld tells which of the rows somebody has a live claim on.
func (l *Ledger) markHeld(ctx context.Context, rows []Row) error {
	var others map[int64]bool
	for i := range rows {
		r := &rows[i]
		if l.holding.has(r.ID, "") {
			r.Held = true
			continue
		}
		if r.holder == 0 {
			continue
		}
		if others == nil {
			var err error
			if others, err = l.store.others(ctx); err != nil {
				return unavailable(err)
			}
		}
		r.Held = others[r.holder]
	}
	return nil
}

func (f Filter) query() (string, []any) {
	var conditions []string
	var values []any
	where := func(condition string, value any) {
		values = append(values, value)
		conditions = append(conditions, fmt.Sprintf("%s $%d", condition, len(values)))
	}
	if f.State != "" {
		// As text, where the states are ours: the index has all but one of them.
		if slices.Contains(States(), f.State) {
			conditions = append(conditions, fmt.Sprintf("state = '%s'", f.State))
		} else {
			where("state =", string(f.State))
		}
		if f.State != StateDelivered {
			conditions = append(conditions, "state <> 'delivered'")
		}
	}
	if f.Label != "" {
		conditions = append(conditions, "label <> ''") // names the index that has these alone
	}
	for _, text := range []struct{ column, value string }{
		{"cn", f.CN}, {"identity", f.Identity}, {"label", f.Label}, {"template", f.Template},
	} {
		if text.value != "" {
			where(text.column+" =", text.value)
		}
	}
	if f.ReqID != 0 {
		conditions = append(conditions, "req_id > 0") // names the index that has these alone
		where("req_id =", f.ReqID)
	}
	// The times as ids, which the other indexes are ordered by: else a part of them would be
	// read from one end to the other. "+received" keeps the planner from the times' own
	// index, whose rows would have to be sorted.
	if !f.Since.IsZero() {
		where("+received >=", micros(f.Since))
		where("id >= coalesce((SELECT id FROM requests WHERE received <", micros(f.Since.Add(-clocksApart)))
		conditions[len(conditions)-1] += " ORDER BY received DESC LIMIT 1), 0)"
	}
	if !f.Until.IsZero() {
		where("+received <", micros(f.Until))
		where("id <= coalesce((SELECT id FROM requests WHERE received >=", micros(f.Until.Add(clocksApart)))
		conditions[len(conditions)-1] += fmt.Sprintf(" ORDER BY received LIMIT 1), %d)", int64(math.MaxInt64))
	}
	if f.Before != 0 {
		where("id <", f.Before)
	}
	if f.Uncertain {
		conditions = append(conditions, "uncertain = 1", isOrphan)
	}
	if f.Orphans {
		conditions = append(conditions, isOrphan)
	}
	query := `SELECT ` + allColumns + ` FROM requests`
	if len(conditions) > 0 {
		query += ` WHERE ` + strings.Join(conditions, " AND ")
	}
	limit := f.Limit
	if limit <= 0 {
		limit = standardLimit
	}
	return query + fmt.Sprintf(` ORDER BY id DESC LIMIT %d`, min(limit, maxLimit)), values
}

// Get returns one row, or ErrNotFound.
func (l *Ledger) Get(ctx context.Context, id int64) (Row, error) {
	if err := l.store.ready(ctx); err != nil {
		return Row{}, unavailable(err)
	}
	defer l.took("read", time.Now())
	row, err := scan(l.store.row(ctx, selectRow, id))
	if err != nil {
		return Row{}, unavailable(err)
	}
	rows := []Row{row}
	err = l.markHeld(ctx, rows)
	return rows[0], err
}

var selectRow = `SELECT ` + allColumns + ` FROM requests WHERE id = $1`

// Due returns the rows that want work and that nobody works on, at most limit:
// those to be polled by now, and those whose process ended before it had sent the
// CSR.
func (l *Ledger) Due(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	if err := l.store.ready(ctx); err != nil {
		return nil, unavailable(err)
	}
	others, err := l.store.others(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	free := ""
	if len(others) > 0 {
		numbers := make([]string, 0, len(others))
		for number := range others {
			numbers = append(numbers, strconv.FormatInt(number, 10))
		}
		free = ` AND holder NOT IN (` + strings.Join(numbers, ", ") + `)`
	}
	rows, err := l.store.rows(ctx, `SELECT id, token FROM requests
		WHERE state IN ('received', 'submitted', 'pending') AND next_poll <= $1 AND (next_poll > 0 OR state = 'received')`+free+`
		ORDER BY next_poll, id LIMIT $2`, micros(now), limit+l.holding.rows())
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var ids []int64
	for len(ids) < limit && rows.Next() {
		var id int64
		var token string
		if err := rows.Scan(&id, &token); err != nil {
			return nil, unavailable(err)
		}
		if !l.holding.busy(id, token) {
			ids = append(ids, id)
		}
	}
	return ids, unavailable(rows.Err())
}

// maxLost bounds what Lost returns.
const maxLost = 10_000

// Lost returns the requests that the CA may have and whose ReqID is not known,
// oldest first, the first ten thousand: those whose POST is under way (Held), and
// those whose POST ended without an answer.
func (l *Ledger) Lost(ctx context.Context) ([]Row, error) {
	return l.list(ctx, `SELECT `+allColumns+` FROM requests WHERE state = 'submitted' AND state <> 'delivered' AND req_id = 0 ORDER BY id LIMIT $1`, maxLost)
}

// waitedRows is how many requests the median of Waited is of.
const waitedRows = 100

// Waited tells how long requests for this template that waited for a manager did
// so: the median of the last hundred that were decided, and how many there were.
func (l *Ledger) Waited(ctx context.Context, template string) (median time.Duration, n int, err error) {
	if err := l.store.ready(ctx); err != nil {
		return 0, 0, unavailable(err)
	}
	rows, err := l.store.rows(ctx, `SELECT waited FROM requests WHERE template = $1 AND waited > 0 ORDER BY id DESC LIMIT $2`, template, waitedRows)
	if err != nil {
		return 0, 0, unavailable(err)
	}
	defer rows.Close()
	var all []int64
	for rows.Next() {
		var waited int64
		if err := rows.Scan(&waited); err != nil {
			return 0, 0, unavailable(err)
		}
		all = append(all, waited)
	}
	if err := rows.Err(); err != nil || len(all) == 0 {
		return 0, 0, unavailable(err)
	}
	slices.Sort(all)
	return time.Duration(all[len(all)/2]) * time.Microsecond, len(all), nil
}

// pruneBatch rows are removed at a time, so that nobody waits long for the
// database.
const pruneBatch = 500

// Prune removes rows that nothing has happened to since before, and returns how
// many. An open request that is not decided stays.
func (l *Ledger) Prune(ctx context.Context, before time.Time) (int, error) {
	removed := 0
	for {
		var n int64
		err := l.write(ctx, change{run: func(ctx context.Context, e execer) (err error) {
			// Nothing happens to a row before it came: received has an index.
			n, err = execOne(ctx, e, `DELETE FROM requests WHERE id IN (
				SELECT id FROM requests WHERE received < $1 AND updated < $2 AND NOT (open = 1 AND state IN ('received', 'submitted', 'pending')) ORDER BY received LIMIT $3)`,
				micros(before), micros(before), pruneBatch)
			return err
		}})
		if err != nil {
			return removed, err
		}
		removed += int(n)
		if n < pruneBatch {
			return removed, nil
		}
	}
}

// Clear removes all rows, those of requests under way too, and returns how many there
// were: for a lab alone. Whoever was about to write to one finds it gone.
func (l *Ledger) Clear(ctx context.Context) (int, error) {
	var removed int64
	err := l.write(ctx, change{run: func(ctx context.Context, e execer) (err error) {
		removed, err = execOne(ctx, e, `DELETE FROM requests`)
		return err
	}})
	return int(removed), err
}
