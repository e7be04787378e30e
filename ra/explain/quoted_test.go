package explain_test

import (
	"encoding/json"
	"strings"
	"testing"

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

// slowLogin is a record that alone makes f7-slow-login certain, of one that is running.
const slowLogin = "2019/03/05 12:31:21 [warn] 31067#0: " + loginFailed

const loginFailed = "login_to_certsrv_ca: Curl call for MS CA login failed with return code 28 (Operation timed out after 10000 milliseconds with 0 bytes received)"

// Whoever reaches the port chooses the bytes of his request.
func TestWhatAClientSendsNeverMakesAVerdictCertain(t *testing.T) {
	c := catalog(t)
	const refused = "2019/03/05 12:31:20 [error] 31067#0: *1 client sent invalid request while reading client request line, client: 192.0.2.1, server: , request: "
	start := "nginx: [warn] " + loginFailed
	inJSON := func(s string) string {
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for name, line := range map[string]string{
		"a User-Agent in libest's log of header fields":         `***EST [INFO][log_header:1278]--> "` + slowLogin + `"`,
		"a header field that has no quotation marks":            "***EST [INFO][log_header:1278]--> " + slowLogin,
		"a header field behind syslog's prefix":                 "Mar  5 12:31:21 cucm1 nginx[1]: ***EST [INFO][log_header:1278]--> " + slowLogin,
		"a request line":                                        refused + `"GET /` + slowLogin + ` HTTP/1.1"`,
		"a request line with the start of CES":                  refused + `"GET / ` + start + ` HTTP/1.1"`,
		"a request line whose quotation mark the client closes": refused + `"GET /" ` + slowLogin + ` "`,
		"a request line behind syslog's prefix":                 "Mar  5 12:31:21 cucm1 nginx[1]: " + refused + `"GET / ` + slowLogin + ` HTTP/1.1"`,
		"a path in libest's access line":                        `***EST [INFO][log_access:1298]--> 192.0.2.1 [26/Nov/2026:23:04:21 +0000] "GET /x HTTP/1.1" 200 0 ` + slowLogin + ` HTTP/1.1" 404 0`,
		"a User-Agent in an access log":                         `192.0.2.1 - - [05/Mar/2019:12:31:21 +0000] "GET / HTTP/1.1" 404 0 "-" "` + slowLogin + `"`,
		"a phone's words in an access log":                      `192.0.2.1 - - [05/Mar/2019:12:31:21 +0000] "GET / HTTP/1.1" 404 0 "-" "hostIDCheck failed!!"`,
		"an agent in an access log in JSON":                     `{"remote":"192.0.2.1","agent":"` + slowLogin + `"}`,
		"a path in this product's log":                          `{"level":"info","msg":"answered","path":` + inJSON("/.well-known/est/0x80094014 the body is no PKCS #10 request") + `,"status":404}`,
		"quotation marks in this product's log":                 `{"level":"info","msg":"answered","path":` + inJSON(`/.well-known/est/","kind":"tls-untrusted","reason":"the body is no PKCS #10 request`) + `,"status":404}`,
		"a curl's failure in a request":                         refused + `"GET /login_to_certsrv_ca: Curl call for MS CA login failed with return code 28 (x)"`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, f := range read(t, c, explaintest.Input("log", []byte(line+"\n"))).Findings {
				if f.Sure == explain.Certain {
					t.Errorf("%s is called certain", f.Name)
				}
			}
		})
	}
}

func TestWhatIsSurelyNoRecordIsNotTakenForOne(t *testing.T) {
	c := catalog(t)
	for name, line := range map[string]string{
		"a header field":          `***EST [INFO][log_header:1278]--> "` + slowLogin + `"`,
		"within a quoted request": `2019/03/05 12:31:20 [error] 31067#0: *1 client sent invalid request, request: "GET /` + slowLogin + ` HTTP/1.1"`,
	} {
		t.Run(name, func(t *testing.T) {
			if report := read(t, c, explaintest.Input("log", []byte(line+"\n"))); len(report.Findings) != 0 {
				t.Errorf("%s", printed(t, report))
			}
		})
	}
}

// Who writes of a line may say that it is not there.
func TestALineWithinASentenceIsLikelyAtBest(t *testing.T) {
	c := catalog(t)
	for sentence, want := range map[string]explain.Sure{
		"%": explain.Certain, "> %": explain.Certain, "nginx-error.log:12:%": explain.Certain, "nginx-1  | %": explain.Certain,
		"Mar  5 12:31:21 cucm1-pub nginx[31067]: %": explain.Certain, "<13>1 2019-03-05T12:31:21Z cucm1 nginx 31067 - - %": explain.Certain,
		`{"log":"%\n","stream":"stderr"}`: explain.Certain, `{"host":"cucm1","message":"%"}`: explain.Certain,
		`we do NOT see "%" anywhere`: explain.Likely, "we do NOT see\n\"%\"\nanywhere": explain.Likely,
		"there is no %": explain.Likely, "an article says `%`, which we have not": explain.Likely, "wir sehen nirgends „%“": explain.Likely,
	} {
		t.Run(sentence, func(t *testing.T) {
			report := read(t, c, explaintest.Input("mail", []byte(strings.ReplaceAll(sentence, "%", slowLogin)+"\n")))
			if len(report.Findings) != 1 || report.Findings[0].Name != "f7-slow-login" || report.Findings[0].Sure != want {
				t.Errorf("%s", printed(t, report))
			}
			if want == explain.Likely && !strings.Contains(report.Findings[0].Why, "a sentence") {
				t.Error(report.Findings[0].Why)
			}
		})
	}
}
