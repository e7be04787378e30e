package explain_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

// filesOf are the files of a folder.
func filesOf(t *testing.T, dir string) (inputs []explain.Input) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, explaintest.Input(e.Name(), data))
	}
	return inputs
}

// The CiscoRA log has no times, and its second start no line of the script: the README's own
// example of a CA that hangs. IIS has four requests without an answer.
func TestStartsAndPhonesThatMeetTheSameAreCountedOnceEach(t *testing.T) {
	all := filesOf(t, "testdata/hangs")
	for name, inputs := range map[string][]explain.Input{
		"all logs": all, "the other way round": reversed(all),
		"without IIS's": without(all, "u_ex261128.log"), "without the CiscoRA log": without(all, "ciscora.log"),
	} {
		t.Run(name, func(t *testing.T) {
			report := read(t, catalog(t), inputs...)
			var met []string
			for _, f := range report.Findings {
				if f.Name != "f7-slow-login" || f.Count != 2 {
					t.Errorf("%s %d times, want f7-slow-login 2 times", f.Name, f.Count)
				}
				met = append(met, f.Who...)
			}
			if want := []string{"CES, at its start", "SEP69918C9E3AF8", "SEP3AE4F739B5CE"}; !slices.Equal(met, want) {
				t.Errorf("met by %q, want %q: %s", met, want, printed(t, report))
			}
		})
	}
}

func reversed(inputs []explain.Input) []explain.Input {
	inputs = slices.Clone(inputs)
	slices.Reverse(inputs)
	return inputs
}

func without(inputs []explain.Input, name string) []explain.Input {
	return slices.DeleteFunc(slices.Clone(inputs), func(i explain.Input) bool { return i.Name == name })
}

func TestTheReportSaysOfEachFileAsWhichLogItWasRead(t *testing.T) {
	report := read(t, catalog(t), append(filesOf(t, "testdata/hangs"), explaintest.Input("prose.txt", []byte("Hello,\nhere they are.\n")))...)
	out := printed(t, report)
	for _, line := range []string{
		"capf.log, 54 lines: CAPF trace\n", "ciscora.log, 20 lines: CiscoRA log\n", "nginx-error.log, 53 lines: NGINX error.log\n",
		"u_ex261128.log, 12 lines: IIS log\n", "prose.txt, 2 lines: no log that is known\n", "CiscoRA log: 20 lines\n",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in %s", line, out)
		}
	}
}

// What is counted is bounded, and says so.
func TestACountThatIsCutIsToldAsThat(t *testing.T) {
	t.Parallel()
	var capf bytes.Buffer
	for range 20010 {
		capf.WriteString("12:31:21.000 | debug 1:SEP001122334455:Enrollment rv = 22 (EST_ERR_AUTH_FAIL) with pkcs7 length = 0\n12:31:21.000 | debug 1:SEP001122334455:Online Cert Signing Failed\n")
	}
	out := printed(t, read(t, catalog(t), explaintest.Input("capf.log", capf.Bytes())))
	if !strings.Contains(out, "20000 times") || !strings.Contains(out, "and 10 came behind them") {
		t.Error(out)
	}
}

