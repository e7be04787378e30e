package ledger_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/ra/ledger"
)

func guessAt(account, address string) ledger.Guess {
	return ledger.Guess{
		At:     ledger.GuessAt{Kind: ledger.GuessAccount, Name: account, Limit: 3},
		From:   ledger.GuessAt{Kind: ledger.GuessAddress, Name: address, Limit: 30},
		Window: time.Hour,
	}
}

// guessers are ledgers that count together: one process of an SQLite, two replicas of
// a PostgreSQL.
func guessers(t *testing.T) map[string]func(t *testing.T) []*ledger.Ledger {
	t.Helper()
	open := func(t *testing.T, dsn string) *ledger.Ledger {
		l, err := ledger.Open(t.Context(), dsn, ledger.Options{})
		must(t, err)
		t.Cleanup(func() { l.Close() })
		return l
	}
	return map[string]func(t *testing.T) []*ledger.Ledger{
		"SQLite": func(t *testing.T) []*ledger.Ledger {
			return []*ledger.Ledger{open(t, "sqlite:"+filepath.Join(t.TempDir(), "ra.db"))}
		},
		"two replicas": func(t *testing.T) []*ledger.Ledger {
			dsn := postgres.Database(t)
			return []*ledger.Ledger{open(t, dsn), open(t, dsn)}
		},
	}
}

func TestNoMoreGuessesGetThroughThanThereMayBeHoweverManyAskAtOnce(t *testing.T) {
	t.Parallel()
	for name, open := range guessers(t) {
		t.Run(name, func(t *testing.T) {
			all := open(t)
			var through atomic.Int32
			var done sync.WaitGroup
			for i := range 200 {
				done.Go(func() {
					g := guessAt("ciscora", fmt.Sprint("192.0.2.", i))
					door, err := all[i%len(all)].Reserve(t.Context(), g)
					switch {
					case err != nil:
						t.Error(err)
					case door.Open():
						through.Add(1)
					case !door.Busy:
						t.Errorf("closed before anything was refused: %+v", door)
					}
				})
			}
			done.Wait()
			if n := through.Load(); n != 3 {
				t.Errorf("%d guesses got through, want 3", n)
			}
			// Each from an address of its own, which none of them has used up.
			for i := range 200 {
				if door, err := all[0].Reserve(t.Context(), guessAt("other", fmt.Sprint("192.0.2.", i))); err != nil || (i < 3) != door.Open() {
					t.Fatalf("guess %d at another account: %+v %v", i, door, err)
				}
			}
		})
	}
}

func TestRightPasswordsGiveTheirTryBackAndWrongOnesDoNot(t *testing.T) {
	for name, open := range guessers(t) {
		t.Run(name, func(t *testing.T) {
			all := open(t)
			one, other := all[0], all[len(all)-1]
			g := guessAt("ciscora", "192.0.2.1")
			for i := range 20 {
				door, err := one.Reserve(t.Context(), g)
				must(t, err)
				if !door.Open() {
					t.Fatalf("right password %d: %+v", i, door)
				}
				must(t, one.Settle(t.Context(), g, door, false))
			}
			for i := range 3 {
				door, err := other.Reserve(t.Context(), g)
				must(t, err)
				if !door.Open() {
					t.Fatalf("wrong password %d: %+v", i, door)
				}
				must(t, other.Settle(t.Context(), g, door, true))
			}
			door, err := one.Reserve(t.Context(), guessAt("ciscora", "198.51.100.9"))
			must(t, err)
			if !door.Closed || door.Kind != ledger.GuessAccount || door.Left <= 59*time.Minute || door.Left > time.Hour {
				t.Errorf("after three refusals: %+v", door)
			}
			guessed, err := one.Guessed(t.Context())
			must(t, err)
			if len(guessed) != 2 || guessed[0].Refused != 3 || guessed[1].Refused != 3 || guessed[0].Held != 0 {
				t.Errorf("what was counted: %+v", guessed)
			}
			if n, err := one.Forgive(t.Context(), g.At); err != nil || n != 1 {
				t.Errorf("forgiven: %d %v", n, err)
			}
			if door, err := other.Reserve(t.Context(), g); err != nil || !door.Open() {
				t.Errorf("once it is forgiven: %+v %v", door, err)
			}
			if n, err := one.Forgive(t.Context()); err != nil || n != 2 {
				t.Errorf("all forgiven: %d %v", n, err)
			}
			if guessed, err := one.Guessed(t.Context()); err != nil || len(guessed) != 0 {
				t.Errorf("once all is forgiven: %+v %v", guessed, err)
			}
		})
	}
}

