package lab

import (
	"io"
	"strings"
	"sync"
	"time"

	"ciscora/internal/bounded"
)

const (
	phonesKept    = 200
	phoneLife     = 24 * time.Hour
	linesOfAPhone = 100
)

// phoneLines keeps what CAPF's trace says of each phone that the lab enrolled itself.
type phoneLines struct {
	now func() time.Time

	mu   sync.Mutex // guards kept, which clear replaces
	kept *bounded.Map[string, []string]
}

func newPhoneLines(now func() time.Time) *phoneLines {
	p := &phoneLines{now: now}
	p.clear()
	return p
}

func (p *phoneLines) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = bounded.New[string, []string](phonesKept, phoneLife, p.now)
}

func (p *phoneLines) of(phone string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines, _ := p.kept.Get(phone)
	return lines
}

// trace is w, whose lines are kept under a phone's name.
func (p *phoneLines) trace(phone string, w io.Writer) io.Writer {
	return lineWriter(func(b []byte) (int, error) {
		n, err := w.Write(b)
		p.mu.Lock()
		defer p.mu.Unlock()
		lines, _ := p.kept.Get(phone)
		lines = lines[:len(lines):len(lines)] // what of returned stays as it is
		for line := range strings.Lines(string(b)) {
			if len(lines) < linesOfAPhone {
				lines = append(lines, strings.TrimRight(line, "\r\n"))
			}
		}
		p.kept.Put(phone, lines)
		return n, err
	})
}