// As a colleague sends them: a tar's files are read as they stand in it, of a zip it is
// said what to do.
func TestLogsThatArePackedAreReadOrToldAsThat(t *testing.T) {
	var tarred, zipped bytes.Buffer
	tw, zw := tar.NewWriter(&tarred), zip.NewWriter(&zipped)
	for _, input := range filesOf(t, "testdata/hangs") {
		in, err := input.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err := errors.Join(err, in.Close()); err != nil {
			t.Fatal(err)
		}
		w, err := zw.Create(input.Name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Write(text)
		header := tar.Header{Name: "logs/" + input.Name, Size: int64(len(text)), Mode: 0o600}
		if err := errors.Join(err, tw.WriteHeader(&header)); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	whole := read(t, catalog(t), filesOf(t, "testdata/hangs")...)
	report := read(t, catalog(t), explaintest.Input("logs.tar", tarred.Bytes()), explaintest.Input("logs.zip", zipped.Bytes()))
	if len(report.Findings) != len(whole.Findings) || report.Findings[0].Name != whole.Findings[0].Name {
		t.Errorf("in a tar: %s, else: %s", printed(t, report), printed(t, whole))
	}
	if e := report.Files[1].Error; !strings.Contains(e, "packed (zip): unpack it") {
		t.Errorf("of a zip: %q", e)
	}
}

// That nobody has asked IIS anything is evidence.
func TestAnIISLogWithoutRequestsIsALog(t *testing.T) {
	report := read(t, catalog(t), explaintest.Input("u_ex.log", []byte("#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Date: 2026-11-28 06:55:11\n"+iisFields)))
	out := printed(t, report)
	if !report.Readable() || report.Failed() || !strings.Contains(out, "IIS log: 0 requests\n") || !strings.Contains(out, "u_ex.log, 4 lines: IIS log\n") {
		t.Error(out)
	}
}

// libest writes its lines without times, together with the access line.
func TestTheWaitStandsWhereItEnds(t *testing.T) {
	report := read(t, catalog(t), filesOf(t, "testdata/hangs")...)
	for _, f := range report.Findings {
		for n, e := range f.Story {
			if n > 0 && e.Log == explain.NGINX && strings.Contains(e.Text, "[log_access") && e.After != 0 {
				t.Errorf("the access line waits %d ms for libest's lines before it", e.After)
			}
		}
	}
}

func TestWhatLibestReturnedIsEvidence(t *testing.T) {
	for card, logs := range recorded(t) {
		report := read(t, catalog(t), explaintest.Input("capf", logs["capf"]))
		for _, f := range report.Findings {
			if strings.Contains(string(logs["capf"]), "Enrollment rv = ") && !slices.ContainsFunc(f.Evidence, func(e explain.Evidence) bool { return strings.Contains(e.Text, "Enrollment rv = ") }) {
				t.Errorf("%s: %+v", card, f.Evidence)
			}
		}
	}
}

// A report that is saved beside the logs changes nothing of what they say.
func TestAReportOfExplainIsNoLog(t *testing.T) {
	for _, card := range []string{"denied-by-policy", "wrong-password", "f7-slow-login"} {
		logs := recorded(t)[card]
		inputs := []explain.Input{explaintest.Input("nginx", logs["nginx"]), explaintest.Input("capf", logs["capf"]), explaintest.Input("iis", logs["iis"])}
		first := read(t, catalog(t), inputs...)
		var text, wide bytes.Buffer
		if err := errors.Join(first.PrintWide(&text, 100), first.Print(&wide)); err != nil {
			t.Fatal(err)
		}
		data, err := json.MarshalIndent(first, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		compact, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		for form, saved := range map[string][]byte{
			"as it is": text.Bytes(), "not wrapped": wide.Bytes(), "JSON": data, "JSON in one line": compact,
			"in a mail": []byte("> " + strings.ReplaceAll(text.String(), "\n", "\n> ") + "\n"),
		} {
			t.Run(card+", "+form, func(t *testing.T) {
				if alone := read(t, catalog(t), explaintest.Input("report", saved)); len(alone.Findings)+len(alone.NotUnderstood) > 0 || len(alone.Notes) != 1 {
					t.Error(printed(t, alone))
				}
				both := read(t, catalog(t), append(slices.Clone(inputs), explaintest.Input("report", saved))...)
				if len(both.Findings) != len(first.Findings) || both.Findings[0].Headline != first.Findings[0].Headline || both.Findings[0].Sure != first.Findings[0].Sure {
					t.Error(printed(t, both))
				}
			})
		}
	}
}

const checked = `ok    est.resolve            localhost is 127.0.0.1
FAIL  est.tls.chain          its root is not in --cacert
      seen as  EST client: Enrollment rv = 38 (EST_ERR_SSL_CONNECT); SSL certificate problem: unable to get local issuer certificate
      because  its root CN=X is not in --cacert
      fix      add it
skip  est.challenge          TLS fails
`

// It quotes what products would log.
func TestAReportOfCheckIsNoLog(t *testing.T) {
	for name, text := range map[string]string{"as it is": checked, "in a mail": "> " + strings.ReplaceAll(checked, "\n", "\n> ")} {
		t.Run(name, func(t *testing.T) {
			report := read(t, catalog(t), explaintest.Input("report.txt", []byte(text)))
			if len(report.Findings)+len(report.NotUnderstood) != 0 || report.Readable() || len(report.Notes) != 1 || !strings.HasPrefix(report.Notes[0], "6 lines are of a report of ra check") {
				t.Errorf("%s", printed(t, report))
			}
		})
	}
}

func TestAZoneThatIsNotUsedOrCannotBeRightIsToldOf(t *testing.T) {
	all := filesOf(t, "testdata/hangs")
	var zoneless []explain.Input
	for _, i := range without(all, "ciscora.log") {
		data, err := os.ReadFile("testdata/hangs/" + i.Name)
		if err != nil {
			t.Fatal(err)
		}
		zoneless = append(zoneless, explaintest.Input(i.Name, []byte(strings.ReplaceAll(string(data), " +0000]", "]"))))
	}
	for name, test := range map[string]struct {
		inputs []explain.Input
		zone   *time.Location
		note   string // "" = none
	}{
		"none is given":                   {all, nil, ""},
		"the access lines tell it":        {all, time.FixedZone("", 3600), "--zone was not used: the NGINX log's access lines tell the zone, UTC+00:00"},
		"it is right":                     {zoneless, time.UTC, ""},
		"it is six hours wrong":           {zoneless, time.FixedZone("", -6*3600), "the NGINX log and the IIS log have no time in common: they are of different times, a clock is wrong, or the zone is (UTC-06:00 was taken for the NGINX log)"},
		"none is given, and none is told": {zoneless, nil, ""},
		"it is wrong for CAPF's trace": {
			without(zoneless, "nginx-error.log"), time.FixedZone("", 5*3600),
			"the CAPF trace and the IIS log have no time in common: they are of different times, a clock is wrong, or the zone is (UTC+05:00 was taken for the CAPF trace)",
		},
		"it is right for CAPF's trace": {without(zoneless, "nginx-error.log"), time.UTC, ""},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := explain.Explain(t.Context(), catalog(t), test.inputs, explain.Options{Zone: test.zone})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if test.note != "" {
				want = []string{test.note}
			}
			if !slices.Equal(report.Notes, want) {
				t.Errorf("%q, want %q", report.Notes, want)
			}
		})
	}
}

// An HTML mail has one line for all, or one for each; a header of IIS's ends where an entry begins.
func TestAnIISLogInOneLineOfHTMLIsRead(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix("#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Date: 2026-11-27 00:25:29\n"+iisFields+
		"2026-11-27 00:25:29 192.0.2.1 GET /certsrv - 443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074254 0\n2026-11-27 00:25:29 192.0.2.1 GET /certsrv - 443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074257 0\n", "\n"), "\n")
	for _, between := range []string{"</div><div>", "<br>", " ", "\n"} {
		report := read(t, catalog(t), explaintest.Input("mail.html", []byte("<html><body><div>"+strings.Join(lines, between)+"</div></body></html>\n")))
		if len(report.Findings) != 1 || report.Findings[0].Name != "no-domain-controller" {
			t.Errorf("%q between: %s", between, printed(t, report))
		}
	}
}

