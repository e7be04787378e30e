package tracelog

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// sink takes whole lines for one log file. Writers of two formats that share a
// file (NGINX and libest in error.log) share its sink.
type sink struct {
	mu  sync.Mutex // guards w and err
	w   io.Writer
	err error
}

// put writes the lines in one call. A log that cannot be written must not stop
// what it tells of, so the error is kept for err and the next line is tried.
func (s *sink) put(lines ...string) {
	if len(lines) == 0 {
		return
	}
	text := strings.Join(lines, "\n") + "\n"
	s.mu.Lock()
	defer s.mu.Unlock()
	_, s.err = io.WriteString(s.w, text)
}

func (s *sink) lastErr() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return fmt.Errorf("write log line: %w", s.err)
	}
	return nil
}

// Options is what the writers of local time take.
type Options struct {
	// PID is the process id between `[info]` and `#0:` in NGINX's lines.
	PID int
	// Location is the time zone of the lines; nil is time.Local. IIS takes
	// none: its log is in UTC.
	Location *time.Location
	// Now is the clock, asked once a line; nil is time.Now.
	Now func() time.Time
}

func (o Options) now() time.Time {
	now := o.Now
	if now == nil {
		now = time.Now
	}
	return now().In(o.location())
}

func (o Options) location() *time.Location {
	if o.Location == nil {
		return time.Local
	}
	return o.Location
}

// maxValue bounds one value from outside, in bytes.
const maxValue = 2048

// clean makes a value from outside harmless in a line: line ends and other
// control characters, the invisible format characters (bidirectional marks
// among them) and broken UTF-8 become \xNN, as NGINX escapes variables, and
// what is over maxValue is cut.
func clean(value string) string { return escape(value, func(rune) bool { return false }) }

// cleanQuoted is clean for what stands between quotation marks.
func cleanQuoted(value string) string {
	return escape(value, func(r rune) bool { return r == '"' })
}

func escape(value string, besides func(rune) bool) string {
	var b strings.Builder
	for i := 0; i < len(value); {
		if b.Len() >= maxValue {
			b.WriteString("...")
			break
		}
		r, size := utf8.DecodeRuneInString(value[i:])
		switch {
		case r == utf8.RuneError && size == 1, besides(r),
			unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			for _, c := range []byte(value[i : i+size]) {
				fmt.Fprintf(&b, `\x%02X`, c)
			}
		default:
			b.WriteString(value[i : i+size])
		}
		i += size
	}
	return b.String()
}
