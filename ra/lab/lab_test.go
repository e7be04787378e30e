package lab_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ciscora/config"
	"ciscora/est/capf"
	"ciscora/ra/lab"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a lab on ports of its own, with keys that tests share, and waits until it
// can enroll.
func start(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	if o.NewKey == nil {
		o.NewKey = sharedKeys(t)
	}
	return startAsUsers(t, o)
}

// startAsUsers is start with the keys that the lab makes for itself.
func startAsUsers(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.EST, o.Certsrv, o.Admin = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func enrollPhone(t *testing.T, l *lab.Lab) lab.SamplePhone {
	t.Helper()
	phone, err := l.EnrollPhone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if phone.Result.Err != nil {
		t.Fatal(phone.Result.Err)
	}
	return phone
}

func TestAPhoneGetsItsCertificateInBothProfiles(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			l := start(t, lab.Options{Profile: profile})
			phone := enrollPhone(t, l)
			r := phone.Result
			if r.RV != capf.StatusNone || !r.Challenged || phone.ReqID != 1 {
				t.Errorf("rv %v, challenged %v, ReqID %d", r.RV, r.Challenged, phone.ReqID)
			}
			if cn := r.Certificates[0].Subject.CommonName; cn != phone.Name || !strings.HasPrefix(cn, "SEP") {
				t.Errorf("certificate for %q, want %q", cn, phone.Name)
			}
		})
	}
}

// holes replaces what differs from run to run, and from the document's lab to
// this one, by the name of what stands there.
var holes = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\d{4}[-/]\d\d[-/]\d\d \d\d:\d\d:\d\d`), "{time}"},
	{regexp.MustCompile(`\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}`), "{time}"},
	{regexp.MustCompile(`https://[^/:]+:\d+/certsrv`), "https://{host}/certsrv"},
	{regexp.MustCompile(`server: [0-9.]+:\d+`), "server: {listen}"},
	{regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`), "{address}"},
	{regexp.MustCompile(`(cs-uri-query .*|GET /certsrv\S* \S+|POST /certsrv\S* \S+) \d+ `), "$1 {port} "},
	{regexp.MustCompile(`(LAB|MICHAMEN)\\ciscora`), `{account}`},
	{regexp.MustCompile(`ReqID=\d+`), "ReqID={id}"},
	{regexp.MustCompile(`\d+#0: `), "{pid}#0: "},
	{regexp.MustCompile(`\*\d+ `), "*{connection} "},
	{regexp.MustCompile(`PID value = \d+`), "PID value = {pid}"},
	{regexp.MustCompile(`Rcvd data len: \d+`), "Rcvd data len: {bytes}"},
	{regexp.MustCompile(`Adding cert to store \([^)]*\)`), "Adding cert to store ({subject})"},
	{regexp.MustCompile(`(?m)( \d+ \d+ \d+) \d+$`), "$1 {ms}"},
}

func fill(text string) string {
	for _, h := range holes {
		text = h.pattern.ReplaceAllString(text, h.name)
	}
	return text
}