// Of two failures the phone's lines are of the nearer one, whether or not a card knows it.
func TestAnUnknownFailureThatIsNearerHasThePhonesLines(t *testing.T) {
	const at = `***EST [WARNING][est_enroll_auth:394]--> HTTP authentication failed. Auth type=1
***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=22 (EST_ERR_AUTH_FAIL)
***EST [INFO][mg_send_http_error:389]--> [Error 401: Unauthorized The server was unable to authorize the request. ]
***EST [INFO][log_access:1298]--> 127.0.0.1 [27/Nov/2026:00:25:TIME +0000] "POST /.well-known/est/simpleenroll HTTP/1.1" 401 0
`
	const unheard = "2026/11/27 00:25:31 [warn] 1#0: *4 login_to_certsrv_ca: Curl call for MS CA login failed with return code 99 (Something new) while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:8084\n"
	nginx := strings.Replace(at, "TIME", "29", 1) + unheard + strings.Replace(at, "TIME", "31", 1)
	capf := "00:25:31.100 | debug 1:SEP001122334455:Calling enrollCertUsingEST() csr_file=/tmp/capf/csr/SEP001122334455.csr\n00:25:31.200 | debug 1:SEP001122334455:Enrollment rv = 22 (EST_ERR_AUTH_FAIL) with pkcs7 length = 0\n00:25:31.300 | debug 1:SEP001122334455:Online Cert Signing Failed\n"
	report := read(t, catalog(t), explaintest.Input("nginx", []byte(nginx)), explaintest.Input("capf", []byte(capf)))
	for _, f := range report.Findings {
		if (f.Name == "") != slices.Contains(f.Who, "SEP001122334455") {
			t.Errorf("%s", printed(t, report))
		}
	}
	if len(report.Findings) != 2 {
		t.Errorf("%s", printed(t, report))
	}
}

