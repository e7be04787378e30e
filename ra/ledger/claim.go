package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// Claim is a row, and the right to change it where it is Mine.
type Claim struct {
	Row   Row
	Mine  bool // else somebody else works on it
	Fresh bool // the row was made by this call

	token   string // names this claim
	unclear bool   // nobody knows whether the last Update was written
}

// maxClaims bounds how often Claim starts over because a row was closed between
// two of its statements. Where several claim and close one request without a pause
// two of three looks come too late, so twenty times in a row are not rare; the caller's
// context ends it sooner.
const maxClaims = 200

// errClosed says that a row is no longer what was looked for.
var errClosed = errors.New("the row was closed meanwhile")

// Claim joins the open row of this request, or makes one in state received. It is
// Mine where nobody else has a live claim on it. Claims of several processes at a
// time make one row, and only one of them is Mine.
//
// An open row of schema version 1, which was known by its CSR, is joined by that
// CSR, and from then on by what it asks for.
func (l *Ledger) Claim(ctx context.Context, request Request) (Claim, error) {
	if err := request.check(); err != nil {
		return Claim{}, err
	}
	key := request.Key()
	// What this process works on needs no write, however many wait for it.
	if id, held := l.holding.of(key); held {
		row, err := l.Get(ctx, id)
		switch {
		case err == nil && row.Open && row.key == key:
			return Claim{Row: row}, nil
		case err != nil && !errors.Is(err, ErrNotFound):
			return Claim{}, err
		}
	}
	silent := false
	for range maxClaims {
		claim, err := l.insert(ctx, request, true)
		if gone := (*silentError)(nil); errors.As(err, &gone) && gone.others && !silent {
			// The next host may have been promoted. A row that got there all the same is
			// joined like any other that its replica has left.
			silent = true
			continue
		}
		if err != nil || claim.Row.ID != 0 {
			return claim, err
		}
		var id int64
		err = unavailable(l.store.row(ctx, `SELECT id FROM requests WHERE key = $1 AND open = 1`, key[:]).Scan(&id))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return Claim{}, err
		}
		claim, err = l.take(ctx, id, func(row *Row) bool { return row.Open && row.key == key })
		if !errors.Is(err, errClosed) && !errors.Is(err, ErrNotFound) {
			return claim, err
		}
	}
	return Claim{}, fmt.Errorf("%w: the row of this request was closed again and again", ErrUnavailable)
}

// New makes a row of its own for the request, which nobody joins.
func (l *Ledger) New(ctx context.Context, request Request) (Claim, error) {
	if err := request.check(); err != nil {
		return Claim{}, err
	}
	return l.insert(ctx, request, false)
}

// insert makes a row; the claim has none where there is an open one with this key.
func (l *Ledger) insert(ctx context.Context, request Request, open bool) (Claim, error) {
	if err := l.store.ready(ctx); err != nil {
		return Claim{}, unavailable(err)
	}
	number, err := l.store.member(ctx)
	if err != nil {
		return Claim{}, unavailable(err)
	}
	now := l.now()
	request.Identity = canonical(request.Identity)
	row := Row{
		Request: request, State: StateReceived, Open: open, Received: now, Updated: now, Replica: l.replica,
		key: request.Key(), holder: number, token: l.holding.newToken(number),
	}
	row.bound()
	_, changed, err := row.changes(nil)
	if err != nil {
		return Claim{}, err
	}
	l.holding.insert(row.token)
	defer l.holding.notInserted(row.token)
	takes := l.holding.takes.Load()
	began := time.Now()
	row.ID, err = l.store.insert(ctx, l.adopt(request, open), append(row.fixedValues(), changed...))
	l.took("write", began)
	l.room.note(err)
	if err != nil {
		// It may be there all the same, or get there yet.
		l.store.giveBack(abandoned{key: row.key[:], token: row.token})
		return Claim{}, unavailable(err)
	}
	if row.ID == 0 {
		return Claim{}, nil
	}
	row.Request = request // as it came, however much of it was cut
	claim := Claim{Row: row, token: row.token}
	// Where somebody in this process was faster to take the new row it is theirs.
	claim.Mine = l.holding.hold(number, row.ID, row.token, row.key)
	if claim.Mine && l.holding.takes.Load() != takes {
		// Somebody may have had it, and be done with it.
		now, err := l.Get(ctx, row.ID)
		if err != nil || now.token != row.token {
			l.holding.free(row.ID, row.token)
			l.store.giveBack(abandoned{id: row.ID, token: row.token})
			return Claim{Row: now}, err
		}
	}
	claim.Fresh, claim.Row.Held = claim.Mine, true
	return claim, nil
}

// adopt returns what gives an open row of schema version 1, which has the key of
// its CSR, the key of what is asked for: nothing where there are no such rows.
func (l *Ledger) adopt(request Request, open bool) []statement {
	if !open || !l.version1.Load() {
		return nil
	}
	key, old := request.Key(), request.version1Key()
	return []statement{{
		`UPDATE requests SET key = $1, what = $2, subject_der = $3, names = $4
		WHERE key = $5 AND open = 1 AND length(what) = 0 AND NOT EXISTS (SELECT 1 FROM requests WHERE key = $1 AND open = 1)`,
		[]any{key[:], request.What[:], notNil(request.SubjectDER), notNil(request.Names), old[:]},
	}}
}

// Take claims a row to work on it in the background. It is not Mine where
// somebody else works on it; ErrNotFound where there is no such row.
func (l *Ledger) Take(ctx context.Context, id int64) (Claim, error) {
	return l.take(ctx, id, func(*Row) bool { return true })
}

