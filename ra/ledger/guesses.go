package ledger

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// GuessKind is what guesses are counted by.
type GuessKind string

// The kinds.
const (
	GuessAccount GuessKind = "account" // of the CA, from wherever it is tried
	GuessUser    GuessKind = "user"    // of the RA's own, with the address that tries it
	GuessAddress GuessKind = "address" // of a client, whomever it tries
)

var guessKinds = []GuessKind{GuessAccount, GuessUser, GuessAddress}

// slotBits is how many counters there are of each kind. What is counted falls into one
// of them by its hash, so that the table needs no bound of its own: made-up names can
// neither fill it nor push others out of it. Two that share a counter are guessed at
// together, which is as if they were one: strict, never loose.
const slotBits = 20

// GuessAt is one that is guessed at, or that guesses: at most Limit times.
type GuessAt struct {
	Kind GuessKind
	Name string
	// Key is what is counted by, where several names are one; "" = Name, which is shown.
	Key   string
	Limit int
}

// By is what is counted by.
func (g GuessAt) By() string {
	if g.Key != "" {
		return g.Key
	}
	return g.Name
}

// counters find the counter of a name, by a key of this ledger: nobody shall make up a
// name that shares one with a name of their choice.
type counters []byte

func (l *Ledger) counters(ctx context.Context) (counters, error) {
	if key := l.guessKey.Load(); key != nil {
		return *key, nil
	}
	secret, err := l.Secret(ctx, "guesses")
	if err != nil {
		return nil, err
	}
	key := counters(secret)
	l.guessKey.Store(&key)
	return key, nil
}

func (c counters) slot(g GuessAt) int64 {
	mac := hmac.New(sha256.New, c)
	mac.Write([]byte(string(g.Kind) + "\x00" + g.By()))
	return int64(slices.Index(guessKinds, g.Kind))<<slotBits | int64(binary.BigEndian.Uint32(mac.Sum(nil)[:4])>>(32-slotBits))
}

// sorted returns these in the order in which all replicas lock them.
func (c counters) sorted(at ...GuessAt) []GuessAt {
	slices.SortFunc(at, func(a, b GuessAt) int { return int(c.slot(a) - c.slot(b)) })
	return at
}

// Guess is a password that is tried: at whom, and from where. Refused ones count until
// nothing was refused for Window. All replicas count together, by the database's clock.
type Guess struct {
	At, From GuessAt
	Window   time.Duration
}

// What counts now, in SQL: refusals until nothing was refused for a window, and each that
// is under way until heldFor after it was begun. %[1]s is the time.
const (
	refusedNow = `CASE WHEN refused_until > %[1]s THEN refused ELSE 0 END`
	heldNow    = `(SELECT COUNT(*) FROM guess_holds WHERE guess_holds.slot = guesses.slot AND guess_holds.until > %[1]s)`
)

// heldFor is longer than a log-in takes, with its wait for a place at the CA.
const heldFor = 3 * time.Minute

// Door is what stands before a guess.
type Door struct {
	// Closed: there were as many refusals as there may be; they count for Left more.
	Closed bool
	Left   time.Duration
	Kind   GuessKind // whose number it is, where Closed
	// Busy: with those that are under way there may be as many. Ask again when one of
	// them has ended.
	Busy bool

	hold string // which of those under way it is, where Reserve let it through
}

// Open tells whether there may be a guess.
func (d Door) Open() bool { return !d.Closed && !d.Busy }

// errNoRoom says that a guess was not reserved, and nothing changed that counts.
var errNoRoom = errors.New("as many guesses are under way as there may be")

// LookAtDoor tells what stands before a guess now.
func (l *Ledger) LookAtDoor(ctx context.Context, g Guess) (door Door, err error) {
	if err := l.store.ready(ctx); err != nil {
		return door, unavailable(err)
	}
	by, err := l.counters(ctx)
	if err != nil {
		return door, err
	}
	now, values := l.store.clock(3)
	rows, err := l.store.rows(ctx, fmt.Sprintf(`SELECT slot, `+refusedNow+`, `+heldNow+`, refused_until - %[1]s FROM guesses WHERE slot IN ($1, $2)`, now),
		append([]any{by.slot(g.At), by.slot(g.From)}, values...)...)
	if err != nil {
		return door, unavailable(err)
	}
	defer rows.Close()
	for rows.Next() {
		var slot, refused, held, left int64
		if err := rows.Scan(&slot, &refused, &held, &left); err != nil {
			return door, unavailable(err)
		}
		at := g.At
		if slot != by.slot(at) {
			at = g.From
		}
		switch {
		case refused >= int64(at.Limit):
			if d := time.Duration(left) * time.Microsecond; !door.Closed || d > door.Left {
				door.Closed, door.Left, door.Kind = true, d, at.Kind
			}
		case refused+held >= int64(at.Limit):
			door.Busy = true
		}
	}
	if door.Closed {
		door.Busy = false
	}
	return door, unavailable(rows.Err())
}