func TestOneAddressGuessesAtSoManyAccounts(t *testing.T) {
	for name, open := range guessers(t) {
		t.Run(name, func(t *testing.T) {
			l := open(t)[0]
			for i := range 30 {
				g := guessAt(fmt.Sprint("user", i), "192.0.2.1")
				door, err := l.Reserve(t.Context(), g)
				if err != nil || !door.Open() {
					t.Fatalf("account %d: %+v %v", i, door, err)
				}
				must(t, l.Settle(t.Context(), g, door, true))
			}
			door, err := l.Reserve(t.Context(), guessAt("user99", "192.0.2.1"))
			must(t, err)
			if !door.Closed || door.Kind != ledger.GuessAddress {
				t.Errorf("the next account: %+v", door)
			}
			if door, err := l.Reserve(t.Context(), guessAt("user99", "192.0.2.2")); err != nil || !door.Open() {
				t.Errorf("from another address: %+v %v", door, err)
			}
		})
	}
}

func TestRefusalsAreForgottenWhenNothingWasRefusedForAWindow(t *testing.T) {
	for name, open := range guessers(t) {
		t.Run(name, func(t *testing.T) {
			l := open(t)[0]
			g := guessAt("ciscora", "192.0.2.1")
			g.Window = 500 * time.Millisecond
			for range 3 {
				door, err := l.Reserve(t.Context(), g)
				if err != nil || !door.Open() {
					t.Fatalf("%+v %v", door, err)
				}
				must(t, l.Settle(t.Context(), g, door, true))
			}
			door, err := l.Reserve(t.Context(), g)
			must(t, err)
			if !door.Closed || door.Left > g.Window {
				t.Fatalf("after three: %+v", door)
			}
			must(t, l.PruneGuesses(t.Context())) // nothing yet
			for deadline := time.Now().Add(10 * time.Second); !door.Open(); {
				if time.Now().After(deadline) {
					t.Fatalf("it never opens: %+v", door)
				}
				door, err = l.LookAtDoor(t.Context(), g)
				must(t, err)
			}
			must(t, l.PruneGuesses(t.Context()))
			if door, err := l.Reserve(t.Context(), g); err != nil || !door.Open() {
				t.Errorf("after the window: %+v %v", door, err)
			}
		})
	}
}

func TestMadeUpNamesDoNotOpenTheDoor(t *testing.T) {
	l, err := ledger.Open(t.Context(), "sqlite::memory:", ledger.Options{})
	must(t, err)
	defer l.Close()
	g := guessAt("ciscora", "192.0.2.1")
	for range 3 {
		door, err := l.Reserve(t.Context(), g)
		if err != nil || !door.Open() {
			t.Fatalf("%+v %v", door, err)
		}
		must(t, l.Settle(t.Context(), g, door, true))
	}
	var done sync.WaitGroup
	for range 100 {
		done.Go(func() {
			for i := range 100 {
				must(t, l.Refused(t.Context(), time.Hour, ledger.GuessAt{Kind: ledger.GuessAccount, Name: fmt.Sprintf("made-up-%p-%d", &i, i), Limit: 3}))
			}
		})
	}
	done.Wait()
	if door, err := l.Reserve(t.Context(), g); err != nil || !door.Closed {
		t.Errorf("after 10,000 made-up names: %+v %v", door, err)
	}
}

// Who knows how a counter is found makes up a name that shares one with a victim's.
func TestEachLedgerFindsCountersByAKeyOfItsOwn(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		// By SHA-256 alone these two have one counter of the 2^20.
		mine := ledger.GuessAt{Kind: ledger.GuessUser, Name: "u3004083 from 127.0.0.9", Limit: 1}
		victims := ledger.GuessAt{Kind: ledger.GuessUser, Name: "bob from 127.0.0.2", Limit: 1}
		if first20(mine) != first20(victims) {
			t.Fatal("they have not: take two that do")
		}
		l := d.open("a")
		must(t, l.Refused(t.Context(), time.Hour, mine))
		for _, c := range []struct {
			at     ledger.GuessAt
			closed bool
		}{{mine, true}, {victims, false}} {
			door, err := l.LookAtDoor(t.Context(), ledger.Guess{At: c.at, From: ledger.GuessAt{Kind: ledger.GuessAddress, Name: "192.0.2.1", Limit: 9}, Window: time.Hour})
			must(t, err)
			if door.Closed != c.closed {
				t.Errorf("%s: closed %v", c.at.Name, door.Closed)
			}
		}
	})
}

func first20(g ledger.GuessAt) uint32 {
	sum := sha256.Sum256([]byte(string(g.Kind) + "\x00" + g.Name))
	return binary.BigEndian.Uint32(sum[:4]) >> 12
}

