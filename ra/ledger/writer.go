package ledger

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
)

const (
	writerQueue = 256 // changes that wait; more wait to be let in
	writerBatch = 128 // changes in one commit
)

// writer is the one goroutine that writes to an SQLite database. What waits while
// it commits goes into the next commit together, so that many clients cost little
// more than one; nobody waits for others to come.
type writer struct {
	db       *sql.DB
	prepared *prepared
	file     bool // else there is nothing to be durable
	queue    chan *queued
	closing  chan struct{}
	once     sync.Once // closes closing
	done     sync.WaitGroup
}

// queued is a change that waits. Its caller may leave: then it is not begun any
// more, or if it is under way it goes on.
type queued struct {
	change
	state atomic.Int32
	err   error
	ended chan struct{}
}

const (
	queuedWaits int32 = iota
	queuedBegun
	queuedLeft
)

var errClosing = errors.New("the ledger is being closed")

func startWriter(db *sql.DB, file bool) *writer {
	w := &writer{db: db, prepared: newPrepared(db), file: file, queue: make(chan *queued, writerQueue), closing: make(chan struct{})}
	w.done.Go(w.run)
	return w
}

// close waits for what is under way; what comes afterwards fails.
func (w *writer) close() {
	w.once.Do(func() { close(w.closing) })
	w.done.Wait()
	w.prepared.close()
}

// do returns once c is committed, or failed, or ctx has ended.
func (w *writer) do(ctx context.Context, c change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q := &queued{change: c, ended: make(chan struct{})}
	select {
	case w.queue <- q:
	case <-w.closing:
		return errClosing
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-q.ended:
		return q.err
	case <-ctx.Done():
		q.state.CompareAndSwap(queuedWaits, queuedLeft)
		return ctx.Err()
	case <-w.closing:
		// The writer may have ended before it saw this one.
		if q.state.CompareAndSwap(queuedWaits, queuedLeft) {
			return errClosing
		}
		<-q.ended
		return q.err
	}
}

func (w *writer) run() {
	batch := make([]*queued, 0, writerBatch)
	for {
		batch = batch[:0]
		select {
		case q := <-w.queue:
			batch = append(batch, q)
		case <-w.closing:
			return
		}
	more:
		for len(batch) < writerBatch {
			select {
			case q := <-w.queue:
				batch = append(batch, q)
			default:
				break more
			}
		}
		w.commit(batch)
	}
}

// commit writes the changes together, or where that fails one by one, so that one
// that cannot be written does not sink the others.
func (w *writer) commit(batch []*queued) {
	begun := batch[:0]
	durable := false
	for _, q := range batch {
		if q.state.CompareAndSwap(queuedWaits, queuedBegun) {
			begun = append(begun, q)
			durable = durable || q.durable
		}
	}
	// Not with a caller's context: it is not the only one. A locked database is
	// waited for as long as its busy_timeout says.
	ctx := context.Background()
	if len(begun) > 1 {
		if err := w.together(ctx, durable, begun); err == nil {
			for _, q := range begun {
				q.end(q.err)
			}
			return
		}
	}
	for _, q := range begun {
		q.end(w.alone(ctx, q))
	}
}

// end tells how it ended: changed nothing, for want of a claim, or written.
func (q *queued) end(err error) {
	q.err = err
	if err == nil && q.committed != nil {
		q.committed()
	}
	close(q.ended)
}

// refused tells whether an error is the ledger's own word: it has changed nothing,
// and the database is in order.
func refused(err error) bool {
	return errors.Is(err, ErrLost) || errors.Is(err, ErrNotFound) || errors.Is(err, errNoRoom)
}

func (w *writer) together(ctx context.Context, durable bool, batch []*queued) error {
	return w.durably(ctx, durable, func() error {
		return w.transaction(ctx, func(e execer) error {
			for _, q := range batch {
				if q.err = q.run(ctx, e); q.err != nil && !refused(q.err) {
					return q.err
				}
			}
			return nil
		})
	})
}

func (w *writer) alone(ctx context.Context, q *queued) error {
	return w.durably(ctx, q.durable, func() error {
		if !q.several {
			return q.run(ctx, w.prepared)
		}
		return w.transaction(ctx, func(e execer) error { return q.run(ctx, e) })
	})
}

// durably waits for the disk, for this commit and all before it.
func (w *writer) durably(ctx context.Context, durable bool, write func() error) error {
	if !durable || !w.file {
		return write()
	}
	if _, err := w.db.ExecContext(ctx, `PRAGMA synchronous = FULL`); err != nil {
		return err
	}
	err := write()
	// Where that fails the next ones are durable, too.
	_, _ = w.db.ExecContext(ctx, `PRAGMA synchronous = NORMAL`)
	return err
}

func (w *writer) transaction(ctx context.Context, write func(execer) error) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	t := &transaction{tx: tx, prepared: w.prepared}
	if err := write(t); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	for _, text := range t.missing {
		_, _ = w.prepared.statement(ctx, text) // else the next time
	}
	return nil
}

// transaction runs prepared statements in a transaction.
type transaction struct {
	tx       *sql.Tx
	prepared *prepared
	missing  []string // to prepare them needs the connection that the transaction has
}

func (t *transaction) ExecContext(ctx context.Context, text string, values ...any) (sql.Result, error) {
	s := t.prepared.get(text)
	if s == nil {
		t.missing = append(t.missing, text)
		return t.tx.ExecContext(ctx, text, values...)
	}
	return t.tx.StmtContext(ctx, s).ExecContext(ctx, values...)
}
