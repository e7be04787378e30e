package ledger

import (
	"context"
	"database/sql"
	"sync"
)

// maxPrepared bounds how many statements are kept prepared: there are a few dozen
// texts, of which most are asked for all the time.
const maxPrepared = 256

// prepared keeps the statements of a database prepared, by their text. SQLite
// takes longer to compile one of ours than to run it.
type prepared struct {
	db *sql.DB

	mu     sync.Mutex // guards byText
	byText map[string]*sql.Stmt
}

func newPrepared(db *sql.DB) *prepared {
	return &prepared{db: db, byText: map[string]*sql.Stmt{}}
}

func (p *prepared) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.byText[text]; s != nil {
		return s, nil
	}
	s, err := p.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if len(p.byText) >= maxPrepared {
		p.drop()
	}
	p.byText[text] = s
	return s, nil
}

// get returns the statement only where it is prepared; else nil.
func (p *prepared) get(text string) *sql.Stmt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byText[text]
}

func (p *prepared) ExecContext(ctx context.Context, text string, values ...any) (sql.Result, error) {
	s, err := p.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, values...)
}

func (p *prepared) row(ctx context.Context, text string, values ...any) *sql.Row {
	s, err := p.statement(ctx, text)
	if err != nil {
		return p.db.QueryRowContext(ctx, text, values...) // which says why
	}
	return s.QueryRowContext(ctx, values...)
}

// drop is called with mu held. A statement that is in use ends after its use.
func (p *prepared) drop() {
	for _, s := range p.byText {
		s.Close()
	}
	clear(p.byText)
}

func (p *prepared) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
}
