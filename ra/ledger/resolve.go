package ledger

import (
	"bytes"
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ciscora/internal/filelock"
	"ciscora/internal/x501"
)

// resolveLock is the advisory lock under which one row at a time is bound by hand:
// "resolv" in ASCII.
const resolveLock = 0x7265_736f6c76

// Resolve binds a row whose ReqID is not known to one by hand, beside an RA that
// runs or without one: it writes the ReqID and that the row is to be fetched now, in
// state submitted. Whether the certificate is the row's, names included, is for
// whoever fetches it to check; until then it is [Row.ByHand]. It returns the row as it
// is then.
//
// It is refused where the row has a certificate or a ReqID, where the CA never had
// its request, where another row has that ReqID, where a certificate of another key
// was seen under it, and where somebody has a live claim on the row. An SQLite file
// shows a claim from its first write on; a claim that has not written yet is lost by
// this, and its holder gets ErrLost: for it a row changes its token.
func Resolve(ctx context.Context, dsn string, id int64, reqID int, o Options) (Row, error) {
	l, err := newLedger(o)
	if err != nil {
		return Row{}, err
	}
	r := resolver{ledger: l, id: id, reqID: reqID}
	if r.token, err = newToken(); err != nil {
		return Row{}, err
	}
	switch {
	case strings.HasPrefix(dsn, "sqlite:"):
		return r.inSQLite(ctx, strings.TrimPrefix(dsn, "sqlite:"))
	case isPostgres(dsn):
		return r.inPostgres(ctx, dsn)
	}
	return Row{}, wrongDSN()
}

type resolver struct {
	ledger *Ledger
	id     int64
	reqID  int
	token  string
}

func (r *resolver) inSQLite(ctx context.Context, path string) (row Row, err error) {
	defer func() {
		if err != nil && !errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("ledger %s: %w", path, err)
		}
	}()
	if err := checkReadable(path); err != nil {
		return row, err
	}
	// The lock is free where no RA has the file: then nobody has a claim.
	lock, lockErr := filelock.Take(path + ".lock")
	if lockErr == nil {
		defer lock.Close()
	}
	db, err := sql.Open("sqlite", fileURL(path, "mode=rw&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)&_txlock=immediate"))
	if err != nil {
		return row, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := checkVersion(ctx, db); err != nil {
		return row, err
	}
	return r.in(ctx, db, func(tx *sql.Tx, holder int64) (held bool, err error) {
		if lockErr == nil {
			return false, nil
		}
		err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM replicas WHERE id = $1)`, holder).Scan(&held)
		return held, err
	})
}

func (r *resolver) inPostgres(ctx context.Context, dsn string) (Row, error) {
	l := r.ledger
	config, err := parsePostgres(dsn, true)
	if err != nil {
		return Row{}, err
	}
	l.reader = true
	p := newPostgres(config, l, 0)
	defer p.db.Close()
	if err := p.ready(ctx); err != nil {
		return Row{}, unavailable(err)
	}
	return r.in(ctx, p.db.DB, func(tx *sql.Tx, holder int64) (held bool, err error) {
		err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM replicas r WHERE r.id = $1 AND `+isLocked+`)`, holder).Scan(&held)
		return held, err
	}, fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, resolveLock), fmt.Sprintf(`SELECT id FROM requests WHERE id = %d FOR UPDATE`, r.id))
}

// in checks and writes in one transaction, which begins with these statements.
func (r *resolver) in(ctx context.Context, db *sql.DB, isHeld func(*sql.Tx, int64) (bool, error), first ...string) (Row, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return Row{}, unavailable(err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit that does nothing
	for _, text := range first {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return Row{}, unavailable(err)
		}
	}
	row, err := scan(tx.QueryRowContext(ctx, selectRow, r.id))
	if err != nil {
		return row, unavailable(err)
	}
	if err := r.check(row); err != nil {
		return row, err
	}
	if row.holder != 0 {
		held, err := isHeld(tx, row.holder)
		if err != nil {
			return row, unavailable(err)
		}
		if held {
			return row, fmt.Errorf("the RA (%s) is at work on row %d: try again once it has answered its client", row.Replica, r.id)
		}
	}
	if err := r.checkOthers(ctx, tx, row); err != nil {
		return row, err
	}
	candidates, err := json.Marshal(r.candidates(row))
	if err != nil {
		return row, fmt.Errorf("ledger row %d: candidates: %w", r.id, err)
	}
	now := micros(r.ledger.now())
	row, err = scan(tx.QueryRowContext(ctx, `UPDATE requests SET req_id = $1, state = $2, uncertain = 0, candidates = $3, polls = 0,
		next_poll = $4, updated = $5, holder = 0, token = $6
		WHERE id = $7 RETURNING `+allColumns, r.reqID, string(StateSubmitted), string(candidates), now, now, r.token, r.id))
	if err != nil {
		return row, unavailable(err)
	}
	return row, unavailable(tx.Commit())
}

// candidates are the row's, and this one among them. The others stay: should this one
// turn out to be another's they are told again.
func (r *resolver) candidates(row Row) []int {
	if slices.Contains(row.Candidates, r.reqID) {
		return row.Candidates
	}
	// In front, where nothing is cut off.
	return append([]int{r.reqID}, row.Candidates[:min(len(row.Candidates), maxCandidates-1)]...)
}

// check refuses a row that needs no ReqID.
func (r *resolver) check(row Row) error {
	switch {
	case r.reqID <= 0:
		return fmt.Errorf("%d is no ReqID: the CA counts from 1", r.reqID)
	case len(row.Certificate) > 0:
		return fmt.Errorf("row %d has its certificate already (ReqID %d); see ra ledger show %d", r.id, row.ReqID, r.id)
	case row.ReqID != 0:
		return fmt.Errorf("row %d has ReqID %d already; see ra ledger show %d", r.id, row.ReqID, r.id)
	case row.State != StateSubmitted && row.State != StateFailed,
		row.State == StateFailed && !row.Uncertain && row.Lost.IsZero() && len(row.Candidates) == 0:
		return fmt.Errorf("the CA never had the request of row %d, which is in state %s; see ra ledger orphans for those that it may have", r.id, row.State)
	}
	return nil
}

func (r *resolver) checkOthers(ctx context.Context, tx *sql.Tx, row Row) error {
	var other int64
	err := tx.QueryRowContext(ctx, `SELECT id FROM requests WHERE req_id > 0 AND req_id = $1 AND id <> $2 LIMIT 1`, r.reqID, r.id).Scan(&other)
	switch {
	case err == nil:
		return fmt.Errorf("ReqID %d belongs to row %d; see ra ledger show %d", r.reqID, other, other)
	case !errors.Is(err, sql.ErrNoRows):
		return unavailable(err)
	}
	var der []byte
	err = tx.QueryRowContext(ctx, `SELECT certificate FROM seen WHERE req_id = $1 AND what = $2`, r.reqID, SeenCertificate).Scan(&der)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return unavailable(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil //nolint:nilerr // then who fetches it finds out
	}
	if !bytes.Equal(certificate.RawSubjectPublicKeyInfo, row.PublicKey) {
		return fmt.Errorf("the CA shows a certificate of another key under ReqID %d (%s, serial number %x): it is not that of row %d", r.reqID, x501.Text(certificate.RawSubject), certificate.SerialNumber, r.id)
	}
	return nil
}
