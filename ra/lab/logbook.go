package lab

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"ciscora/est"
	"ciscora/ra/admin"
)

const (
	maxLines = 5000    // of each log
	maxLine  = 4 << 10 // bytes
)

// logBook keeps the last lines of the emulated logs, and whom each is about.
type logBook struct {
	now func() time.Time

	mu   sync.Mutex // guards logs
	logs map[string]*lines
}

// lines are a log's last ones, in a ring.
type lines struct {
	written int
	ring    []admin.Line
}

func newLogBook(now func() time.Time) *logBook {
	return &logBook{now: now, logs: map[string]*lines{}}
}

// write is a server.LineFunc.
func (b *logBook) write(ctx context.Context, log string, text []byte) {
	b.add(log, admin.Line{Enrollment: est.RequestID(ctx), Label: est.Label(ctx)}, text)
}

// add keeps each line of a text.
func (b *logBook) add(log string, about admin.Line, text []byte) {
	about.Time = b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.logs[log]
	if kept == nil {
		kept = &lines{}
		b.logs[log] = kept
	}
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		about.Text = string(line[:min(len(line), maxLine)])
		kept.written++
		about.Number = kept.written
		if len(kept.ring) < maxLines {
			kept.ring = append(kept.ring, about)
		} else {
			kept.ring[(kept.written-1)%maxLines] = about
		}
	}
}

// of are a log's lines, oldest first.
func (b *logBook) of(log string) []admin.Line {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.logs[log]
	if kept == nil {
		return nil
	}
	oldest := 0
	if len(kept.ring) == maxLines {
		oldest = kept.written % maxLines
	}
	return append(append([]admin.Line{}, kept.ring[oldest:]...), kept.ring[:oldest]...)
}

// writer is a log that a book keeps the lines of.
func (b *logBook) writer(log string, about admin.Line, w io.Writer) io.Writer {
	return lineWriter(func(text []byte) (int, error) {
		b.add(log, about, text)
		return w.Write(text)
	})
}

// lineWriter is a log as a function, which gets whole lines.
type lineWriter func([]byte) (int, error)

func (w lineWriter) Write(b []byte) (int, error) { return w(b) }
