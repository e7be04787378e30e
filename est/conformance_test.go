package est_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page of conformance names tests that there are, and every row has one, or
// says why it has none.
func TestThePageOfConformanceIsInStepWithTheTests(t *testing.T) {
	page, err := os.ReadFile("../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	err = filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(source), -1) {
			tests[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	named := regexp.MustCompile("`(Test\\w+)`")
	demand := regexp.MustCompile(`MUST|SHOULD|MAY|RECOMMENDED|REQUIRED|OPTIONAL|Base64 is used`)
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| RFC ") {
			continue
		}
		rows++
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 {
			t.Errorf("not three cells: %s", line)
			continue
		}
		if !demand.MatchString(cells[2]) {
			t.Errorf("no demand in it: %s", line)
		}
		names := named.FindAllStringSubmatch(cells[3], -1)
		shown := strings.TrimSpace(cells[3])
		if len(names) == 0 && !strings.HasPrefix(shown, "not done: ") && !strings.HasPrefix(shown, "by others: ") {
			t.Errorf("neither a test nor a reason: %s", line)
		}
		for _, name := range names {
			if !tests[name[1]] {
				t.Errorf("there is no test %s", name[1])
			}
		}
	}
	if rows < 80 {
		t.Errorf("only %d rows", rows)
	}
}
