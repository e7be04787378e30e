package ledger

import (
	"encoding/json"
	"fmt"
	"time"
)

// schemaVersion is the newest that this package knows. A migration adds to
// migrations and leaves the earlier ones as they are.
const schemaVersion = 1

// migrations are the steps from one version to the next, for both databases: %[1]s
// is the primary key's type, %[2]s the type of bytes. Times are microseconds since
// 1970, 0 = none; truths are 0 and 1.
var migrations = [schemaVersion][]string{{
	`CREATE TABLE requests (
		id          %[1]s,
		key         %[2]s NOT NULL,
		csr         %[2]s NOT NULL,
		public_key  %[2]s NOT NULL,
		identity    TEXT NOT NULL,
		label       TEXT NOT NULL,
		template    TEXT NOT NULL,
		subject     TEXT NOT NULL,
		cn          TEXT NOT NULL,
		enrollment  TEXT NOT NULL,
		renewal     INTEGER NOT NULL,
		state       TEXT NOT NULL,
		uncertain   INTEGER NOT NULL,
		open        INTEGER NOT NULL,
		req_id      INTEGER NOT NULL,
		disposition INTEGER NOT NULL,
		hresult     BIGINT NOT NULL,
		certificate %[2]s NOT NULL,
		error       TEXT NOT NULL,
		legs        TEXT NOT NULL,
		received    BIGINT NOT NULL,
		submitted   BIGINT NOT NULL,
		issued      BIGINT NOT NULL,
		delivered   BIGINT NOT NULL,
		updated     BIGINT NOT NULL,
		next_poll   BIGINT NOT NULL,
		waited      BIGINT NOT NULL,
		polls       INTEGER NOT NULL,
		deliveries  INTEGER NOT NULL,
		replica     TEXT NOT NULL,
		token       TEXT NOT NULL,
		lease_until BIGINT NOT NULL
	)`,
	`CREATE UNIQUE INDEX requests_open ON requests (key) WHERE open = 1`,
	`CREATE INDEX requests_due ON requests (next_poll, id) WHERE state IN ('received', 'submitted', 'pending')`,
	`CREATE INDEX requests_claimed ON requests (id) WHERE lease_until > 0`,
	`CREATE INDEX requests_orphans ON requests (id) WHERE ` + isOrphan,
	`CREATE INDEX requests_waited ON requests (template, id) WHERE waited > 0`,
	`CREATE INDEX requests_state ON requests (state, id)`,
	`CREATE INDEX requests_cn ON requests (cn, id)`,
	`CREATE INDEX requests_identity ON requests (identity, id)`,
	`CREATE INDEX requests_label ON requests (label, id)`,
	`CREATE INDEX requests_template ON requests (template, id)`,
	`CREATE INDEX requests_req_id ON requests (req_id, id) WHERE req_id > 0`,
	`CREATE INDEX requests_received ON requests (received)`,
	`CREATE INDEX requests_updated ON requests (updated)`,
}}

// isOrphan is [Row.Orphan] in SQL.
const isOrphan = `(uncertain = 1 OR state = 'issued' OR (state = 'submitted' AND req_id > 0 AND next_poll = 0))`

// migration returns the statements from version to version+1.
func migration(version int, primaryKey, bytes string) []string {
	statements := make([]string, 0, len(migrations[version]))
	for _, s := range migrations[version] {
		statements = append(statements, fmt.Sprintf(s+"%.0[1]s%.0[2]s", primaryKey, bytes))
	}
	return statements
}

// The columns that are set once, and those that change.
const (
	fixedColumns   = `key, csr, public_key, identity, label, template, subject, cn, enrollment, renewal, received`
	changedColumns = `uncertain, open, req_id, disposition, hresult, certificate, error, legs, submitted, issued, updated, next_poll, waited, polls`
	claimColumns   = `replica, token, lease_until`
	// What a delivery changes, without a claim.
	deliveryColumns = `state, delivered, deliveries`
	allColumns      = `id, ` + fixedColumns + `, ` + changedColumns + `, ` + claimColumns + `, ` + deliveryColumns
)

func (r *Row) fixedValues() []any {
	key := r.Key()
	return []any{
		key[:], r.CSR[:], notNil(r.PublicKey), r.Identity, r.Label, r.Template, r.Subject, r.CN, r.Enrollment,
		number(r.Renewal), micros(r.Received),
	}
}

func (r *Row) changedValues() ([]any, error) {
	legs, err := json.Marshal(r.Legs)
	if err != nil {
		return nil, fmt.Errorf("ledger row %d: legs: %w", r.ID, err)
	}
	return []any{
		number(r.Uncertain), number(r.Open), r.ReqID, r.Disposition, int64(r.HRESULT), notNil(r.Certificate), r.Error, string(legs),
		micros(r.Submitted), micros(r.Issued), micros(r.Updated), micros(r.NextPoll), r.Waited.Microseconds(), r.Polls,
	}, nil
}

// scan reads a row of allColumns.
func scan(from interface{ Scan(...any) error }) (r Row, err error) {
	var (
		key, csr, publicKey, certificate                                              []byte
		state, legs, token                                                            string
		renewal, uncertain, open                                                      int
		hresult, received, submitted, issued, delivered, updated, next, waited, lease int64
	)
	err = from.Scan(&r.ID, &key, &csr, &publicKey, &r.Identity, &r.Label, &r.Template, &r.Subject, &r.CN, &r.Enrollment, &renewal, &received,
		&uncertain, &open, &r.ReqID, &r.Disposition, &hresult, &certificate, &r.Error, &legs, &submitted, &issued, &updated, &next, &waited, &r.Polls,
		&r.Replica, &token, &lease, &state, &delivered, &r.Deliveries)
	if err != nil {
		return r, err
	}
	if len(csr) != len(r.CSR) {
		return r, fmt.Errorf("row %d: the fingerprint of its CSR has %d bytes", r.ID, len(csr))
	}
	copy(r.CSR[:], csr)
	if err := json.Unmarshal([]byte(legs), &r.Legs); err != nil {
		return r, fmt.Errorf("row %d: legs: %w", r.ID, err)
	}
	r.PublicKey, r.Certificate = publicKey, certificate
	r.State, r.Renewal, r.Uncertain, r.Open, r.HRESULT = State(state), renewal == 1, uncertain == 1, open == 1, uint32(hresult)
	r.Received, r.Submitted, r.Issued, r.Delivered = timeOf(received), timeOf(submitted), timeOf(issued), timeOf(delivered)
	r.Updated, r.NextPoll, r.LeaseUntil = timeOf(updated), timeOf(next), timeOf(lease)
	r.Waited = time.Duration(waited) * time.Microsecond
	return r, nil
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