// Reserve counts a guess as if it were refused, before it is made: however many ask at
// once, of however many replicas, no more get through than there may be. Where the door
// is open, Settle says what came of it; a guess of which nobody says that counts for
// heldFor, whatever else is begun meanwhile: its process is gone. That the CA may have
// counted it is forgotten then, or a few kills would shut right passwords out for a whole
// window.
func (l *Ledger) Reserve(ctx context.Context, g Guess) (Door, error) {
	// Most that find the door closed come again and again: they need no write.
	door, err := l.LookAtDoor(ctx, g)
	if err != nil || !door.Open() {
		return door, err
	}
	by, err := l.counters(ctx)
	if err != nil {
		return door, err
	}
	now, values := l.store.clock(7)
	reserve := fmt.Sprintf(`INSERT INTO guess_holds (slot, hold, until) SELECT slot, $5, %[1]s + $6 FROM guesses
		WHERE slot IN ($1, $3) AND NOT EXISTS (SELECT 1 FROM guesses
			WHERE slot IN ($1, $3) AND `+refusedNow+` + `+heldNow+` >= CASE slot WHEN $1 THEN CAST($2 AS BIGINT) ELSE $4 END)`, now)
	hold := rand.Text()
	err = l.write(ctx, change{several: true, run: func(ctx context.Context, e execer) error {
		for _, at := range by.sorted(g.At, g.From) {
			// The row is there then, and on a PostgreSQL nobody else's until the end.
			if _, err := e.ExecContext(ctx, `INSERT INTO guesses (slot, kind, name, refused, refused_until) VALUES ($1, $2, $3, 0, 0)
				ON CONFLICT (slot) DO UPDATE SET name = excluded.name`, by.slot(at), string(at.Kind), cut(at.Name)); err != nil {
				return err
			}
		}
		n, err := execOne(ctx, e, reserve, append([]any{
			by.slot(g.At), g.At.Limit, by.slot(g.From), g.From.Limit, hold, min(g.Window, heldFor).Microseconds(),
		}, values...)...)
		if err == nil && n == 0 {
			err = errNoRoom
		}
		return err
	}})
	if errors.Is(err, errNoRoom) {
		door, err = l.LookAtDoor(ctx, g)
		if err == nil && door.Open() {
			door.Busy = true // it has opened just now: ask again
		}
		return door, err
	}
	return Door{hold: hold}, err
}

// Settle ends a guess that was reserved; through is what Reserve returned.
func (l *Ledger) Settle(ctx context.Context, g Guess, through Door, refused bool) error {
	if refused {
		return l.refuse(ctx, counted{window: g.Window, hold: through.hold}, g.At, g.From)
	}
	by, err := l.counters(ctx)
	if err != nil {
		return err
	}
	return l.write(ctx, change{run: func(ctx context.Context, e execer) error {
		_, err := e.ExecContext(ctx, endHold, by.slot(g.At), by.slot(g.From), through.hold)
		return err
	}})
}

const endHold = `DELETE FROM guess_holds WHERE slot IN ($1, $2) AND hold = $3`

// Refused counts a refusal that was not reserved.
func (l *Ledger) Refused(ctx context.Context, window time.Duration, at ...GuessAt) error {
	return l.refuse(ctx, counted{window: window}, at...)
}

// RefusedTogether is Refused for one of several that have one cause: where something was
// refused within this time, by whatever replica, it counts no more than that.
func (l *Ledger) RefusedTogether(ctx context.Context, window, within time.Duration, at ...GuessAt) error {
	return l.refuse(ctx, counted{window: window, within: within}, at...)
}

type counted struct {
	window time.Duration
	within time.Duration // 0: it counts, whatever there was
	hold   string        // of its guess; "" = it was not reserved
}

