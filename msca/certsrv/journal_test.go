package certsrv_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

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
	errs, err := certsrv.PutAfterAFailedSync(t.TempDir(), w, 1, 2)
	must(t, err)
	for i, err := range errs {
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

// writeJournal makes a journal of n requests, of which each hundredth waits for a manager.
func writeJournal(t testing.TB, dir string, n int) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "requests.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	certificate := strings.Repeat("MIIB", 400) // base64
	for id := 1; id <= n; id++ {
		disposition := certsrv.DispositionIssued
		if id%100 == 0 {
			disposition = certsrv.DispositionPending
		}
		fmt.Fprintf(out, `{"id":%d,"requester":"LAB\\ciscora","template":"CiscoRA","disposition":%d,"submitted":"2026-11-26T00:00:00Z","certificate":%q}`+"\n", id, disposition, certificate)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// opened opens the CA in dir, and tells how long that took and how much memory it then
// has more than before.
func opened(t testing.TB, dir string) (s *certsrv.Server, took time.Duration, grew int64) {
	t.Helper()
	before := heap()
	began := time.Now()
	o := certsrv.Options{Dir: dir}
	quickKeys(&o)
	s, err := certsrv.New(o)
	if err != nil {
		t.Fatal(err)
	}
	took = time.Since(began)
	return s, took, heap() - before
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestManyRequestsTakeNoMemory(t *testing.T) {
	dir := t.TempDir()
	_, end := kept(t, dir) // the CA's keys
	end()
	const n = 20_000 // 33 MB
	writeJournal(t, dir, n)
	for _, start := range []string{"the first, which makes the index", "a later one"} {
		s, _, grew := opened(t, dir)
		if grew > 4<<20 {
			t.Errorf("%s: %d kB for %d requests", start, grew>>10, n)
		}
		if got := s.Count(certsrv.DispositionIssued); got != n-n/100 {
			t.Errorf("%s: %d issued", start, got)
		}
		recent := s.Recent(10)
		if len(recent) != 20 || recent[19].ID != n || recent[9].ID != n-100 || recent[0].ID != n-1000 {
			t.Errorf("%s: the newest, and those that wait: %d, %+v", start, len(recent), recent[0])
		}
		if r, ok := s.Request(n / 2); !ok || r.ID != n/2 || r.Disposition != certsrv.DispositionPending || len(r.Certificate) == 0 {
			t.Errorf("%s: %v %+v", start, ok, r)
		}
		if _, ok := s.Request(n + 1); ok {
			t.Errorf("%s: a request that is not there", start)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The index is derived: whatever becomes of it, the journal counts.
func TestTheIndexIsMadeAnewWhereItIsNotTheJournals(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, journal, index string){
		"it is gone":  func(t *testing.T, _, index string) { must(t, os.Remove(index)) },
		"it is empty": func(t *testing.T, _, index string) { must(t, os.WriteFile(index, nil, 0o600)) },
		"it is something else": func(t *testing.T, _, index string) {
			must(t, os.WriteFile(index, []byte(strings.Repeat("x", 5000)), 0o600))
		},
		"the journal is longer": func(t *testing.T, journal, _ string) { add(t, journal, `{"id":3,"disposition":5}`+"\n") },
		"a request has changed": func(t *testing.T, journal, _ string) {
			add(t, journal, `{"id":1,"disposition":3}`+"\n"+`{"id":2,"disposition":2}`+"\n"+`{"id":3,"disposition":5}`+"\n")
		},
		"the journal is another's": func(t *testing.T, journal, _ string) {
			must(t, os.WriteFile(journal, []byte(`{"id":1,"disposition":3}`+"\n"+`{"id":2,"disposition":2}`+"\n"+`{"id":3,"disposition":5}`+"\n"+`{"id":3,"disposition":5}`+"\n"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, end := kept(t, dir)
			end()
			journal, index := filepath.Join(dir, "requests.jsonl"), filepath.Join(dir, "requests.index")
			before := `{"id":1,"disposition":3}` + "\n" + `{"id":2,"disposition":2}` + "\n"
			must(t, os.WriteFile(journal, []byte(before), 0o600))
			s, _, _ := opened(t, dir)
			must(t, s.Close())
			spoil(t, journal, index)
			s, _, _ = opened(t, dir)
			defer s.Close()
			text, err := os.ReadFile(journal)
			must(t, err)
			want := 2
			if strings.Contains(string(text), `"id":3`) {
				want = 3
			}
			all := s.Requests()
			if len(all) != want || all[0].Disposition != certsrv.DispositionIssued || all[1].Disposition != certsrv.DispositionDenied {
				t.Errorf("%+v", all)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	must(t, f.Close())
}

// The start of a CA that has had a million requests.
func BenchmarkStart(b *testing.B) {
	n := 1_000_000
	if testing.Short() {
		n = 10_000
	}
	dir := b.TempDir()
	writeJournal(b, dir, n)
	s, took, _ := opened(b, dir)
	s.Close()
	for b.Loop() {
		s, _, grew := opened(b, dir)
		if s.Count(certsrv.DispositionIssued) != n-n/100 {
			b.Fatal("requests are missing")
		}
		b.ReportMetric(float64(grew)/1024, "kB")
		s.Close()
	}
	b.ReportMetric(took.Seconds(), "s/first") // which makes the index
}
