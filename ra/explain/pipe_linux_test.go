package explain_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"ciscora/ra/explain"
)

// A shell's <(zcat x.gz) is a pipe, whose bytes come once.
func TestAPipeThatIsOpenIsReadToItsEnd(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wrote := make(chan error, 1)
	go func() {
		defer w.Close()
		_, err := w.WriteString(slowLogin + "\n" + strings.Repeat("\n", 1<<20))
		wrote <- err
	}()
	inputs, err := explain.Files([]string{fmt.Sprintf("/dev/fd/%d", r.Fd())})
	if err != nil {
		t.Fatal(err)
	}
	report := read(t, catalog(t), inputs...)
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if len(report.Findings) != 1 || report.Findings[0].Name != "f7-slow-login" || report.Files[0].Lines != 1<<20+1 {
		t.Errorf("%s", printed(t, report))
	}
}

// Nobody may ever open its other end.
func TestAPipeThatIsNotOpenIsRefused(t *testing.T) {
	path := t.TempDir() + "/pipe"
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := explain.Files([]string{path}); err == nil || !strings.Contains(err.Error(), "ra explain - < "+path) {
		t.Errorf("%v", err)
	}
}
