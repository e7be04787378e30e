package certsrv_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/msca/certsrv"
)

// A line with its end was written: its ReqID may have been told, and must not be given
// again.
func TestAJournalWithALineThatIsNoRequestIsNotTaken(t *testing.T) {
	for name, line := range map[string]string{"no JSON": `{"id":2,"requester":"LAB\\cis` + "\n", "no ReqID": "{}\n", "nothing": "\n"} {
		for _, after := range []string{"", `{"id":3,"disposition":2}` + "\n", `{"id":3,"disp`} {
			t.Run(name+" before "+after, func(t *testing.T) {
				dir := t.TempDir()
				_, end := kept(t, dir)
				end()
				journal := filepath.Join(dir, "requests.jsonl")
				text := `{"id":1,"disposition":2}` + "\n" + line + after
				if err := os.WriteFile(journal, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := certsrv.New(certsrv.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "line 2 is no request") {
					t.Errorf("%v", err)
				}
				if now, err := os.ReadFile(journal); err != nil || string(now) != text {
					t.Errorf("the file is changed: %q %v", now, err)
				}
			})
		}
	}
}

// Nobody knows what a disk holds after a failed fsync, and a later one may succeed
// although what the first was for is lost: the CA must issue nothing more.
func TestAJournalThatCouldNotBeSyncedTakesNothingMore(t *testing.T) {
	r, w, err := os.Pipe() // takes what is written, and cannot be synced
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, err := range certsrv.AppendTo(w, 1, 2) {
		if err == nil || !strings.Contains(err.Error(), "restart the CA") {
			t.Errorf("request %d: %v, want an error that says what to do", i+1, err)
		}
	}
	w.Close()
	written, err := io.ReadAll(r)
	if err != nil || strings.Count(string(written), "\n") != 1 {
		t.Errorf("written after the failure (%v):\n%s", err, written)
	}
}
