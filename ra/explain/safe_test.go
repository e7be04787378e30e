package explain_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"ciscora/internal/peertest"
	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

func printed(t *testing.T, report *explain.Report) string {
	t.Helper()
	var out strings.Builder
	if err := report.Print(&out); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	return out.String() + string(data)
}

func TestSecretsAreToldAndNotShown(t *testing.T) {
	c := catalog(t)
	for _, test := range []struct{ what, line, secret string }{
		{"an Authorization header", "> Authorization: Basic Y2lzY29yYTpTM2NyZXQtd29yZA==", "Y2lzY29yYTpTM2NyZXQtd29yZA"},
		{"an Authorization header", "authorization failed: Authorization: NTLM TlRMTVNTUAADAAAAGAAYAEAAAAAYABgAWAAAABAAEABwAAAA", "AADAAAAGAAY"},
		{"an NTLM message", "error: got TlRMTVNTUAACAAAADAAMADgAAAAFgomi0011", "AAAADAAMADgAAAAFgomi0011"},
		{"a password", "[error] login with password=S3cret-word failed", "S3cret-word"},
		{"a private key", "[error] cannot load -----BEGIN RSA PRIVATE KEY-----MIIEpAIBAAKCAQEA", "MIIEpAIBAAKCAQEA"},
		{"", "[error] failed: curl https://ra:S3cret-word@ca.example.com/certsrv", "S3cret-word"},
	} {
		report := read(t, c, explaintest.Input("mail", []byte("[crit] disk failed\n"+test.line+"\n")))
		out := printed(t, report)
		if strings.Contains(out, test.secret) {
			t.Errorf("%s is shown: %s", test.line, out)
		}
		if test.what != "" && (len(report.Secrets) == 0 || report.Secrets[0].What != test.what || report.Secrets[0].Line != 2) {
			t.Errorf("%s: told as %+v", test.line, report.Secrets)
		}
	}
}

// Whatever the log, and whatever the form.
func TestEveryUsualFormOfASecretIsToldAndNotShown(t *testing.T) {
	c := catalog(t)
	for text, what := range map[string]string{
		"Curl call failed https://ciscora:S3cret-word@lab-dc/certsrv": "a password",
		"password=S3cret-word": "a password", "passwd: S3cret-word ,": "a password", "pwd=S3cret-word": "a password",
		`"password":"S3cret-word"`: "a password", `'secret' => 'S3cret-word'`: "a password", `PASSWORD = "Quoted S3cret-word"`: "a password",
		`curl -u LAB\ciscora:S3cret-word https://lab/certsrv`: "a password", "--pass S3cret-word": "a password", "tool --password=S3cret-word": "a password",
		"<password>S3cret-word</password>": "a password", "Passwort: S3cret-word": "a password", "mot de passe : S3cret-word": "a password",
		"GET /certsrv?user=x&pass=S3cret-word HTTP/1.1": "a password", "challengePassword: S3cret-word": "a password", "postgres://ra:S3cret-word@db/ra": "a password",
		"client_secret=S3cret-word": "a password", "LscAuthString: S3cret-word": "a password",
		"authorization string 1234567890":     "an authentication string",
		"Cookie: ASPSESSIONIDABC=S3cret-word": "a cookie", "Set-Cookie: a=S3cret-word": "a cookie",
		"GET /x?user=x&token=S3cret-word HTTP/1.1": "a token or key", "api_key=S3cret-word": "a token or key", "access_token=S3cret-word": "a token or key",
		"X-Api-Key: S3cret-word": "a token or key", "X-Vendor-Token: S3cret-word": "a token or key",
		`Digest username="x", response="0123456789abcdef0123456789abcdef"`: "a digest",
		"authorization: bearer eyJ.S3cret-word.sig":                        "an Authorization header",
	} {
		for _, line := range []string{"2019/03/05 12:31:21 [error] 31067#0: *5 error " + text + " failed", text} {
			report := read(t, c, explaintest.Input("nginx-error.log", []byte("[crit] disk failed\n"+line+"\n")))
			for _, secret := range []string{"S3cret-word", "1234567890", "0123456789abcdef"} {
				if out := printed(t, report); strings.Contains(out, secret) {
					t.Errorf("%s is shown: %s", line, out)
				}
			}
			if len(report.Secrets) != 1 || report.Secrets[0].What != what || report.Secrets[0].Line != 2 {
				t.Errorf("%s: told as %+v, want %s", line, report.Secrets, what)
			}
		}
	}
}

