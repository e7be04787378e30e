package scenario

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"ciscora/internal/owner"
	"ciscora/ra/console"
)

const (
	playsKept   = 20
	linesOfPlay = 1000
)

var errBusy = errors.New("a card is being played: wait for its end, or two would take the time from each other")

// Player plays cards for the pages of a lab, one at a time, each in a lab of its own. It
// implements [console.Cards]. Close it.
type Player struct {
	cards []Card
	owner *owner.Owner

	mu    sync.Mutex      // guards all below
	plays []*console.Play // the oldest first
	busy  bool
	dir   string // of keys, which the plays share; "" until the first
	keys  *Keys
}

// NewPlayer makes a player of all cards.
func NewPlayer() (*Player, error) {
	cards, err := Cards()
	if err != nil {
		return nil, err
	}
	return &Player{cards: cards, owner: owner.New()}, nil
}

// Close ends what is being played.
func (p *Player) Close() error {
	p.owner.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}

// List returns all cards.
func (p *Player) List() (all []console.Card) {
	for _, c := range p.cards {
		all = append(all, shown(c))
	}
	return all
}

func shown(c Card) console.Card {
	return console.Card{Name: c.Name, Title: c.Title, Document: c.Document}
}

// Play begins to play a card.
func (p *Player) Play(name string) (string, error) {
	card, err := Find(p.cards, name)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy {
		return "", errBusy
	}
	p.busy = true
	if len(p.plays) == playsKept {
		p.plays = slices.Delete(p.plays, 0, 1)
	}
	play := &console.Play{ID: rand.Text()[:10], Card: shown(card), Began: time.Now()}
	p.plays = append(p.plays, play)
	p.owner.Go(func() { p.run(card, play) })
	return play.ID, nil
}

func (p *Player) run(card Card, play *console.Play) {
	result, err := p.playOne(card, play)
	p.change(func() {
		p.busy = false
		play.Took, play.Done, play.Good = time.Since(play.Began), true, result.Passed
		play.Cause, play.Fix, play.Failed = card.Explanation, card.Fix, result.Error
		if err != nil {
			play.Failed = err.Error()
		}
		for _, c := range result.Checks {
			if !c.OK {
				play.Differs = append(play.Differs, fmt.Sprintf("%s: expected %q, seen %q", c.What, c.Expected, c.Seen))
			}
		}
	})
}

func (p *Player) playOne(card Card, play *console.Play) (Result, error) {
	keys, err := p.sharedKeys()
	if err != nil {
		return Result{}, err
	}
	dir, err := os.MkdirTemp("", "ra-play-")
	if err != nil {
		return Result{}, fmt.Errorf("make a folder for the card's lab: %w", err)
	}
	defer os.RemoveAll(dir)
	return Run(p.owner.Context(), card, Options{
		Dir: filepath.Join(dir, card.Name), Keys: keys,
		Line: func(log, line string) { p.line(play, console.PlayLine{Log: log, Text: line}) },
		Mend: func() { p.line(play, console.PlayLine{Text: "With the fix:"}) },
	}), nil
}

// sharedKeys are made for the first play; only one plays at a time.
func (p *Player) sharedKeys() (*Keys, error) {
	if p.keys != nil {
		return p.keys, nil
	}
	dir, err := os.MkdirTemp("", "ra-play-keys-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the CA's keys: %w", err)
	}
	p.change(func() { p.dir = dir })
	p.keys, err = MakeKeys(dir)
	return p.keys, err
}

func (p *Player) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *Player) line(play *console.Play, l console.PlayLine) {
	p.change(func() {
		if len(play.Lines) < linesOfPlay {
			play.Lines = append(play.Lines, l)
		}
	})
}

// Played returns how far a play has come.
func (p *Player) Played(id string) (console.Play, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, play := range p.plays {
		if play.ID == id {
			return copyOf(play), true
		}
	}
	return console.Play{}, false
}

// Plays returns the last ones, the newest first.
func (p *Player) Plays() (all []console.Play) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, play := range slices.Backward(p.plays) {
		all = append(all, copyOf(play))
	}
	return all
}

func copyOf(p *console.Play) console.Play {
	c := *p
	c.Lines, c.Differs = slices.Clone(p.Lines), slices.Clone(p.Differs)
	return c
}