// What IIS refused is said, though no card knows it.
func TestThePageThatIISRefusedIsNamed(t *testing.T) {
	text := iisFields + `2026-11-27 00:25:29 192.0.2.1 POST /certsrv/certfnsh.asp - 443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 200 0 0 5` + "\n" +
		`2026-11-27 00:25:29 192.0.2.1 GET /certsrv/certnew.cer ReqID=2&ENC=b64 443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 404 0 2 0` + "\n"
	report := read(t, catalog(t), explaintest.Input("u_ex.log", []byte(text)))
	if len(report.Findings) != 1 || report.Findings[0].Headline != "IIS answered certnew.cer with 404" {
		t.Errorf("%s", printed(t, report))
	}
}

// A reset at the second log-in of an enrollment is curl's word, and no denial.
func TestWhereCurlHasFailedNobodyHasDenied(t *testing.T) {
	for code, card := range map[string]string{"56 (Recv failure: Connection reset by peer)": "login-reset", "52 (Empty reply from server)": "login-no-answer", "99 (Something new)": ""} {
		text := strings.Replace(unusableCSR, "***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=9 (EST_ERR_BAD_PKCS10)",
			"2026/11/27 00:25:33 [warn] 21663#0: *24 login_to_certsrv_ca: Curl call for MS CA login failed with return code "+code+" while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:21084\n"+
				"***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=25 (EST_ERR_CA_ENROLL_FAIL)", 1)
		report := read(t, catalog(t), explaintest.Input("nginx", []byte(text)))
		if len(report.Findings) != 1 || report.Findings[0].Name != card || len(report.Findings[0].Others) != 0 {
			t.Errorf("%s: %s", code, printed(t, report))
		}
	}
}

// What ends at once is no time-out.
func TestAReadThatFailsAtOnceIsNoTimeOut(t *testing.T) {
	capf := "00:25:31.100 | debug 1:SEP001122334455:Calling enrollCertUsingEST() csr_file=/tmp/capf/csr/SEP001122334455.csr\n00:25:31.109 | debug 1:SEP001122334455:Enrollment rv = 35 (EST_ERR_SSL_READ) with pkcs7 length = 0\n00:25:31.110 | debug 1:SEP001122334455:Online Cert Signing Failed\n"
	report := read(t, catalog(t), explaintest.Input("capf", []byte(capf)))
	if len(report.Findings) != 1 || report.Findings[0].Name != "est-reset" || slices.ContainsFunc(report.Findings[0].Others, func(o explain.Other) bool { return strings.HasPrefix(o.Name, "retry-") || o.Name == "timers-race" }) {
		t.Errorf("%s", printed(t, report))
	}
}