// What healthy systems write, and what failures say of passwords, is no secret.
func TestWhatOnlySpeaksOfSecretsIsNotToldAsOne(t *testing.T) {
	for _, line := range []string{
		"Password:", "the password is wrong", "***EST [INFO][est_enroll_auth:404]--> HTTP auth headers missing, sending HTTP auth request to client.",
		"login_to_certsrv_ca: Secure connection to MS CertServ completed successfully using the following URL https://ca.example.com:443/certsrv",
		"2026-03-05 12:31:21 10.0.0.2 GET /certsrv - 443 - 10.0.0.7 CiscoRA+1.0 - 401 1 2148074252 0", "ra enroll --user 'LAB\\ciscora' --password-file pw",
		"www-authenticate: Negotiate", "key: value",
	} {
		if report := read(t, catalog(t), explaintest.Input("mail", []byte("[crit] disk failed\n"+line+"\n"))); len(report.Secrets) != 0 {
			t.Errorf("%s: told as %+v", line, report.Secrets)
		}
	}
}

// A key in PEM has its words in one line and the secret in the next ones.
func TestAPrivateKeyIsNotShownLineByLine(t *testing.T) {
	body := strings.Repeat("MIIEpAIBAAKCAQEA7errorfailX", 3)[:64]
	text := "2026/03/05 12:31:21 [crit] 1#0: cannot load the key\n-----BEGIN PRIVATE KEY-----\n" + body + "\n" + body + "\n-----END PRIVATE KEY-----\n"
	report := read(t, catalog(t), explaintest.Input("mail", []byte(text)))
	if out := printed(t, report); strings.Contains(out, body[:20]) {
		t.Error(out)
	}
	if len(report.Secrets) != 1 || report.Secrets[0].What != "a private key" {
		t.Errorf("%+v", report.Secrets)
	}
}

// Each line may have a head; base64 may be folded anywhere; the last line is short.
func TestAPrivateKeyIsNotShownWhateverItsLinesLookLike(t *testing.T) {
	for name, head := range map[string]string{
		"syslog": "Mar  5 12:31:21 host ra[1]: error ", "NGINX": "2026/03/05 12:31:21 [error] 1#0: error ", "none": "", "docker": `{"log":"error `,
	} {
		t.Run(name, func(t *testing.T) {
			text := "2026/03/05 12:31:21 [crit] 1#0: disk failed\n"
			for _, l := range []string{"-----BEGIN EC PRIVATE KEY-----", "MHcCAQEEIerror0failq+/Xk", "AwEHoUQDQgerrorZZ", "failQ8x=", "-----END EC PRIVATE KEY-----", "error: the end after ABCDEFGHIJKLMNOPQRSTUVWXYZ"} {
				text += head + l + "\n"
			}
			report := read(t, catalog(t), explaintest.Input("log", []byte(text)))
			out := printed(t, report)
			for _, part := range []string{"MHcCAQ", "AwEHo", "failQ8x"} {
				if strings.Contains(out, part) {
					t.Errorf("%s is shown: %s", part, out)
				}
			}
			if !strings.Contains(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
				t.Errorf("what stands behind the key is hidden: %s", out)
			}
		})
	}
}

// A guesser of passwords leaves gigabytes: how many of the lines have one is not found
// out for each, but what is shown is looked at.
func TestInAFloodOfLinesThatSpeakOfPasswordsNoneIsShown(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "2026/03/05 12:31:21 [error] 1#0: *%d wrong password for account u%d\n", i, i)
	}
	text.WriteString("2026/03/05 12:31:22 [error] 1#0: another error: the password is hunter\n2026/03/05 12:31:22 [error] 1#0: and a password:\nERROR-hunter\n")
	report := read(t, catalog(t), explaintest.Input("nginx-error.log", []byte(text.String())))
	out := printed(t, report)
	if strings.Contains(out, "hunter") || !strings.Contains(out, "another error") {
		t.Error(out)
	}
	if report.NotSought == 0 || !strings.Contains(out, "too many to look for one in each") {
		t.Errorf("it does not say that not all were looked at: %s", out)
	}
}

// Ctrl-C ends it after a bounded number of bytes, whatever stands in the lines.
func TestAReadingEndsSoonAfterItIsCancelled(t *testing.T) {
	c := catalog(t)
	for name, chunk := range map[string]string{
		"short lines": "password:\n", "long lines": "2026/03/05 12:31:21 [error] 1#0: error " + strings.Repeat("password ", 2000) + "\n", "one line": "password ",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			in := &cancelling{endless: endless{chunk: []byte(chunk), left: 64 << 20}, from: 1 << 20, cancel: cancel}
			_, err := explain.Explain(ctx, c, []explain.Input{{Name: explain.Stdin, Open: func() (io.ReadCloser, error) { return io.NopCloser(in), nil }}}, explain.Options{})
			if !errors.Is(err, context.Canceled) || in.after > 1<<20 {
				t.Errorf("it read %d bytes after it was cancelled: %v", in.after, err)
			}
		})
	}
}

