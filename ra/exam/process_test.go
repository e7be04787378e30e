//go:build unix

package exam_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"ciscora/ra/exam"
	"ciscora/ra/exam/wrongclient"
)

func TestACommandThatIsNotThereIsAnErrorAtOnce(t *testing.T) {
	all, err := exam.Run(t.Context(), exam.Options{Client: exam.Client{Command: []string{"/nowhere/client"}, Operations: exam.Operations()}, Cards: some(t, "trust-name", "trust-eku"), Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "cannot be started") || !strings.Contains(err.Error(), "/nowhere/client") || len(all) > 0 {
		t.Errorf("%d results, %v", len(all), err)
	}
}

func TestAClientThatDoesNothingRightIsJudgedAndEnds(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		limit  time.Duration
		want   string
	}{
		"hangs":                {"sleep 1000", 500 * time.Millisecond, "it did not end within"},
		"dies of a signal":     {"kill -SEGV $$", 20 * time.Second, "it died of a signal: segmentation fault"},
		"its child does":       {"sh -c 'kill -SEGV $$'", 20 * time.Second, "it died of a signal: segmentation fault"},
		"writes no file":       {"exit 0", 20 * time.Second, "no certificate in {out}"},
		"writes an empty one":  {": > $EST_OUT", 20 * time.Second, "no certificate in {out}"},
		"writes a wrong one":   {"echo this is none > $EST_OUT", 20 * time.Second, "no certificate that can be read"},
		"writes another's":     {"cp $EST_CACERT $EST_OUT", 20 * time.Second, "is not that of {key}"},
		"leaves a pipe":        {"mkfifo $EST_OUT", 20 * time.Second, "{out} is no regular file"},
		"leaves a device":      {"ln -s /dev/zero $EST_OUT", 20 * time.Second, "{out} is no regular file"},
		"leaves a folder":      {"mkdir $EST_OUT", 20 * time.Second, "{out} is no regular file"},
		"writes a huge one":    {"head -c 20000000 /dev/zero > $EST_OUT", 20 * time.Second, "{out} has more than 4 MiB"},
		"makes its key a pipe": {"rm $EST_KEY; mkfifo $EST_KEY; cp $EST_CACERT $EST_OUT", 20 * time.Second, "{key} is no regular file"},
		"floods its output":    {"head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2; exit 4", 60 * time.Second, "exit status 4"},
		"needs a terminal":     {"read answer </dev/tty && cp $EST_CACERT $EST_OUT", 20 * time.Second, "exit status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// One stage that wants a certificate, and no control.
			r := one(t, shell(test.script), test.limit, "tls-13")
			if r.Verdict != exam.Fail || !strings.Contains(r.Reason, test.want) {
				t.Errorf("%s: %s", r.Verdict, r.Reason)
			}
			for _, run := range r.Runs {
				if len(run.Wire) > 1<<20 {
					t.Errorf("%d bytes are kept of what it printed", len(run.Wire))
				}
			}
		})
	}
}

