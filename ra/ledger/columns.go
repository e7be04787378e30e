package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// The columns that are set once, and those that [Ledger.Update] changes. What a
// delivery changes without a claim, [Ledger.Delivered], comes last.
var (
	fixedColumns = []string{
		"key", "what", "csr", "public_key", "subject_der", "names", "identity", "label", "template", "subject", "cn", "enrollment", "renewal", "received",
	}
	changedColumns = []string{
		"state", "uncertain", "open", "req_id", "floor", "candidates", "disposition", "hresult", "certificate", "error", "legs",
		"submitted", "issued", "updated", "lost", "next_poll", "waited", "polls", "replica", "holder", "token",
	}
	deliveryColumns = []string{"delivered", "deliveries"}

	allColumns = "id, " + strings.Join(slices.Concat(fixedColumns, changedColumns, deliveryColumns), ", ")
	insertRow  = fmt.Sprintf(`INSERT INTO requests (%s, delivered, deliveries) VALUES (%s, 0, 0) ON CONFLICT (key) WHERE open = 1 DO NOTHING`,
		strings.Join(slices.Concat(fixedColumns, changedColumns), ", "), placeholders(1, len(fixedColumns)+len(changedColumns)))
)

func (r *Row) fixedValues() []any {
	return []any{
		r.key[:], r.What[:], r.CSR[:], notNil(r.PublicKey), notNil(r.SubjectDER), notNil(r.Names), r.Identity, r.Label, r.Template,
		r.Subject, r.CN, r.Enrollment, number(r.Renewal), micros(r.Received),
	}
}

// shape is a set of changedColumns: bit i is the i-th.
type shape uint32

// changes returns what differs from before, and its values in the order of
// changedColumns; all of it where before is nil.
func (r *Row) changes(before *Row) (shape, []any, error) {
	var set shape
	var values []any
	i := 0
	column := func(changed bool, value func() any) {
		if changed || before == nil {
			set |= 1 << i
			values = append(values, value())
		}
		i++
	}
	var was Row
	if before != nil {
		was = *before
	}
	var failed error
	asJSON := func(what string, v any) string {
		text, err := json.Marshal(v)
		if err != nil && failed == nil {
			failed = fmt.Errorf("ledger row %d: %s: %w", r.ID, what, err)
		}
		return string(text)
	}
	column(r.State != was.State, func() any { return string(r.State) })
	column(r.Uncertain != was.Uncertain, func() any { return number(r.Uncertain) })
	column(r.Open != was.Open, func() any { return number(r.Open) })
	column(r.ReqID != was.ReqID, func() any { return r.ReqID })
	column(r.Floor != was.Floor, func() any { return r.Floor })
	column(!slices.Equal(r.Candidates, was.Candidates), func() any {
		if len(r.Candidates) == 0 {
			return "[]" // and never null: isOrphan compares the text
		}
		return asJSON("candidates", r.Candidates)
	})
	column(r.Disposition != was.Disposition, func() any { return r.Disposition })
	column(r.HRESULT != was.HRESULT, func() any { return int64(r.HRESULT) })
	column(!slices.Equal(r.Certificate, was.Certificate), func() any { return notNil(r.Certificate) })
	column(r.Error != was.Error, func() any { return r.Error })
	column(!slices.Equal(r.Legs, was.Legs), func() any { return asJSON("legs", r.Legs) })
	column(!r.Submitted.Equal(was.Submitted), func() any { return micros(r.Submitted) })
	column(!r.Issued.Equal(was.Issued), func() any { return micros(r.Issued) })
	column(true, func() any { return micros(r.Updated) })
	column(!r.Lost.Equal(was.Lost), func() any { return micros(r.Lost) })
	column(!r.NextPoll.Equal(was.NextPoll), func() any { return micros(r.NextPoll) })
	column(r.Waited != was.Waited, func() any { return r.Waited.Microseconds() })
	column(r.Polls != was.Polls, func() any { return r.Polls })
	column(r.Replica != was.Replica, func() any { return r.Replica })
	column(r.holder != was.holder, func() any { return r.holder })
	column(r.token != was.token, func() any { return r.token })
	return set, values, failed
}