// take claims a row that is still wanted once nobody else can change it; errClosed
// where it is not.
func (l *Ledger) take(ctx context.Context, id int64, wanted func(*Row) bool) (Claim, error) {
	if err := l.store.ready(ctx); err != nil {
		return Claim{}, unavailable(err)
	}
	number, err := l.store.member(ctx)
	if err != nil {
		return Claim{}, unavailable(err)
	}
	token := l.holding.newToken(number)
	l.holding.takes.Add(1)
	if !l.holding.hold(number, id, token, [sha256.Size]byte{}) {
		row, err := l.Get(ctx, id)
		if err == nil && !wanted(&row) {
			err = errClosed
		}
		return Claim{Row: row}, err
	}
	row, mine, err := l.store.take(ctx, id, number, token, l.replica)
	claim := Claim{Row: row, Mine: mine, token: token}
	switch {
	case err != nil:
		l.store.giveBack(abandoned{id: id, token: token})
		l.holding.free(id, token)
		return Claim{}, unavailable(err)
	case !wanted(&row):
		if mine {
			_ = l.Release(ctx, claim) // what cannot be written now is written later
		}
		l.holding.free(id, token)
		return Claim{}, errClosed
	case !mine:
		l.holding.free(id, token)
		claim.Row.Held = true
		return claim, nil
	}
	l.holding.rename(id, token, row.key)
	claim.Row.Held = true
	return claim, nil
}

// Release gives a claim back. A claim that is lost already is no error. Where the
// ledger is away the claim ends all the same, for the other replicas once it is
// back.
func (l *Ledger) Release(ctx context.Context, c Claim) error {
	if c.token == "" {
		return nil
	}
	free := func() { l.holding.free(c.Row.ID, c.token) }
	err := l.store.change(ctx, change{committed: free, run: func(ctx context.Context, e execer) error {
		if c.Row.token != c.token && !c.unclear || !l.holding.has(c.Row.ID, c.token) {
			return nil // the database does not know of it
		}
		_, err := e.ExecContext(ctx, endClaim, c.Row.ID, c.token)
		return err
	}})
	if err != nil {
		l.store.giveBack(abandoned{id: c.Row.ID, token: c.token})
		free()
	}
	return unavailable(err)
}

const endClaim = `UPDATE requests SET holder = 0 WHERE id = $1 AND token = $2`

// Discard removes the row of a fresh claim with which nothing was done, and ends the
// claim. ErrLost: the claim has ended, or the row has gone further.
func (l *Ledger) Discard(ctx context.Context, c Claim) error {
	return l.write(ctx, change{
		committed: func() { l.holding.free(c.Row.ID, c.token) },
		run: func(ctx context.Context, e execer) error {
			if !l.holding.has(c.Row.ID, c.token) {
				return ErrLost
			}
			n, err := execOne(ctx, e, `DELETE FROM requests WHERE id = $1 AND token IN ($2, $3) AND state = 'received' AND req_id = 0`, c.Row.ID, c.Row.token, c.token)
			if err == nil && n == 0 {
				err = ErrLost
			}
			return err
		},
	})
}

// Verify returns nil only where the claim is still ours: to be asked right before a
// request is sent to the CA. It costs a look into memory, and a write where nothing
// was heard of a PostgreSQL for a while. ErrLost: somebody else has, or had, the row;
// ErrUnavailable: that cannot be found out now. What it cannot know, see replica.go,
// is that the server ended this replica's connection a moment ago.
func (l *Ledger) Verify(ctx context.Context, c Claim) error {
	for range maxClaims {
		under := l.holding.under(c.Row.ID, c.token)
		if under == 0 {
			return ErrLost
		}
		number, err := l.store.member(ctx)
		if err != nil {
			return unavailable(err)
		}
		if number != under {
			if err := l.renew(ctx, c, number); err != nil {
				return err
			}
		}
		err = l.store.verify(ctx, number)
		if !errors.Is(err, ErrLost) {
			return unavailable(err)
		}
	}
	return fmt.Errorf("%w: this replica loses its connection again and again", ErrUnavailable)
}

// renew makes a claim live again under a new number, where nobody has taken it.
func (l *Ledger) renew(ctx context.Context, c Claim, number int64) error {
	return l.write(ctx, change{
		committed: func() { l.holding.renumber(c.Row.ID, c.token, number) },
		run: func(ctx context.Context, e execer) error {
			n, err := execOne(ctx, e, `UPDATE requests SET holder = $1 WHERE id = $2 AND token = $3`, number, c.Row.ID, c.token)
			if err == nil && n == 0 {
				l.holding.free(c.Row.ID, c.token)
				err = ErrLost
			}
			return err
		},
	})
}

// Searching gives the right to search the CA, which one has at a time, of all the
// replicas: ok is false where somebody has it. It ends with release, and with this
// replica.
func (l *Ledger) Searching(ctx context.Context) (release func(), ok bool, err error) {
	if err := l.store.ready(ctx); err != nil {
		return nil, false, unavailable(err)
	}
	number, err := l.store.member(ctx)
	if err != nil {
		return nil, false, unavailable(err)
	}
	if !l.holding.search() {
		return nil, false, nil
	}
	give, ok, err := l.store.search(ctx, number)
	if err != nil || !ok {
		l.holding.searched()
		return nil, false, unavailable(err)
	}
	return func() { give(); l.holding.searched() }, true, nil
}