// refuse counts a refusal, and ends the hold of its guess where it had one.
func (l *Ledger) refuse(ctx context.Context, r counted, each ...GuessAt) error {
	by, err := l.counters(ctx)
	if err != nil {
		return err
	}
	now, values := l.store.clock(6)
	count := fmt.Sprintf(`INSERT INTO guesses (slot, kind, name, refused, refused_until) VALUES ($1, $2, $3, 1, %[1]s + $4)
		ON CONFLICT (slot) DO UPDATE SET refused = CASE WHEN guesses.refused_until > %[1]s THEN guesses.refused ELSE 0 END
				+ CASE WHEN CAST($5 AS BIGINT) > 0 AND guesses.refused_until > %[1]s + $4 - CAST($5 AS BIGINT) THEN 0 ELSE 1 END,
			name = excluded.name, refused_until = excluded.refused_until`, now)
	return l.write(ctx, change{several: true, run: func(ctx context.Context, e execer) error {
		for _, at := range by.sorted(each...) {
			if _, err := e.ExecContext(ctx, count, append([]any{by.slot(at), string(at.Kind), cut(at.Name), r.window.Microseconds(), r.within.Microseconds()}, values...)...); err != nil {
				return err
			}
			if r.hold == "" {
				continue
			}
			if _, err := e.ExecContext(ctx, endHold, by.slot(at), by.slot(at), r.hold); err != nil {
				return err
			}
		}
		return nil
	}})
}

// Guessed is what was counted of one account, user or address.
type Guessed struct {
	Kind    GuessKind
	Name    string
	Refused int
	Held    int           // under way, or their process is gone
	Left    time.Duration // until it is forgotten
}

const maxGuessed = 1000

// Guessed returns what counts now, those with most refusals first, at most a thousand.
func (l *Ledger) Guessed(ctx context.Context) ([]Guessed, error) {
	if err := l.store.ready(ctx); err != nil {
		return nil, unavailable(err)
	}
	now, values := l.store.clock(2)
	rows, err := l.store.rows(ctx, fmt.Sprintf(`SELECT kind, name, `+refusedNow+`, `+heldNow+`, CASE WHEN refused_until > %[1]s THEN refused_until
			ELSE (SELECT MAX(until) FROM guess_holds WHERE guess_holds.slot = guesses.slot) END - %[1]s
		FROM guesses WHERE `+refusedNow+` + `+heldNow+` > 0 ORDER BY 3 DESC, 5 DESC LIMIT $1`, now), append([]any{maxGuessed}, values...)...)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var all []Guessed
	for rows.Next() {
		var g Guessed
		var left int64
		if err := rows.Scan(&g.Kind, &g.Name, &g.Refused, &g.Held, &left); err != nil {
			return nil, unavailable(err)
		}
		g.Left = time.Duration(left) * time.Microsecond
		all = append(all, g)
	}
	return all, unavailable(rows.Err())
}

// Forgive forgets what was counted of these, or of all where none is named, and tells
// how many counters there were.
func (l *Ledger) Forgive(ctx context.Context, at ...GuessAt) (int, error) {
	by, err := l.counters(ctx)
	if err != nil {
		return 0, err
	}
	var removed atomic.Int64
	err = l.write(ctx, change{several: true, run: func(ctx context.Context, e execer) error {
		removed.Store(0)
		if len(at) == 0 {
			if _, err := e.ExecContext(ctx, `DELETE FROM guess_holds`); err != nil {
				return err
			}
			n, err := execOne(ctx, e, `DELETE FROM guesses`)
			removed.Store(n)
			return err
		}
		for _, one := range at {
			n, err := execOne(ctx, e, `DELETE FROM guesses WHERE slot = $1`, by.slot(one))
			if err != nil {
				return err
			}
			removed.Add(n)
			if _, err := e.ExecContext(ctx, `DELETE FROM guess_holds WHERE slot = $1`, by.slot(one)); err != nil {
				return err
			}
		}
		return nil
	}})
	return int(removed.Load()), err
}

// PruneGuesses removes what does not count any more.
func (l *Ledger) PruneGuesses(ctx context.Context) error {
	now, values := l.store.clock(1)
	// A hold that is written meanwhile may lose its row here, and counts all the same.
	prune := []string{
		`DELETE FROM guess_holds WHERE until <= %[1]s`,
		`DELETE FROM guesses WHERE slot IN (SELECT slot FROM guesses WHERE refused_until <= %[1]s AND ` + heldNow + ` = 0%[2]s)`,
	}
	return l.write(ctx, change{several: true, run: func(ctx context.Context, e execer) error {
		for _, statement := range prune {
			if _, err := e.ExecContext(ctx, fmt.Sprintf(statement+"%.0[2]s", now, l.store.skipLocked()), values...); err != nil {
				return err
			}
		}
		return nil
	}})
}
