package tracelog_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files of lines whose wording is inferred")

// documents are the files of Cisco's lines, which ra/scenario reads, too.
const documents = "../../testdata/document"

// document gives the lines of one of them. They are Cisco's own, from
// "Troubleshooting CAPF Online CA", and so are never updated; where the document
// leaves the end of a frame of the CAPF trace out, it was added by hand.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(documents, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// inferred compares with a file in testdata/inferred: lines that no document
// shows.
func inferred(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "inferred", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	same(t, string(want), got)
}

func same(t *testing.T, want, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// at is a clock that stands still, in Cisco's lab's zone.
func at(text string) func() time.Time {
	when, err := time.Parse("2006-01-02 15:04:05 -0700", text)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return when }
}

// stampsOf is a clock that gives the times of a CAPF trace, line by line.
func stampsOf(t *testing.T, trace string) func() time.Time {
	t.Helper()
	stamps := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3}`).FindAllString(trace, -1)
	next := 0
	return func() time.Time {
		if next == len(stamps) {
			t.Fatalf("more lines than the %d of the document", next)
		}
		when, err := time.Parse("15:04:05.000", stamps[next])
		if err != nil {
			t.Fatal(err)
		}
		next++
		return when
	}
}
