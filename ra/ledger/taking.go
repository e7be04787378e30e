package ledger

import (
	"context"
	"database/sql"
	"errors"

	"go.uber.org/zap"
)

// take makes the row ours, where no live claim of another replica is on it. Which of
// this process's goroutines has it is decided already.
func (m *membership) take(ctx context.Context, id, number int64, token, replica string) (_ Row, _ bool, err error) {
	ctx, end := m.db.begin(ctx)
	defer func() { err = end(err) }()
	for range maxClaims {
		row, err := scan(m.db.QueryRowContext(ctx, selectRow, id))
		if err != nil {
			return row, false, err
		}
		if row.holder != 0 && row.holder != number {
			free, err := m.fence(ctx, row, number, token, replica)
			if err != nil || free == nil {
				return row, false, err
			}
			return *free, true, nil
		}
		taken, err := scan(m.db.QueryRowContext(ctx, takeRow, number, token, replica, id, row.holder))
		if !errors.Is(err, sql.ErrNoRows) {
			return taken, err == nil, err
		}
		// Somebody was faster, and may even have ended.
	}
	row, err := scan(m.db.QueryRowContext(ctx, selectRow, id))
	return row, false, err
}

// The holder is what it was when the row was read, or nothing is taken.
var takeRow = `UPDATE requests SET holder = $1, token = $2, replica = $3 WHERE id = $4 AND holder = $5 RETURNING ` + allColumns

// fence removes the replica that has the claim on the row, if that is dead or has
// been silent for a lease, and takes the row. It returns nil where it is alive, or
// somebody else was faster.
func (m *membership) fence(ctx context.Context, row Row, number int64, token, replica string) (*Row, error) {
	beats, silent := m.silent(row.holder)
	if !silent {
		beats = -1 // which none has
	}
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // after a commit that does nothing
	result, err := tx.ExecContext(ctx, `DELETE FROM replicas r WHERE id = $1 AND (beats = $2 OR NOT `+isLocked+`)`, row.holder, beats)
	if err != nil {
		return nil, err
	}
	removed, err := result.RowsAffected()
	if err != nil {
		return nil, err
	}
	var alive bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM replicas WHERE id = $1)`, row.holder).Scan(&alive); err != nil || alive {
		return nil, err
	}
	taken, err := scan(tx.QueryRowContext(ctx, takeRow, number, token, replica, row.ID, row.holder))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // somebody else was faster
	}
	if err != nil {
		return nil, err
	}
	if err := tx.Commit(); err != nil {
		return nil, err
	}
	if removed > 0 {
		m.log.Warn("another replica's claims in the ledger have ended", zap.Int64("number", row.holder), zap.String("replica", row.Replica), zap.Bool("silent", silent))
	}
	return &taken, nil
}

// others are those that have their lock; of a silent one nobody has taken anything
// yet, and its row is worth a try.
func (m *membership) others(ctx context.Context) (_ map[int64]bool, err error) {
	ctx, end := m.db.begin(ctx)
	defer func() { err = end(err) }()
	own := int64(0)
	if me := m.current.Load(); me != nil {
		own = me.number
	}
	rows, err := m.db.QueryContext(ctx, `SELECT r.id, r.beats FROM replicas r WHERE r.id <> $1 AND `+isLocked, own)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	others := map[int64]bool{}
	for rows.Next() {
		var number, beats int64
		if err := rows.Scan(&number, &beats); err != nil {
			return nil, err
		}
		if was, silent := m.silent(number); !silent || was != beats {
			others[number] = true
		}
	}
	return others, rows.Err()
}

// maxAbandoned bounds the claims that could not be ended; those beyond end with this
// replica.
const maxAbandoned = 10_000

// giveBack keeps a claim that has ended here, until the next beat ends it in the
// database, too.
func (m *membership) giveBack(row abandoned) {
	m.giving.Lock()
	defer m.giving.Unlock()
	if len(m.abandon) < maxAbandoned {
		m.abandon = append(m.abandon, row)
	}
}

func (m *membership) giveBackAll(ctx context.Context, me *member) error {
	m.giving.Lock()
	all := m.abandon
	m.abandon = nil
	m.giving.Unlock()
	for i, row := range all {
		var err error
		if row.id != 0 {
			_, err = me.conn.Exec(ctx, endClaim, row.id, row.token)
		} else {
			_, err = me.conn.Exec(ctx, `UPDATE requests SET holder = 0 WHERE key = $1 AND open = 1 AND token = $2`, row.key, row.token)
		}
		if err != nil {
			m.giving.Lock()
			m.abandon = append(m.abandon, all[i:]...)
			m.giving.Unlock()
			return err
		}
	}
	return nil
}

// search makes this replica the one that searches: a unique index has room for one.
func (m *membership) search(ctx context.Context, number int64) (release func(), ok bool, err error) {
	ctx, end := m.db.begin(ctx)
	defer func() { err = end(err) }()
	if _, err := m.db.ExecContext(ctx, `DELETE FROM replicas r WHERE searching = 1 AND id <> $1 AND NOT `+isLocked, number); err != nil {
		return nil, false, err
	}
	if err := m.fenceSearcher(ctx, number); err != nil {
		return nil, false, err
	}
	result, err := m.db.ExecContext(ctx, `UPDATE replicas SET searching = 1 WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM replicas WHERE searching = 1 AND id <> $1)`, number)
	if isUniqueViolation(err) {
		return nil, false, nil // at the same moment
	}
	if err != nil {
		return nil, false, err
	}
	n, err := result.RowsAffected()
	return func() { m.searched(number) }, n == 1, err
}

// fenceSearcher removes a replica that searches and has been silent for a lease.
func (m *membership) fenceSearcher(ctx context.Context, number int64) error {
	var searcher int64
	err := m.db.QueryRowContext(ctx, `SELECT id FROM replicas WHERE searching = 1 AND id <> $1`, number).Scan(&searcher)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if beats, silent := m.silent(searcher); silent {
		_, err = m.db.ExecContext(ctx, `DELETE FROM replicas WHERE id = $1 AND beats = $2`, searcher, beats)
	}
	return err
}

// searched gives the right back. Where the server is away this replica has to join
// anew, without it.
func (m *membership) searched(number int64) {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	if _, err := m.db.ExecContext(ctx, `UPDATE replicas SET searching = 0 WHERE id = $1`, number); err != nil {
		m.log.Warn("the right to search the CA could not be given back", zap.Error(err))
		if me := m.current.Load(); me != nil && me.number == number {
			m.lose(me)
		}
	}
}