// cancelling cancels when so much of it has been read.
type cancelling struct {
	endless

	from, given, after int64
	cancel             func()
}

func (c *cancelling) Read(p []byte) (int, error) {
	n, err := c.endless.Read(p)
	if c.given += int64(n); c.given > c.from {
		c.cancel()
		c.after += int64(n)
	}
	return n, err
}

func TestWhatComesInDoesNotSteerTheTerminal(t *testing.T) {
	text := "2026/03/05 12:31:21 [crit] 1#0: \x1b[2J\x1b]0;owned\x07 failed \u202e\u009b31m\x00 end\nnginx: [error] \x1b[31mred failed\n"
	report := read(t, catalog(t), explain.Input{Name: "a\x1b[2Jb", Open: explaintest.Input("", []byte(text)).Open})
	var out strings.Builder
	if err := report.Print(&out); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }); i >= 0 {
		t.Errorf("%q", out.String()[i:])
	}
	if len(report.NotUnderstood) != 2 {
		t.Errorf("%+v", report.NotUnderstood)
	}
}

// endless gives the same bytes again and again.
type endless struct {
	chunk []byte
	left  int64
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p, e.chunk[e.at:])
	e.at = (e.at + n) % len(e.chunk)
	e.left -= int64(n)
	return n, nil
}

// Lines without an end, NULs, and shapes that are all different are read in memory
// that does not grow with them.
func TestMemoryIsBoundedWhateverComesIn(t *testing.T) {
	c := catalog(t)
	const size = 16 << 20
	numbers := make([]byte, 0, 1<<20)
	for i := 0; len(numbers) < 1<<20; i++ {
		numbers = fmt.Appendf(numbers, "2026/03/05 12:31:21 [error] 1#0: *%d failed %c%c%c at %x\n", i, 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26, i*7919)
	}
	for name, chunk := range map[string][]byte{
		"one line":          bytes.Repeat([]byte("x failed "), 1000),
		"NULs":              make([]byte, 4096),
		"half records":      []byte("2026/03/05 12:31:21 [warn] 1#0: *5 "),
		"different lines":   numbers,
		"markup":            []byte("&amp;<br>&lt;<p id=x "),
		"CAPF, never ended": []byte("12:31:21.000 | debug 1:SEP001122334455:CA Mode is OnlineCA, Initiating Automatic Certificate Enrollment "),
	} {
		t.Run(name, func(t *testing.T) {
			in := explain.Input{Name: name, Open: func() (io.ReadCloser, error) {
				return io.NopCloser(&endless{chunk: chunk, left: size}), nil
			}}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			report := read(t, c, in)
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
				t.Errorf("%d MB are kept", grown>>20)
			}
			if out := printed(t, report); len(out) > 256<<10 {
				t.Errorf("the report has %d bytes", len(out))
			}
			runtime.KeepAlive(report)
		})
	}
}

func TestABombIsNotUnpackedToItsEnd(t *testing.T) {
	peertest.Unraced(t)
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, &endless{chunk: make([]byte, 1<<20), left: 256 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	report := read(t, catalog(t), explaintest.Input("bomb.gz", packed.Bytes()))
	if f := report.Files[0]; f.Bytes > 128<<20 || !strings.Contains(f.Error, "unpacks to more than a log would") {
		t.Errorf("%d bytes were read: %q", f.Bytes, f.Error)
	}
}

// Each reader sees whatever may come in its log, behind a line that it knows.
func fuzz(f *testing.F, seeds ...string) {
	c := catalog(f)
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		report, err := explain.Explain(t.Context(), c, []explain.Input{explaintest.Input("fuzz", data)}, explain.Options{})
		if err != nil {
			t.Fatal(err)
		}
		out := printed(t, report)
		if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }); i >= 0 {
			t.Errorf("%q", out[i:])
		}
	})
}

func FuzzNGINX(f *testing.F) {
	fuzz(f, string(recorded(f)["f6-template-typo"]["nginx"]), string(recorded(f)["f4-unknown-host"]["ciscora"]))
}

func FuzzCAPF(f *testing.F) { fuzz(f, string(recorded(f)["f9-capf-timeout"]["capf"])) }

func FuzzIIS(f *testing.F) {
	fuzz(f, string(recorded(f)["wrong-password"]["iis"]), "#Fields: sc-status cs-uri-stem\n401 /certsrv\n")
}

func FuzzPlain(f *testing.F) {
	fuzz(f, "902: NOT 10:19:27.155936 VPNC: hostIDCheck failed!!\n%ASA-7-725014: SSL lib error.\n", "&lt;br&gt;<p>\x1b[31m{\"level\":\"error\"}\n", "\xff\xfea\x00b\x00\n\x00", "\x1f\x8b", "error is the password for x is:\nS3cret error, 密码是 “a” كلمة المرور هي b1b2\n")
}
