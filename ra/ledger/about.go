package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// maxOffset is how far a replica's clock may be from the database's before it is told.
// Claims need no clock; what people read in the ledger does, and so does the age of a
// certificate that is searched for.
const maxOffset = 5 * time.Second

// About is what a replica says of itself.
type About struct {
	Version string `json:"version,omitempty"`
	// Agree are fingerprints of what must be the same in all replicas, by its key in the
	// configuration. No secret may be guessed by them.
	Agree map[string]string `json:"agree,omitempty"`
}

// about is how this replica's About gets into the table replicas.
type about struct {
	told   About
	offset atomic.Int64 // of this clock from the database's, in microseconds; of the last probe
}

// aboutText is the column about.
type aboutText struct {
	About
	Offset int64 `json:"offset_us"`
}

// tell writes about this replica, and measures its clock.
func (l *Ledger) tell(ctx context.Context, number int64) error {
	text, err := json.Marshal(aboutText{l.about.told, l.about.offset.Load()})
	if err != nil {
		return fmt.Errorf("about this replica: %w", err)
	}
	began, stopwatch := l.now(), time.Now()
	clock, err := l.store.probe(ctx, number, string(text))
	if err != nil {
		return fmt.Errorf("write on trial: %w", err)
	}
	// The database looked at its clock somewhere on the way there and back.
	took := time.Since(stopwatch)
	if offset := began.Add(took / 2).Sub(clock); took < maxOffset {
		l.about.offset.Store(offset.Microseconds())
	}
	return nil
}

// Replica is one RA on the ledger.
type Replica struct {
	Number int64
	Name   string
	Live   bool // its claims hold
	Self   bool // it is this process
	About
	Offset time.Duration // of its clock from the database's
	Told   bool          // it has said anything: older versions do not
}

// maxReplicas bounds what Replicas returns.
const maxReplicas = 1000

// Replicas returns those that are in the ledger, in the order in which they came.
func (l *Ledger) Replicas(ctx context.Context) ([]Replica, error) {
	if err := l.store.ready(ctx); err != nil {
		return nil, unavailable(err)
	}
	live, err := l.store.others(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	rows, err := l.store.rows(ctx, fmt.Sprintf(`SELECT id, name, about FROM replicas ORDER BY id LIMIT %d`, maxReplicas))
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	own := l.holding.own()
	var all []Replica
	for rows.Next() {
		var r Replica
		var text string
		if err := rows.Scan(&r.Number, &r.Name, &text); err != nil {
			return nil, unavailable(err)
		}
		var about aboutText
		if json.Unmarshal([]byte(text), &about) == nil { // "" is no JSON
			r.About, r.Offset, r.Told = about.About, time.Duration(about.Offset)*time.Microsecond, true
		}
		r.Self = own != 0 && r.Number == own
		r.Live = r.Self || live[r.Number]
		all = append(all, r)
	}
	return all, unavailable(rows.Err())
}

// Disagreement is something that is not alike in live replicas and must be.
type Disagreement struct {
	Key  string // the same as long as it lasts
	Text string // one line
}

// Disagreements compares live replicas with this process's own, or where it is none of
// them with the first one.
func Disagreements(all []Replica) (found []Disagreement) {
	var live []Replica
	for _, r := range all {
		if r.Live && r.Told {
			live = append(live, r)
		}
	}
	slices.SortStableFunc(live, func(a, b Replica) int { return number(b.Self) - number(a.Self) })
	note := func(r Replica, what, format string, values ...any) {
		found = append(found, Disagreement{fmt.Sprintf("%d %s", r.Number, what), fmt.Sprintf(format, values...)})
	}
	for i, r := range live {
		if r.Offset.Abs() > maxOffset {
			note(r, "clock", "the clock of replica %s is %s from the database's: set both by NTP", r.Name, r.Offset.Round(time.Second))
		}
		if i == 0 {
			continue
		}
		if keys := strings.Join(differing(live[0].Agree, r.Agree), ", "); keys != "" {
			note(r, keys, "replicas %s and %s have not the same %s: clients may get two certificates for one request; give all the same configuration", live[0].Name, r.Name, keys)
		}
		if live[0].Version != r.Version {
			note(r, "version", "replicas %s and %s are of different versions, %s and %s", live[0].Name, r.Name, live[0].Version, r.Version)
		}
	}
	return found
}

func differing(a, b map[string]string) (keys []string) {
	for key := range maps.Keys(a) {
		if a[key] != b[key] {
			keys = append(keys, key)
		}
	}
	for key := range maps.Keys(b) {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