// A log-in of CES's own, with no client, is no start.
func TestALogInOfItsOwnIsNoStart(t *testing.T) {
	text := "2026/11/27 00:25:31 [info] 1#0: login_to_certsrv_ca: Secure connection to MS CertServ completed successfully using the following URL https://localhost/certsrv\n" +
		"***EST [INFO][est_enroll_auth:356]--> TLS: no peer certificate\n"
	if report := read(t, catalog(t), explaintest.Input("nginx", []byte(text))); report.Failed() {
		t.Errorf("%s", printed(t, report))
	}
}

// A question for the chain is nobody's certificate, and what the RA has mended is no damage.
func TestALostCertificateStandsBeforeAQuestionAndWhatNeedsNoMending(t *testing.T) {
	logs := recorded(t)
	question := `***EST [INFO][log_access:1298]--> 127.0.0.1 [27/Nov/2026:00:25:29 +0000] "GET /.well-known/est/nosuch/cacerts HTTP/1.1" 404 0` + "\n"
	race := logs["timers-race"]
	report := read(t, catalog(t), explaintest.Input("nginx", []byte(question+string(race["nginx"]))), explaintest.Input("capf", race["capf"]), explaintest.Input("iis", race["iis"]))
	if len(report.Findings) != 2 || report.Findings[0].Name != "timers-race" {
		t.Errorf("a question: %s", printed(t, report))
	}
	own := slices.Concat(logs["retry-is-recovered"]["ra"], logs["wrong-password"]["ra"])
	report = read(t, catalog(t), explaintest.Input("ra.log", own))
	if last := report.Findings[len(report.Findings)-1]; len(report.Findings) < 2 || last.Name != "retry-is-recovered" {
		t.Errorf("mended: %s", printed(t, report))
	}
}

func TestEachLineThatHasASecretIsNamed(t *testing.T) {
	text := "password=abc123X\nhello\npassword=abc123Y\npassword=abc123Z\n"
	report := read(t, catalog(t), explaintest.Input("a.txt", []byte(text)), explaintest.Input("b.txt", []byte(text)))
	out := printed(t, report)
	for _, line := range []string{"a.txt:1, 3, 4: a password\n", "b.txt:1, 3, 4: a password\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in %s", line, out)
		}
	}
	many := read(t, catalog(t), explaintest.Input("a.txt", []byte(strings.Repeat("password=abc123X\n", 100))))
	if len(many.Secrets) != 1 || many.Secrets[0].Count != 100 || len(many.Secrets[0].Lines) != 20 || !strings.Contains(printed(t, many), ", 20: a password, and in 80 lines more\n") {
		t.Errorf("%s", printed(t, many))
	}
}

func TestLinesOfIISThatCannotBeReadAreTold(t *testing.T) {
	const entry = "2019-01-16 14:05:02 14.48.31.152 GET /certsrv - 443 - 14.48.31.128 CiscoRA+1.0 - 401 1 2148074252 0"
	for name, c := range map[string]struct {
		line string
		note bool
	}{
		"all fields":                  {entry, false},
		"no s-ip":                     {strings.Replace(entry, " 14.48.31.152", "", 1), true},
		"no time-taken":               {strings.TrimSuffix(entry, " 0"), true},
		"no port, and before another": {strings.Replace(entry, " 443", "", 1) + "\n" + entry, true},
	} {
		t.Run(name, func(t *testing.T) {
			report := read(t, catalog(t), explaintest.Input("iis", []byte(c.line+"\n")))
			if note := slices.ContainsFunc(report.Notes, func(n string) bool { return strings.HasPrefix(n, "1 line looks like the IIS log's") }); note != c.note {
				t.Errorf("%q", report.Notes)
			}
		})
	}
}

