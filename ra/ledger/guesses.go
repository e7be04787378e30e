package ledger

import (
	"context"
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
	Kind  GuessKind
	Name  string
	Limit int
}

func (g GuessAt) slot() int64 {
	sum := sha256.Sum256([]byte(string(g.Kind) + "\x00" + g.Name))
	return int64(slices.Index(guessKinds, g.Kind))<<slotBits | int64(binary.BigEndian.Uint32(sum[:4])>>(32-slotBits))
}

// Guess is a password that is tried: at whom, and from where. Refused ones count until
// nothing was refused for Window. All replicas count together, by the database's clock.
type Guess struct {
	At, From GuessAt
	Window   time.Duration
}

func (g Guess) each() []GuessAt {
	both := []GuessAt{g.At, g.From}
	slices.SortFunc(both, func(a, b GuessAt) int { return int(a.slot() - b.slot()) }) // all replicas lock in this order
	return both
}

// What counts now, in SQL: refusals until nothing was refused for a window, and those
// that are under way until none was begun for one. %[1]s is the time.
const (
	refusedNow = `CASE WHEN refused_until > %[1]s THEN refused ELSE 0 END`
	heldNow    = `CASE WHEN held_until > %[1]s THEN held ELSE 0 END`
)

// Door is what stands before a guess.
type Door struct {
	// Closed: there were as many refusals as there may be; they count for Left more.
	Closed bool
	Left   time.Duration
	Kind   GuessKind // whose number it is, where Closed
	// Busy: with those that are under way there may be as many. Ask again when one of
	// them has ended.
	Busy bool
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
	now, values := l.store.clock(3)
	rows, err := l.store.rows(ctx, fmt.Sprintf(`SELECT slot, `+refusedNow+`, `+heldNow+`, refused_until - %[1]s FROM guesses WHERE slot IN ($1, $2)`, now),
		append([]any{g.At.slot(), g.From.slot()}, values...)...)
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
		if slot != at.slot() {
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
// is open, Settle says what came of it; a guess of which nobody says that counts until
// none was begun for a window: the process that made it may be gone, the CA's count is not.
func (l *Ledger) Reserve(ctx context.Context, g Guess) (Door, error) {
	// Most that find the door closed come again and again: they need no write.
	door, err := l.LookAtDoor(ctx, g)
	if err != nil || !door.Open() {
		return door, err
	}
	now, values := l.store.clock(8)
	reserve := fmt.Sprintf(`UPDATE guesses SET held = `+heldNow+` + 1, held_until = %[1]s + $7, name = CASE slot WHEN $1 THEN $5 ELSE $6 END
		WHERE slot IN ($1, $3) AND NOT EXISTS (SELECT 1 FROM guesses
			WHERE slot IN ($1, $3) AND `+refusedNow+` + `+heldNow+` >= CASE slot WHEN $1 THEN CAST($2 AS BIGINT) ELSE $4 END)`, now)
	err = l.write(ctx, change{several: true, run: func(ctx context.Context, e execer) error {
		for _, at := range g.each() {
			// The row is there then, and on a PostgreSQL nobody else's until the end.
			if _, err := e.ExecContext(ctx, `INSERT INTO guesses (slot, kind, name, refused, refused_until, held, held_until) VALUES ($1, $2, $3, 0, 0, 0, 0)
				ON CONFLICT (slot) DO UPDATE SET slot = excluded.slot`, at.slot(), string(at.Kind), cut(at.Name)); err != nil {
				return err
			}
		}
		n, err := execOne(ctx, e, reserve, append([]any{
			g.At.slot(), g.At.Limit, g.From.slot(), g.From.Limit, cut(g.At.Name), cut(g.From.Name), g.Window.Microseconds(),
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
	return Door{}, err
}

// Settle ends a guess that was reserved.
func (l *Ledger) Settle(ctx context.Context, g Guess, refused bool) error {
	if refused {
		return l.refuse(ctx, g.Window, 1, g.each()...)
	}
	return l.write(ctx, change{several: true, run: func(ctx context.Context, e execer) error {
		for _, at := range g.each() {
			if _, err := e.ExecContext(ctx, `UPDATE guesses SET held = held - 1 WHERE slot = $1 AND held > 0`, at.slot()); err != nil {
				return err
			}
		}
		return nil
	}})
}

// Refused counts a refusal that was not reserved.
func (l *Ledger) Refused(ctx context.Context, window time.Duration, at ...GuessAt) error {
	slices.SortFunc(at, func(a, b GuessAt) int { return int(a.slot() - b.slot()) })
	return l.refuse(ctx, window, 0, at...)
}

func (l *Ledger) refuse(ctx context.Context, window time.Duration, held int, each ...GuessAt) error {
	now, values := l.store.clock(6)
	count := fmt.Sprintf(`INSERT INTO guesses (slot, kind, name, refused, refused_until, held, held_until) VALUES ($1, $2, $3, 1, %[1]s + $4, 0, 0)
		ON CONFLICT (slot) DO UPDATE SET refused = CASE WHEN guesses.refused_until > %[1]s THEN guesses.refused ELSE 0 END + 1,
			held = CASE WHEN guesses.held > $5 THEN guesses.held - $5 ELSE 0 END, name = excluded.name, refused_until = excluded.refused_until`, now)
	return l.write(ctx, change{several: true, run: func(ctx context.Context, e execer) error {
		for _, at := range each {
			if _, err := e.ExecContext(ctx, count, append([]any{at.slot(), string(at.Kind), cut(at.Name), window.Microseconds(), held}, values...)...); err != nil {
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
	rows, err := l.store.rows(ctx, fmt.Sprintf(`SELECT kind, name, `+refusedNow+`, `+heldNow+`, CASE WHEN refused_until > %[1]s THEN refused_until ELSE held_until END - %[1]s
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
	var removed atomic.Int64
	err := l.write(ctx, change{several: true, run: func(ctx context.Context, e execer) error {
		removed.Store(0)
		if len(at) == 0 {
			n, err := execOne(ctx, e, `DELETE FROM guesses`)
			removed.Store(n)
			return err
		}
		for _, one := range at {
			n, err := execOne(ctx, e, `DELETE FROM guesses WHERE slot = $1`, one.slot())
			if err != nil {
				return err
			}
			removed.Add(n)
		}
		return nil
	}})
	return int(removed.Load()), err
}

// PruneGuesses removes what does not count any more.
func (l *Ledger) PruneGuesses(ctx context.Context) error {
	now, values := l.store.clock(1)
	prune := fmt.Sprintf(`DELETE FROM guesses WHERE slot IN (SELECT slot FROM guesses WHERE refused_until <= %[1]s AND held_until <= %[1]s%[2]s)`, now, l.store.skipLocked())
	return l.write(ctx, change{run: func(ctx context.Context, e execer) error {
		_, err := e.ExecContext(ctx, prune, values...)
		return err
	}})
}