func TestWhatIsNotDoneWithoutAFaultProvesNothing(t *testing.T) {
	r := one(t, shell("echo not today >&2; exit 1"), 20*time.Second, "trust-name")
	if r.Verdict != exam.Inconclusive || !strings.Contains(r.Reason, "without any fault it does not enroll either") || !strings.Contains(r.Reason, "not today") {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
}

func TestAPasswordIsSeenWhereverItIsPrintedAndStandsInNoReport(t *testing.T) {
	client := theClient(t, func(exam.Card) string { return "" })
	right := client.Command[0]
	for name, script := range map[string]string{
		"behind much else": `head -c 70000 /dev/zero; echo "$EST_PASSWORD"`,
		"in two pieces":    `printf %.5s "$EST_PASSWORD" >&2; sleep 0.1; echo "${EST_PASSWORD#?????}" >&2`,
		"in base64":        `printf %s "$EST_PASSWORD" | base64`,
		"with the account": `printf %s:%s "$EST_USER" "$EST_PASSWORD" | base64 -w 0`,
	} {
		t.Run(name, func(t *testing.T) {
			client := client
			client.Command = []string{"sh", "-c", script + "; exec " + right}
			if r := one(t, client, 20*time.Second, "auth-not-told"); r.Verdict != exam.Fail || !strings.Contains(r.Reason, "the password stands in what it printed") {
				t.Errorf("%s: %s", r.Verdict, r.Reason)
			}
		})
	}
}

func TestControlBytesAreSeenBehindMuchElse(t *testing.T) {
	client := theClient(t, func(exam.Card) string { return "" })
	client.Command = []string{"sh", "-c", `"$0"; status=$?; head -c 70000 /dev/zero; printf '\033[2J'; exit $status`, client.Command[0]}
	if r := one(t, client, 20*time.Second, "http-error-text"); r.Verdict != exam.Fail || !strings.Contains(r.Reason, "control bytes") {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
}

func TestACrashWithoutAnyFaultIsAFail(t *testing.T) {
	r := one(t, shell("kill -SEGV $$"), 20*time.Second, "trust-name")
	if r.Verdict != exam.Fail || !strings.Contains(r.Reason, "without any fault, on enroll: it died of a signal: segmentation fault") {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
}

func TestAClientThatFailsOnceAndNotAgainHasProvenNothing(t *testing.T) {
	client := theClient(t, func(exam.Card) string { return "" })
	client.Command = []string{"sh", "-c", `mkdir "$1" 2>/dev/null && exit 5; exec "$0"`, client.Command[0], filepath.Join(t.TempDir(), "failed")}
	r := one(t, client, 20*time.Second, "tls-13")
	if r.Verdict != exam.Inconclusive || !strings.Contains(r.Reason, "failed once, passed once") || !strings.Contains(r.Reason, "exit status 5") {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
	if len(r.Runs) != 2 || r.Runs[0].Again || !r.Runs[1].Again || r.Runs[1].Exit != 0 {
		t.Errorf("%+v", r.Runs)
	}
}

func TestAClientThatHangsOnceIsRunOnceMore(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen")
	r := one(t, shell("echo once >>"+seen+"; exec sleep 1000"), 500*time.Millisecond, "tls-13")
	data, err := os.ReadFile(seen)
	if err != nil || r.Verdict != exam.Fail || string(data) != "once\nonce\n" {
		t.Errorf("%s: %s; %q, %v", r.Verdict, r.Reason, data, err)
	}
}

func TestAnOperationThatTheClientLacksIsNotApplicable(t *testing.T) {
	r := one(t, shell("exit 1"), 20*time.Second, "keygen-parts")
	if r.Verdict != exam.NotApplicable || !strings.Contains(r.Reason, "serverkeygen") {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
}

// children is a script that leaves two children, one of them in a session of its own.
func children(dir string) string {
	return fmt.Sprintf(`sleep 1000 & echo $! > %[1]s/inside; setsid sh -c 'echo $$ > %[1]s/outside; exec sleep 1000' & while ! [ -s %[1]s/outside ]; do :; done; exit 3`, dir)
}

// gone tells whether the process whose number a file has is no more.
func gone(t *testing.T, file string) bool {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(data), &pid); err != nil {
		t.Fatal(err)
	}
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	// A zombie that nobody has waited for yet is no process any more.
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(state), ") Z ") || strings.Contains(string(state), ") X ")
}

func eventuallyGone(t *testing.T, file string) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !gone(t, file) {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("a child is left: %s", file)
		}
	}
}

func TestNoChildOfAClientStays(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("children in sessions of their own are found by /proc")
	}
	dir := t.TempDir()
	r := one(t, shell(children(dir)), 20*time.Second, "tls-13")
	if r.Verdict != exam.Fail || r.Runs[0].Left == 0 {
		t.Errorf("%s: %s, %d children left", r.Verdict, r.Reason, r.Runs[0].Left)
	}
	eventuallyGone(t, filepath.Join(dir, "inside"))
	eventuallyGone(t, filepath.Join(dir, "outside"))
}