// Who polls for a request comes under another id each time.
func TestAPendingRequestIsOneHoweverOftenItIsAskedFor(t *testing.T) {
	poll := func(enrollment string, reqID string) string {
		return `{"level":"info","ts":"2026-11-28T10:11:23.608209228Z","msg":"ca leg","enrollment":"` + enrollment + `","phase":"fetch","url":"https://dc/certsrv/certnew.cer?ReqID=` + reqID +
			`&ENC=b64","took":"1ms","status":200,"bytes":1116,"req_id":` + reqID + `,"kind":"pending","error":"CA fetch: pending at https://dc/certsrv/certnew.cer: Taken Under Submission"}` + "\n"
	}
	other := strings.Repeat(`{"level":"info","ts":"2026-11-28T10:11:23Z","msg":"logged in to the CA, chain read"}`+"\n", 400)
	report := read(t, catalog(t), explaintest.Input("ra.log", []byte(poll("04e930a05a7cbaab", "2")+poll("9121f26cffdd476a", "2")+other+poll("7c314ac25b15900d", "2"))))
	if len(report.Findings) != 1 || report.Findings[0].Count != 1 || !slices.Equal(report.Findings[0].Who, []string{"ReqID 2"}) {
		t.Error(printed(t, report))
	}
	report = read(t, catalog(t), explaintest.Input("ra.log", []byte(poll("04e930a05a7cbaab", "2")+poll("9121f26cffdd476a", "3"))))
	if len(report.Findings) != 1 || report.Findings[0].Count != 2 {
		t.Error(printed(t, report))
	}
}

func TestALinkInAFolderIsToldAndNotFollowed(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join("..", "elsewhere"), filepath.Join(dir, "link.log")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nginx.log"), recorded(t)["wrong-password"]["nginx"], 0o600); err != nil {
		t.Fatal(err)
	}
	inputs, err := explain.Files([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if out := printed(t, read(t, catalog(t), inputs...)); !strings.Contains(out, "link.log, nothing: a link, not read") {
		t.Error(out)
	}
}

// A good enrollment hides none that has failed.
func TestADenialBesideGoodEnrollmentsIsToldByTheIISLogAlone(t *testing.T) {
	at := time.Date(2019, 1, 16, 14, 5, 2, 0, time.UTC)
	enrollment := func(after time.Duration, id string) string {
		begin := at.Add(after).Format("2006-01-02 15:04:05") + " 10.0.0.1 "
		const tail = ` 443 MICHAMEN\ciscora 14.48.31.128 CiscoRA+1.0 `
		lines := begin + "GET /certsrv/certrqxt.asp -" + tail + "- 200 0 0 15\n" + begin + "POST /certsrv/certfnsh.asp -" + tail + "https://dc/certsrv/certrqxt.asp 200 0 0 15\n"
		if id != "" {
			lines += begin + "GET /certsrv/certnew.cer ReqID=" + id + "&ENC=b64" + tail + "- 200 0 0 15\n"
		}
		return lines
	}
	good := enrollment(0, "1")
	for name, c := range map[string]struct {
		log        string
		findings   int
		unfinished int
	}{
		"good ones alone":               {good + enrollment(20*time.Second, "2"), 0, 0},
		"between good ones":             {good + enrollment(20*time.Second, "") + enrollment(40*time.Second, "3"), 1, 0},
		"where others went on":          {good + enrollment(20*time.Second, "") + enrollment(25*time.Second, "3"), 1, 0},
		"where the log ends soon after": {good + enrollment(20*time.Second, "") + enrollment(21*time.Second, "3"), 0, 1},
		"at the log's end":              {good + enrollment(20*time.Second, ""), 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			report := read(t, catalog(t), explaintest.Input("iis", []byte(c.log)))
			if len(report.Findings) != c.findings || report.Unfinished != c.unfinished || (c.unfinished > 0) != (len(report.Notes) > 0) || report.Failed() != (c.findings > 0) {
				t.Error(printed(t, report))
			}
		})
	}
}