// Three processes were killed while a right password was under way.
func TestGuessesOfDeadProcessesAreForgottenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := ledger.Open(t.Context(), "sqlite::memory:", ledger.Options{})
		must(t, err)
		defer l.Close()
		g := guessAt("ciscora", "192.0.2.1")
		g.Window = 15 * time.Minute
		for range 3 {
			if door, err := l.Reserve(t.Context(), g); err != nil || !door.Open() {
				t.Fatalf("%+v %v", door, err)
			}
		}
		for _, c := range []struct {
			after time.Duration
			open  bool
		}{{2 * time.Minute, false}, {70 * time.Second, true}} {
			time.Sleep(c.after)
			if door, err := l.LookAtDoor(t.Context(), g); err != nil || door.Open() != c.open {
				t.Errorf("%v later: %+v %v", c.after, door, err)
			}
		}
	})
}

// One that died while others go on: its guess must not be kept alive by theirs.
func TestTheGuessOfADeadProcessEndsWhileOthersAreMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := ledger.Open(t.Context(), "sqlite::memory:", ledger.Options{})
		must(t, err)
		defer l.Close()
		g := guessAt("ciscora", "192.0.2.1")
		for range 2 { // and nobody says what came of them
			if door, err := l.Reserve(t.Context(), g); err != nil || !door.Open() {
				t.Fatalf("%+v %v", door, err)
			}
		}
		room := func() (n int) {
			var doors []ledger.Door
			for {
				door, err := l.Reserve(t.Context(), g)
				must(t, err)
				if !door.Open() {
					break
				}
				doors = append(doors, door)
			}
			for _, door := range doors {
				must(t, l.Settle(t.Context(), g, door, false))
			}
			return len(doors)
		}
		for minute := range 6 {
			want := 1
			if minute >= 3 {
				want = 3
			}
			if n := room(); n != want {
				t.Errorf("%d minutes later there is room for %d, want %d", minute, n, want)
			}
			must(t, l.PruneGuesses(t.Context()))
			time.Sleep(time.Minute)
		}
	})
}

// Those that are under way are counted each, whatever others say of theirs.
func TestAGuessEndsItselfAndNoOther(t *testing.T) {
	for name, open := range guessers(t) {
		t.Run(name, func(t *testing.T) {
			all := open(t)
			g := guessAt("ciscora", "192.0.2.1")
			first, err := all[0].Reserve(t.Context(), g)
			must(t, err)
			for range 2 {
				if door, err := all[len(all)-1].Reserve(t.Context(), g); err != nil || !door.Open() {
					t.Fatalf("%+v %v", door, err)
				}
			}
			for range 2 { // as where the answer to the first time was lost
				must(t, all[0].Settle(t.Context(), g, first, false))
			}
			must(t, all[0].PruneGuesses(t.Context()))
			for _, open := range []bool{true, false} {
				if door, err := all[0].Reserve(t.Context(), g); err != nil || door.Open() != open || door.Busy == open {
					t.Errorf("after one of three has ended: %+v %v", door, err)
				}
			}
			if guessed, err := all[0].Guessed(t.Context()); err != nil || len(guessed) != 2 || guessed[0].Held != 3 || guessed[0].Left <= 0 {
				t.Errorf("%+v %v", guessed, err)
			}
		})
	}
}

func TestRefusalsOfOneCauseCountOnceAndOthersEach(t *testing.T) {
	for name, open := range guessers(t) {
		t.Run(name, func(t *testing.T) {
			all := open(t)
			one, other := all[0], all[len(all)-1]
			g := guessAt("ciscora", "192.0.2.1")
			for i, refuse := range []struct {
				by   func() error
				want int
			}{
				{func() error { return one.RefusedTogether(t.Context(), time.Hour, 10*time.Second, g.At) }, 1},
				{func() error { return other.RefusedTogether(t.Context(), time.Hour, 10*time.Second, g.At) }, 1},
				{func() error { return other.Refused(t.Context(), time.Hour, g.At) }, 2},
				{func() error { return one.RefusedTogether(t.Context(), time.Hour, 10*time.Second, g.At) }, 2},
				{func() error { return one.RefusedTogether(t.Context(), time.Hour, time.Microsecond, g.At) }, 3},
			} {
				must(t, refuse.by())
				guessed, err := one.Guessed(t.Context())
				must(t, err)
				if len(guessed) != 1 || guessed[0].Refused != refuse.want {
					t.Errorf("refusal %d: %+v, want %d", i, guessed, refuse.want)
				}
			}
		})
	}
}
