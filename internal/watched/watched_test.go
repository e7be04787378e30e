package watched_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/internal/watched"
)

// file is a watched file of which "bad" is no good, and a clock that the test moves.
type file struct {
	t             *testing.T
	path          string
	at            time.Time
	reads         int
	told, refused []string
	value         *watched.Value[string]
}

func newFile(t *testing.T, text string, life time.Duration) *file {
	t.Helper()
	f := &file{t: t, path: filepath.Join(t.TempDir(), "file"), at: time.Unix(1e9, 0)}
	f.write(text)
	var err error
	f.value, err = watched.Open(watched.Source[string]{
		Files: func() []string { return []string{f.path} },
		Read: func() (string, error) {
			f.reads++
			b, err := os.ReadFile(f.path)
			if err == nil && string(b) == "bad" {
				err = errors.New("it is bad")
			}
			return string(b), err
		},
		Life:    life,
		Now:     func() time.Time { return f.at },
		Changed: func(s string) { f.told = append(f.told, s) },
		Failed:  func(err error) { f.refused = append(f.refused, err.Error()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// write writes the file; each time is another modification time.
func (f *file) write(text string) {
	f.t.Helper()
	f.at = f.at.Add(2 * time.Second)
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Chtimes(f.path, f.at, f.at); err != nil {
		f.t.Fatal(err)
	}
}

func (f *file) want(text string) {
	f.t.Helper()
	if got := f.value.Get(); got != text {
		f.t.Errorf("%q, want %q", got, text)
	}
}

func TestAChangedFileIsReadAnewAndABadOneKeepsTheOldValue(t *testing.T) {
	f := newFile(t, "one", 0)
	f.want("one")
	f.write("two")
	f.want("two")
	f.write("bad")
	f.want("two")
	f.at = f.at.Add(2 * time.Second)
	f.want("two")
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f.at = f.at.Add(2 * time.Second)
		f.want("two")
	}
	f.write("three")
	f.want("three")
	if got := strings.Join(f.told, " "); got != "two three" {
		t.Errorf("told of %q", got)
	}
	if len(f.refused) != 2 || f.refused[0] != "it is bad" {
		t.Errorf("a bad file and a missing one are told as %q, want each once", f.refused)
	}
}

func TestAFileIsLookedAtOnceASecondAndReadWhenItsModeChanges(t *testing.T) {
	f := newFile(t, "one", 0)
	f.want("one")
	if err := os.WriteFile(f.path, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.at = f.at.Add(500 * time.Millisecond)
	f.want("one")
	f.at = f.at.Add(500 * time.Millisecond)
	f.want("other")
	reads := f.reads
	if err := os.Chmod(f.path, 0o640); err != nil {
		t.Fatal(err)
	}
	f.at = f.at.Add(time.Second)
	f.want("other")
	if f.reads != reads+1 {
		t.Errorf("%d reads after the mode changed", f.reads-reads)
	}
}

func TestAValueWithALifeIsReadAnewThoughNothingChanges(t *testing.T) {
	f := newFile(t, "one", time.Hour)
	reads := f.reads
	f.at = f.at.Add(time.Hour)
	f.want("one")
	f.at = f.at.Add(time.Minute)
	f.want("one")
	if f.reads != reads+1 || len(f.told) != 0 {
		t.Errorf("%d reads in an hour and a minute, told as a change: %q", f.reads-reads, f.told)
	}
}