func TestALogInThatCESDidNotWaitForIsNoneOfManySlowRequests(t *testing.T) {
	const line = "2026-11-28 12:10:11 10.0.0.1 GET /certsrv - 443 LAB\\ciscora 10.0.0.2 CiscoRA+1.0 - 301 0 64 12000\n"
	report := read(t, catalog(t), explaintest.Input("iis", []byte(line)))
	if slices.ContainsFunc(report.Findings, func(f *explain.Finding) bool { return f.Name == "slow-in-all" }) {
		t.Error(printed(t, report))
	}
}

func TestCAPFsTenSecondsSayNotWhatCESHasWaitedFor(t *testing.T) {
	const trace = "10:36:30.831 | debug 1:SEPAABBCCDDEEFF:Calling enrollCertUsingEST() csr_file=/tmp/capf/csr/SEPAABBCCDDEEFF.csr\n" +
		"10:36:40.831 | debug 1:SEPAABBCCDDEEFF:Enrollment rv = 35 (EST_ERR_SSL_READ) with pkcs7 length = 0\n"
	out := printed(t, read(t, catalog(t), explaintest.Input("capf", []byte(trace))))
	for _, want := range []string{" or more: is it that", "f7-slow-login"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
}

// CAPF says the same of each failure between CES and the CA.
func TestCAPFsTraceAloneClaimsNoWholeList(t *testing.T) {
	const trace = "10:36:40.831 | debug 1:SEPAABBCCDDEEFF:Enrollment rv = 22 (EST_ERR_AUTH_FAIL) with pkcs7 length = 0\n"
	out := printed(t, read(t, catalog(t), explaintest.Input("capf", []byte(trace))))
	for _, want := range []string{" or more: is it that", "failed with return code`, and curl's words", "f1-unknown-root"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
}

func TestALogThatIsNoneOfCESIsTold(t *testing.T) {
	answer := func(status string) []byte {
		return []byte(`***EST [INFO][log_access:1298]--> 127.0.0.1 [28/Nov/2026:11:21:25 +0000] "POST /.well-known/est/simpleenroll HTTP/1.1" ` + status + " 0\n")
	}
	for status, told := range map[string]bool{"502": true, "400": false} {
		report := read(t, catalog(t), explaintest.Input("nginx", answer(status)))
		if note := slices.ContainsFunc(report.Notes, func(n string) bool { return strings.Contains(n, "profile modern") }); note != told {
			t.Errorf("%s: %q", status, report.Notes)
		}
	}
	own := explaintest.Input("ra.log", []byte(`{"level":"info","ts":"x","msg":"listening"}`+"\n"))
	if report := read(t, catalog(t), explaintest.Input("nginx", answer("502")), own); len(report.Notes) > 0 {
		t.Errorf("beside its own log: %q", report.Notes)
	}
}

// CES is led to its folder once it has logged in, and nowhere else.
func TestARedirectOfAPageIsNoStoppedPool(t *testing.T) {
	logs := recorded(t)["pool-stopped-at-template"]
	const line = "2000-01-01 00:00:00 127.0.0.1 GET /certsrv/certrqxt.asp - 443 LAB\\ciscora 127.0.0.1 CiscoRA+1.0 - 301 0 0 0\n"
	report := read(t, catalog(t), explaintest.Input("nginx", logs["nginx"]), explaintest.Input("capf", logs["capf"]), explaintest.Input("iis", slices.Concat(logs["iis"], []byte(line))))
	if len(report.Findings) != 1 || report.Findings[0].Title != "IIS answered certrqxt.asp with 301" {
		t.Error(printed(t, report))
	}
}

// At a site of which this product's own log alone was read there is no CES.
func TestTheRAsOwnLogGetsNoWordsOfCES(t *testing.T) {
	report := read(t, catalog(t), explaintest.Input("ra.log", recorded(t)["f1-missing-intermediate"]["ra"]))
	if f := report.Findings[0]; f.Name != "f1-missing-intermediate" || strings.Contains(f.Cause+f.Fix, "CAPF") || !strings.Contains(f.Fix, "ca.trust") {
		t.Error(printed(t, report))
	}
}