func TestWhoStopsItGetsTheResultsSoFar(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	dir := t.TempDir()
	enough := errors.New("enough")
	// The first case ends; the second hangs, with a child, until it is stopped.
	script := fmt.Sprintf(`[ -e %[1]s/first ] || { touch %[1]s/first; exit 1; }; sleep 1000 & echo $! > %[1]s/inside.new; mv %[1]s/inside.new %[1]s/inside; wait`, dir)
	var stopped time.Time
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := os.Stat(filepath.Join(dir, "inside")); err == nil {
				stopped = time.Now()
				stop(enough)
				return
			}
			select {
			case <-tick.C:
			case <-t.Context().Done():
				return
			}
		}
	}()
	client := shell(script)
	client.Operations = []string{exam.Enroll}
	all, err := exam.Run(ctx, exam.Options{Client: client, Cards: some(t, "trust-name", "trust-eku"), Parallel: 1, Limit: time.Hour, Dir: t.TempDir(), Keys: keys(t)})
	took := time.Since(stopped)
	<-done
	if !errors.Is(err, enough) || len(all) != 1 || all[0].Verdict != exam.Inconclusive {
		t.Errorf("%d results, %v", len(all), err)
	}
	const bound = 10 * time.Second // a second is what is wanted; the machine may be busy
	if took > bound {
		t.Errorf("it took %s to end", took)
	}
	eventuallyGone(t, filepath.Join(dir, "inside"))
}

func TestAClientThatIgnoresTheProxyAndOneThatTakesItReachTheServerAlike(t *testing.T) {
	t.Setenv("https_proxy", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	r := one(t, shell(`test -z "$https_proxy$HTTPS_PROXY" && exit 7`), 20*time.Second, "tls-13")
	if !strings.Contains(r.Reason, "exit status 7") {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
}

func TestAClientThatAsksNothingHasProvenNothing(t *testing.T) {
	client := shell(`[ $EST_OPERATION = csrattrs ] || cp $EST_CACERT $EST_OUT`)
	client.Operations = []string{exam.CACerts, exam.CSRAttrs}
	all, err := exam.Run(t.Context(), exam.Options{
		Client: client, Limit: 20 * time.Second, Dir: t.TempDir(), Keys: keys(t), Wire: true,
		Cards: some(t, "http-*", "trust-*", "cacerts-*", "csrattrs-*", "tls-*"),
	})
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, r := range all {
		switch r.Verdict {
		case exam.Pass:
			t.Errorf("%s passes", r.Card.ID)
		case exam.Fail, exam.Inconclusive:
			judged++
		}
	}
	if judged < 15 {
		t.Errorf("%d cases are judged", judged)
	}
}

func TestWhatAClientWroteSteersNoTerminal(t *testing.T) {
	for name, script := range map[string]string{
		"a subject":     `cp %s $EST_OUT`,
		"an error line": `printf 'no\033[2J\302\233 2J \342\200\256\033]0;x\007' >&2; exit 1`,
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(script, "%s") {
				script = fmt.Sprintf(script, steeringCertificate(t))
			}
			r := one(t, shell(script), 20*time.Second, "tls-13")
			text := r.Reason
			for _, run := range r.Runs {
				text += run.Problem + strings.ReplaceAll(run.Wire, "\n", "")
			}
			if i := strings.IndexFunc(text, func(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Cf, c) }); r.Verdict != exam.Fail || i >= 0 {
				t.Errorf("%s: %q", r.Verdict, text)
			}
		})
	}
}

// steeringCertificate is the file of a certificate whose subject clears a terminal.
func steeringCertificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "X\x1b[2J\x1b]0;title\x07\u009b2J\u202e"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "steering.der")
	if err := os.WriteFile(file, der, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAPasswordInAURLStandsInNoReport(t *testing.T) {
	client := theClient(t, func(exam.Card) string { return "" })
	client.Env = append(client.Env, wrongclient.Chatty+"=1")
	r := one(t, client, 20*time.Second, "auth-basic")
	text := r.Reason
	for _, run := range r.Runs {
		text += run.Problem + strings.Join(run.Requests, "\n") + run.Wire
	}
	if !strings.Contains(text, "?with=[password]") || !strings.Contains(text, "X-With: [password]") || strings.Contains(text, "zwei") {
		t.Errorf("%s: %s", r.Verdict, text)
	}
}
