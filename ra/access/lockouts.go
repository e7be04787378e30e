package access

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ciscora/ra/ledger"
)

// LockedOut is one account, user or address at which, or from which, was guessed.
type LockedOut struct {
	Kind    string // "account", "user", "address"
	Name    string
	Label   string    // under which they are counted apart; in Name, too
	Refused int       // log-ins that count
	Trying  int       // log-ins that are under way, in all replicas
	Closed  bool      // no guess is tried before Until
	Until   time.Time // when it is forgotten, if nothing else is refused
}

// underLabel stands in a name between what is counted and the label ([Options].Apart).
const underLabel = " under the label "

func under(at ledger.GuessAt, label string) ledger.GuessAt {
	at.Name += underLabel + label
	at.Key += "\x00" + label
	return at
}

// LockedOut lists what the guard counts now, those with most refusals first, over all
// replicas.
func (a *Access) LockedOut(ctx context.Context) ([]LockedOut, error) {
	if a.guard.off() {
		return nil, nil
	}
	guessed, err := a.guard.ledger.Guessed(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what was guessed: %w", err)
	}
	var all []LockedOut
	for _, g := range guessed {
		limit := a.guard.rule.Failures
		if g.Kind == ledger.GuessAddress {
			limit *= addressShare
		}
		_, label, _ := strings.Cut(g.Name, underLabel)
		all = append(all, LockedOut{
			Kind: string(g.Kind), Name: g.Name, Label: label, Refused: g.Refused, Trying: g.Held,
			Closed: g.Refused >= limit, Until: a.Now().Add(g.Left),
		})
	}
	return all, nil
}

// Forgive opens the door of an account, however its name is written, of a user as
// LockedOut names it, or of an address; or with "" all doors. It lets the RA's own account
// be tried again, if that is the one, and passwords that the CA refused, which only this
// replica knows. It tells whether there was anything to forgive.
func (a *Access) Forgive(ctx context.Context, name string) (found bool, err error) {
	creds, err := a.own.read()
	if name == "" || err == nil && accountAt(name).By() == accountAt(creds.User).By() {
		found = a.own.forgive()
	}
	if a.guard.off() {
		return found, nil
	}
	a.guard.refused.Clear()
	a.guard.doubted.Clear()
	a.guard.counted.Clear()
	a.guard.away.Clear()
	a.guard.guessing.Clear()
	var at []ledger.GuessAt
	if name != "" {
		account := accountAt(name)
		if of, label, apart := strings.Cut(name, underLabel); apart {
			account = under(accountAt(of), label)
		}
		at = []ledger.GuessAt{
			account, {Kind: ledger.GuessUser, Name: name}, {Kind: ledger.GuessAddress, Name: name},
		}
	}
	n, err := a.guard.ledger.Forgive(ctx, at...)
	if err != nil {
		return found, fmt.Errorf("forgive what was guessed: %w", err)
	}
	return found || n > 0, nil
}