// readLog reads a log of the lab; of several daily files, all.
func readLog(t *testing.T, l *lab.Lab, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(l.Path(pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	var text string
	for _, f := range files { // two, if the test runs at midnight
		text += readFile(t, f)
	}
	return text
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestTheLogsOfALabAreTheDocuments compares with the lines as Cisco's document
// prints them: those in testdata/document are copied from it.
func TestTheLogsOfALabAreTheDocuments(t *testing.T) {
	l := start(t, lab.Options{})
	enrollPhone(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	t.Run("IIS: three lines at the start, seven for the enrollment", func(t *testing.T) {
		var got []string
		for line := range strings.Lines(fill(readLog(t, l, "logs/iis/*.log"))) {
			if !strings.HasPrefix(line, "#") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		want := strings.Split(strings.TrimSpace(fill(readFile(t, "testdata/document/iis.log"))), "\n")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-document +lab:\n%s", diff)
		}
	})
	t.Run("NGINX: the start-up and the log-ins", func(t *testing.T) {
		got := fill(readLog(t, l, "logs/nginx-error.log"))
		for line := range strings.Lines(fill(readFile(t, "testdata/document/nginx-error.log"))) {
			if !strings.Contains(got, line) {
				t.Errorf("the document's line is missing:\n%s", line)
			}
		}
		// Two log-ins an enrollment, and one at the start.
		if n := strings.Count(got, "login_to_certsrv_ca: Secure connection"); n != 3 {
			t.Errorf("%d log-ins, want 3", n)
		}
		compareGolden(t, "nginx-error.log", got)
	})
	t.Run("CiscoRA: the start-up block", func(t *testing.T) {
		compareGolden(t, "ciscora.log", fill(readLog(t, l, "logs/ciscora.log")))
	})
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestALabKeepsItsCAAcrossRuns(t *testing.T) {
	dir := t.TempDir()
	first := start(t, lab.Options{Dir: dir})
	one := enrollPhone(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, lab.Options{Dir: dir})
	two := enrollPhone(t, second)
	if two.ReqID != one.ReqID+1 {
		t.Errorf("ReqIDs %d and then %d, want them to go on", one.ReqID, two.ReqID)
	}
	if err := two.Result.Certificates[0].CheckSignatureFrom(one.Result.Certificates[0]); err == nil {
		t.Error("a phone's certificate signs another's")
	}
	if string(two.Result.Certificates[0].AuthorityKeyId) != string(one.Result.Certificates[0].AuthorityKeyId) {
		t.Error("the second run has another CA")
	}
}

func TestAnEditedConfigurationIsKeptWhenTheLabStartsAgain(t *testing.T) {
	dir := t.TempDir()
	run := func() []lab.Edit {
		t.Helper()
		l := start(t, lab.Options{Dir: dir})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return l.Edited
	}
	run()
	if edited := run(); len(edited) != 0 {
		t.Errorf("edited by nobody: %q", edited)
	}
	path := filepath.Join(dir, "ra.yaml")
	edit := strings.Replace(readFile(t, path), "template: WiFiClient", "template: WiFiClient\n      profile: modern", 1)
	if err := os.WriteFile(path, []byte(edit), 0o600); err != nil {
		t.Fatal(err)
	}
	if edited := run(); len(edited) != 1 || edited[0] != (lab.Edit{File: path, Kept: path + ".bak"}) || readFile(t, path+".bak") != edit {
		t.Errorf("edited %q, want %s, and the edit in its .bak", edited, path)
	}
	second := edit + "# once more\n"
	if err := os.WriteFile(path, []byte(second), 0o600); err != nil {
		t.Fatal(err)
	}
	if edited := run(); len(edited) != 1 || edited[0].Kept != path+".bak.2" || readFile(t, path+".bak.2") != second || readFile(t, path+".bak") != edit {
		t.Errorf("edited %q, want both edits kept", edited)
	}
	if edited := run(); len(edited) != 0 {
		t.Errorf("edited by nobody since: %q", edited)
	}
}

func TestALabTellsWhyItAnswersAsItDoes(t *testing.T) {
	var mu sync.Mutex
	var answers []lab.Step
	l := start(t, lab.Options{Lockout: 3, Watch: func(s lab.Step) {
		mu.Lock()
		defer mu.Unlock()
		if s.To == lab.PartyPhone {
			answers = append(answers, s)
		}
	}})
	phone, err := capf.NewPhone(rand.Reader, "SEP001122334455", "ec256")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		client, err := l.Client(nil, func(o *capf.Options) { o.Password = fmt.Sprint("wrong", i) })
		if err != nil {
			t.Fatal(err)
		}
		if got := client.Enroll(t.Context(), phone.Name, phone.CSR); got.RV != capf.StatusAuthFail {
			t.Fatal(got.RV, got.Err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(answers) != 8 { // each with its challenge
		t.Fatalf("%d answers: %+v", len(answers), answers)
	}
	for i, s := range answers {
		want := "who are you?"
		switch {
		case i == 7:
			want = "too many refused log-ins of this account (est.lockout)"
		case i%2 == 1:
			want = "auth-rejected"
		}
		if s.Failed != (i%2 == 1) || s.Operation != "simpleenroll" || !strings.Contains(s.Detail, want) {
			t.Errorf("answer %d: %+v, want %s", i, s, want)
		}
	}
}

func TestASecondLabOnTheSameFolderIsRefused(t *testing.T) {
	l := start(t, lab.Options{})
	_, err := lab.Start(t.Context(), lab.Options{Dir: l.Dir, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0", NewKey: sharedKeys(t)})
	if err == nil || !strings.Contains(err.Error(), l.Dir) {
		t.Errorf("Start = %v, want an error that names the folder", err)
	}
	enrollPhone(t, l) // the first one is unharmed
}

func TestAPortInUseIsNamedByItsFlag(t *testing.T) {
	l := start(t, lab.Options{})
	taken := strings.TrimPrefix(l.ESTURL, "https://")
	_, err := lab.Start(t.Context(), lab.Options{Dir: t.TempDir(), EST: taken, Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0", NewKey: sharedKeys(t)})
	if err == nil || !strings.Contains(err.Error(), "--est: "+taken+" is in use") {
		t.Errorf("Start = %v", err)
	}
}

func TestTheAdminPortShowsTheEnrollmentWithItsChallengeAndLegs(t *testing.T) {
	l := start(t, lab.Options{})
	phone := enrollPhone(t, l)
	got := get(t, l.AdminURL+"/enrollments?wait=10s&cn="+phone.Name)
	for _, want := range []string{`"state": "issued"`, `"est_status": 200`, `"req_id": 1`, `"challenged": true`, `"name": "login"`, `"name": "submit"`, `"identity": "LAB\\ciscora"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if !strings.Contains(get(t, l.AdminURL+"/readyz"), `"ready": true`) {
		t.Error("/readyz does not say ready")
	}
	if !strings.HasPrefix(get(t, l.AdminURL+"/roots"), "-----BEGIN CERTIFICATE-----") {
		t.Error("/roots gives no PEM")
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", url, resp.Status, body)
	}
	return string(body)
}

func TestNoPasswordIsInAnyLogOrConfigurationButTheTwoFilesThatHoldIt(t *testing.T) {
	l := start(t, lab.Options{})
	enrollPhone(t, l)
	creds, err := config.LoadCredentials(l.Path("credentials.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(l.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		holds := strings.Contains(string(data), string(creds.Password))
		if name := d.Name(); holds != (name == "credentials.yaml" || name == "curl.conf") {
			t.Errorf("%s holds the password: %v", path, holds)
		}
		info, err := d.Info()
		if err == nil && strings.Contains(path, ".key") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAShutdownFinishesWhatIsInFlight(t *testing.T) {
	held := make(chan struct{})
	release := make(chan struct{})
	l := start(t, lab.Options{Watch: func(s lab.Step) {
		if strings.HasPrefix(s.Text, "GET certrqxt.asp") {
			close(held)
			<-release
		}
	}})
	result := make(chan lab.SamplePhone, 1)
	go func() {
		phone, err := l.EnrollPhone(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Error(err)
		}
		result <- phone
	}()
	<-held
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }()
	// The listener goes first: nobody new is let in.
	l.AwaitRefusal(t)
	close(release)
	if phone := <-result; phone.Result.Err != nil {
		t.Errorf("the enrollment in flight: %v", phone.Result.Err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// The profile modern looks where the CA's numbers end before it submits: no failure.
func TestASoundEnrollmentHasNoStepThatFailed(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		t.Run(string(profile), func(t *testing.T) {
			var mu sync.Mutex
			var all []lab.Step
			l := start(t, lab.Options{Profile: profile, Watch: func(s lab.Step) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, s)
			}})
			enrollPhone(t, l)
			mu.Lock()
			defer mu.Unlock()
			for _, s := range all {
				if s.Failed || strings.Contains(s.Detail, "0x8") {
					t.Errorf("%+v", s)
				}
			}
			looked := slices.ContainsFunc(all, func(s lab.Step) bool { return s.Detail == "no such request yet, as it should be" })
			if looked != (profile == config.ProfileModern) {
				t.Errorf("looked ahead: %t, in %+v", looked, all)
			}
		})
	}
}