// updates are the texts of the statements that change these columns. Few shapes
// ever come: one a step of an enrollment.
type updates struct{ texts sync.Map } // shape -> string

func (u *updates) of(set shape) string {
	if text, ok := u.texts.Load(set); ok {
		return text.(string)
	}
	var assignments []string
	n := 0
	for i, column := range changedColumns {
		if set&(1<<i) == 0 {
			continue
		}
		n++
		value := fmt.Sprintf("$%d", n)
		if column == "state" {
			// A row that was delivered meanwhile stays that, whenever it is written
			// that it was issued.
			value = fmt.Sprintf("CASE WHEN $%[1]d = 'issued' AND deliveries > 0 THEN 'delivered' ELSE $%[1]d END", n)
		}
		if column == "open" {
			// One row of a request is open: the first that was opened.
			value = fmt.Sprintf("CASE WHEN EXISTS (SELECT 1 FROM requests other WHERE other.key = requests.key AND other.open = 1 AND other.id <> requests.id) THEN 0 ELSE $%d END", n)
		}
		assignments = append(assignments, column+" = "+value)
	}
	text := fmt.Sprintf(`UPDATE requests SET %s WHERE id = $%d AND token IN ($%d, $%d)`, strings.Join(assignments, ", "), n+1, n+2, n+3)
	u.texts.Store(set, text)
	return text
}

// scan reads a row of allColumns.
func scan(from interface{ Scan(...any) error }) (r Row, err error) {
	var (
		key, what, csr                                                                   []byte
		state, legs, candidates                                                          string
		renewal, uncertain, open                                                         int
		hresult, received, submitted, issued, delivered, updated, lost, nextPoll, waited int64
	)
	err = from.Scan(&r.ID, &key, &what, &csr, &r.PublicKey, &r.SubjectDER, &r.Names, &r.Identity, &r.Label, &r.Template,
		&r.Subject, &r.CN, &r.Enrollment, &renewal, &received,
		&state, &uncertain, &open, &r.ReqID, &r.Floor, &candidates, &r.Disposition, &hresult, &r.Certificate, &r.Error, &legs,
		&submitted, &issued, &updated, &lost, &nextPoll, &waited, &r.Polls, &r.Replica, &r.holder, &r.token, &delivered, &r.Deliveries)
	if err != nil {
		return r, err
	}
	if len(csr) != len(r.CSR) || len(key) != len(r.key) {
		return r, fmt.Errorf("row %d: the fingerprint of its CSR has %d bytes, its key %d", r.ID, len(csr), len(key))
	}
	copy(r.key[:], key)
	copy(r.What[:], what) // empty in rows of schema version 1
	copy(r.CSR[:], csr)
	if err := json.Unmarshal([]byte(legs), &r.Legs); err != nil {
		return r, fmt.Errorf("row %d: legs: %w", r.ID, err)
	}
	if candidates != "[]" {
		if err := json.Unmarshal([]byte(candidates), &r.Candidates); err != nil {
			return r, fmt.Errorf("row %d: candidates: %w", r.ID, err)
		}
	}
	r.State, r.Renewal, r.Uncertain, r.Open, r.HRESULT = State(state), renewal == 1, uncertain == 1, open == 1, uint32(hresult)
	r.Received, r.Submitted, r.Issued, r.Delivered = timeOf(received), timeOf(submitted), timeOf(issued), timeOf(delivered)
	r.Updated, r.Lost, r.NextPoll = timeOf(updated), timeOf(lost), timeOf(nextPoll)
	r.Waited = time.Duration(waited) * time.Microsecond
	return r, nil
}

// placeholders returns $from, ..., n of them.
func placeholders(from, n int) string {
	marks := make([]string, n)
	for i := range marks {
		marks[i] = fmt.Sprintf("$%d", from+i)
	}
	return strings.Join(marks, ", ")
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
