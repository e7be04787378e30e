package est_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ciscora/est"
)

// expected is an answer in one dialect. A header of "" must not be there.
type expected struct {
	status  int
	body    string // libest: all of it; rfc8951: a part of its one line
	headers map[string]string
}

func TestAnswersToRequestsThatAreRefused(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	good := lines(csr)
	long := strings.Repeat("x", 129)

	const (
		corrupted  = "Error 400: Bad Request\nInvalid or corrupted pkcs10 request.\n"
		notFound   = "Error 404: Not Found\nThe path specified is not recognized.\n"
		badRequest = "Error 400: Bad Request\n"
		method     = "Error 400: Bad Request\nInvalid HTTP method used.  Either GET or POST required depending on the request type.\n"
	)
	basicChallenge := map[string]string{"WWW-Authenticate": `Basic realm="estrealm"`, "Connection": ""}
	noChallenge := map[string]string{"WWW-Authenticate": "", "Connection": "close"}
	closing := map[string]string{"Connection": "close", "Content-Type": "", "Date": "", "Content-Length": "*"}

	for _, c := range []struct {
		name    string
		request string
		rfc     expected // RFC 7030 §4.2.3, RFC 8951, RFC 9110
		libest  expected // docs/reference/libest.md, "Answers, errors"
	}{
		{
			"a request without credentials is challenged", post(enrollPath, good),
			expected{401, "password", map[string]string{"WWW-Authenticate": `Basic realm="estrealm"`, "Content-Type": "text/plain; charset=utf-8"}},
			expected{401, "", basicChallenge},
		},
		{
			"a wrong password is challenged again by the RFC and not by libest", post(enrollPath, good, "Authorization: Basic ZXN0dXNlcjp3cm9uZw==\r\n"),
			expected{401, "password", map[string]string{"WWW-Authenticate": `Basic realm="estrealm"`}},
			expected{401, "Error 401: Unauthorized\nthe user or the password is wrong\n", noChallenge},
		},
		{
			"another scheme is no credentials", post(enrollPath, good, "Authorization: Bearer abc\r\n"),
			expected{401, "password", map[string]string{"WWW-Authenticate": `Basic realm="estrealm"`}},
			expected{401, "Error 401: Unauthorized\nthe user or the password is wrong\n", noChallenge},
		},
		{
			"Basic that is not base64 is no credentials", post(enrollPath, good, "Authorization: Basic %%%\r\n"),
			expected{401, "password", nil},
			expected{401, "Error 401: Unauthorized\nthe user or the password is wrong\n", noChallenge},
		},
		{
			"Basic without a colon is no credentials", post(enrollPath, good, "Authorization: Basic ZXN0dXNlcg==\r\n"),
			expected{401, "password", nil},
			expected{401, "Error 401: Unauthorized\nthe user or the password is wrong\n", noChallenge},
		},
		{
			"GET on an enrollment is the wrong method", get(enrollPath),
			expected{405, "use POST", map[string]string{"Allow": "POST"}},
			expected{400, method, map[string]string{"Allow": "", "Connection": "close"}},
		},
		{
			"POST on cacerts is the wrong method", post(cacertsPath, good),
			expected{405, "use GET, HEAD", map[string]string{"Allow": "GET, HEAD"}},
			expected{400, method, map[string]string{"Allow": ""}},
		},
		{
			"PUT is the wrong method", strings.Replace(post(enrollPath, good), "POST", "PUT", 1),
			expected{405, "use POST", map[string]string{"Allow": "POST"}},
			expected{400, method, map[string]string{"Allow": ""}},
		},
		{
			"a method that nobody knows is the wrong method", strings.Replace(get(cacertsPath), "GET", "BREW", 1),
			expected{405, "use GET, HEAD", map[string]string{"Allow": "GET, HEAD"}},
			expected{400, method, map[string]string{"Allow": ""}},
		},
		{
			"a foreign type is refused before credentials are asked for", strings.Replace(post(enrollPath, good), "application/pkcs10", "text/plain", 1),
			expected{415, "application/pkcs10", map[string]string{"WWW-Authenticate": ""}},
			expected{400, corrupted, closing}, // 2.1.0: every enroll failure but 401
		},
		{
			"a missing type is a foreign one", strings.Replace(post(enrollPath, good), "Content-Type: application/pkcs10\r\n", "", 1),
			expected{415, "application/pkcs10", nil},
			expected{400, corrupted, nil},
		},
		{
			"missing credentials are asked for before a bad CSR is looked at", post(enrollPath, "garbage"),
			expected{401, "password", nil},
			expected{401, "", basicChallenge},
		},
		{
			"an unknown operation", get("/.well-known/est/enroll"),
			expected{404, "/simpleenroll", nil},
			expected{400, badRequest, closing},
		},
		{
			"fullcmc is not served", post("/.well-known/est/fullcmc", good),
			expected{501, "full CMC is not implemented", nil},
			expected{400, badRequest, nil},
		},
		{
			"two segments before an operation", get("/.well-known/est/a/b/cacerts"),
			expected{404, "/cacerts", nil},
			expected{400, badRequest, nil},
		},
		{
			"the root", get("/"),
			expected{404, "/cacerts", nil},
			expected{400, badRequest, nil},
		},
		{
			"another path", get("/certsrv/"),
			expected{404, "/.well-known/est", nil},
			expected{404, notFound, nil},
		},
		{
			"a trailing slash", get(cacertsPath + "/"),
			expected{404, "/cacerts", nil},
			expected{404, notFound, nil},
		},
		{
			"a segment over 128 bytes", get("/.well-known/est/" + long),
			expected{404, "/cacerts", nil},
			expected{404, notFound, nil},
		},
		{
			"a label over 128 bytes", get("/.well-known/est/" + long + "/cacerts"),
			expected{404, "no such label", nil},
			expected{404, notFound, nil},
		},
		{
			"an unknown label", get("/.well-known/est/nosuch/cacerts"),
			expected{404, "no such label", nil},
			expected{404, notFound, nil},
		},
		{
			"an operation's name is no label", post("/.well-known/est/cacerts/simpleenroll", good, credentials),
			expected{404, "no such label", nil},
			expected{400, badRequest, nil},
		},
		{
			"an operation that is not served is no label either", get("/.well-known/est/serverkeygen/cacerts"),
			expected{404, "no such label", nil},
			expected{400, badRequest, nil},
		},
		{
			"a POST without a body's length", "POST " + enrollPath + " HTTP/1.1\r\nHost: ra\r\nContent-Type: application/pkcs10\r\n\r\n",
			expected{411, "Content-Length", nil},
			expected{400, "Error 400: Bad Request\nContent-Length is negative", nil}, // no final LF
		},
		{
			"an empty body", post(enrollPath, "", credentials),
			expected{400, "the body is empty", nil},
			expected{400, corrupted, nil},
		},
		{
			"a body that is not base64", post(enrollPath, "What is this?", credentials),
			expected{400, "not base64", nil},
			expected{400, corrupted, nil},
		},
		{
			"base64 of something else", post(enrollPath, "aGVsbG8gd29ybGQ=", credentials),
			expected{400, "no PKCS #10 request", nil},
			expected{400, corrupted, nil},
		},
		{
			"a body in DER", post(enrollPath, string(csr), credentials),
			expected{400, "binary DER", nil},
			expected{400, corrupted, nil},
		},
		{
			"a truncated CSR", post(enrollPath, lines(csr[:len(csr)-9]), credentials),
			expected{400, "cut off", nil},
			expected{400, corrupted, nil},
		},
		{
			"a CSR with junk after it", post(enrollPath, lines(append(slices.Clone(csr), "junk"...)), credentials),
			expected{400, "4 bytes follow", nil},
			expected{400, corrupted, nil},
		},
		{
			"a CSR with a broken signature", post(enrollPath, lines(broken(csr)), credentials),
			expected{400, "signature is wrong", nil},
			expected{400, corrupted, nil},
		},
		{
			"a body of 1 MiB", post(enrollPath, strings.Repeat("A", 1<<20), credentials),
			expected{413, "over the limit of 65536 bytes", map[string]string{"Connection": "close"}},
			expected{413, "Error 413: Content-Length too large\n", closing},
		},
		{
			"a chunked body over the limit", chunked(strings.Repeat("A", 1<<17)),
			expected{413, "over the limit of 65536 bytes", map[string]string{"Connection": "close"}},
			expected{413, "Error 413: Content-Length too large\n", nil},
		},
		{
			"a body over the limit on another path", post("/", strings.Repeat("A", 1<<17)),
			expected{413, "over the limit", nil},
			expected{413, "Error 413: Content-Length too large\n", nil},
		},
	} {
		for _, d := range bothDialects {
			t.Run(fmt.Sprintf("%s in %v", c.name, d), func(t *testing.T) {
				t.Parallel()
				on := listen(t, newServer(t, dialect(d), func(o *est.Options) {
					o.Label = func(label string) bool { return label == "wifi" }
				}))
				got := on.ask(t, c.request)
				want := c.rfc
				if d == est.DialectLibest {
					want = c.libest
					if got.body != want.body {
						t.Errorf("body %q, want %q", got.body, want.body)
					}
					if len(got.field("Date"))+len(got.field("Server"))+len(got.field("Content-Type")) > 0 {
						t.Errorf("libest sends neither Date, Server nor Content-Type with an error: %q", got.header)
					}
				} else {
					if !strings.Contains(got.body, want.body) || strings.Count(got.body, "\n") != 1 || strings.ContainsAny(got.body, "<>") {
						t.Errorf("body %q, want one line of text with %q", got.body, want.body)
					}
					if typ := got.get("Content-Type"); typ != "text/plain; charset=utf-8" {
						t.Errorf("Content-Type %q", typ)
					}
				}
				if got.status() != want.status {
					t.Errorf("%q, want %d", got.line, want.status)
				}
				checkHeaders(t, got, want.headers)
				checkLength(t, got)
			})
		}
	}
}

func checkHeaders(t *testing.T, got wire, want map[string]string) {
	t.Helper()
	for name, value := range want {
		switch have := got.field(name); {
		case value == "" && len(have) > 0:
			t.Errorf("%s: %q, want none", name, have)
		case value == "*" && len(have) != 1:
			t.Errorf("%s: %q, want one", name, have)
		case value != "" && value != "*" && (len(have) != 1 || have[0] != value):
			t.Errorf("%s: %q, want %q, in %q", name, have, value, got.header)
		}
	}
}

// checkLength wants Content-Length and no chunks (docs/reference/libest.md L2).
func checkLength(t *testing.T, got wire) {
	t.Helper()
	if got.get("Content-Length") != fmt.Sprint(len(got.body)) || len(got.field("Transfer-Encoding")) > 0 {
		t.Errorf("want one Content-Length of %d and no Transfer-Encoding in %q", len(got.body), got.header)
	}
}

func broken(csr []byte) []byte {
	out := slices.Clone(csr)
	out[len(out)-5] ^= 0x55 // within the signature
	return out
}

func chunked(body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: ra\r\nContent-Type: application/pkcs10\r\nTransfer-Encoding: chunked\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n",
		enrollPath, credentials, len(body), body)
}

func TestErrorsOfTheCA(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	request := post(enrollPath, lines(csr), credentials)
	for _, c := range []struct {
		name        string
		err         error
		rfc, libest expected
	}{
		{
			"one that globalsign's interface knows nothing of is a 500 that tells nothing", errSecret,
			expected{500, "internal error", nil},
			expected{500, "Error 500: Internal Server Error\nAn unknown error has occured.\n", nil},
		},
		{
			"the least that the interface asks for is enough",
			errPlain{403},
			expected{403, "the user or the password is wrong", nil},
			expected{403, "Error 403: Forbidden\nthe user or the password is wrong\n", nil},
		},
		{
			"a wrapped one counts, and its wrapping is not shown", fmt.Errorf("hunter2: %w", &est.Error{Status: 502, Text: "no CA"}),
			expected{502, "no CA", nil},
			expected{502, "Error 502: Bad Gateway\nno CA\n", map[string]string{"Connection": "close"}},
		},
		{ // RFC 7030 §4.2.3, docs/reference/libest.md L9
			"pending is a 202 that says when to come back", &est.Error{Status: 202, Text: "a manager has to approve", Retry: 7 * time.Second},
			expected{202, "a manager has to approve", map[string]string{"Retry-After": "7"}},
			expected{202, "", map[string]string{"Retry-After": "7", "Status": "202 Accepted", "Connection": "close"}},
		},
		{
			"a 202 that says nothing gets libest's 3600 seconds", &est.Error{Status: 202, Text: "wait"},
			expected{202, "wait", map[string]string{"Retry-After": "3600"}},
			expected{202, "", map[string]string{"Retry-After": "3600"}},
		},
		{
			"seconds are rounded up, and digits", &est.Error{Status: 503, Text: "CA down", Retry: 1500 * time.Millisecond},
			expected{503, "CA down", map[string]string{"Retry-After": "2"}},
			expected{503, "Error 503: Service Unavailable\nCA down\n", map[string]string{"Retry-After": "2"}},
		},
		{
			"libest's own reason for a 504", &est.Error{Status: 504, Text: "There was an issue connecting to the upstream server."},
			expected{504, "There was an issue connecting to the upstream server.", nil},
			expected{504, "Error 504: Gateway Time-out\nThere was an issue connecting to the upstream server.\n", nil},
		},
		{
			"a 401 with a challenge", &est.Error{Status: 401, Text: "refused by the CA", Challenged: true},
			expected{401, "refused by the CA", map[string]string{"WWW-Authenticate": `Basic realm="estrealm"`}},
			expected{401, "", map[string]string{"WWW-Authenticate": `Basic realm="estrealm"`, "Connection": ""}},
		},
		{ // docs/reference/libest.md: length 72 in all
			"a 401 without a challenge", &est.Error{Status: 401, Text: "The server was unable to authorize the request."},
			expected{401, "The server was unable", map[string]string{"WWW-Authenticate": ""}},
			expected{401, "Error 401: Unauthorized\nThe server was unable to authorize the request.\n", map[string]string{"WWW-Authenticate": "", "Content-Length": "72"}},
		},
		{
			"a text of several lines becomes one", &est.Error{Status: 400, Text: "denied\r\n\tby policy\n"},
			expected{400, "denied by policy", nil},
			expected{400, "Error 400: Bad Request\ndenied by policy\n", nil},
		},
		{
			"a status that is no failure is an internal error", &est.Error{Status: 200, Text: "fine"},
			expected{500, "internal error", nil},
			expected{500, "Error 500: Internal Server Error\nAn unknown error has occured.\n", nil},
		},
	} {
		for _, d := range bothDialects {
			t.Run(fmt.Sprintf("%s in %v", c.name, d), func(t *testing.T) {
				t.Parallel()
				on := listen(t, newServer(t, dialect(d), func(o *est.Options) { o.CA = failing(c.err) }))
				got := on.ask(t, request)
				want := c.rfc
				if d == est.DialectLibest {
					want = c.libest
					if got.body != want.body {
						t.Errorf("body %q, want %q", got.body, want.body)
					}
				} else if !strings.Contains(got.body, want.body) || strings.Count(got.body, "\n") != 1 {
					t.Errorf("body %q, want one line with %q", got.body, want.body)
				}
				if got.status() != want.status {
					t.Errorf("%q, want %d", got.line, want.status)
				}
				if strings.Contains(strings.Join(got.header, "")+got.body, "hunter2") {
					t.Errorf("the answer gives away the cause: %q %q", got.header, got.body)
				}
				checkHeaders(t, got, want.headers)
				checkLength(t, got)
			})
		}
	}
}

func TestUnreadableCredentialsAreNeverChallengedByLibest(t *testing.T) {
	// Whatever the Authenticator wishes: docs/reference/libest.md, "wrong scheme; bad base64; no colon".
	csr, _ := phone(t, "SEP001122334455")
	for header, challenged := range map[string]bool{
		"":                                  true,
		"Authorization: Bearer abc\r\n":     false,
		"Authorization: Basic %%%\r\n":      false,
		"Authorization: Basic ZXN0\r\n":     false, // no colon
		"Authorization: Basic YTpiYQ==\r\n": true,
	} {
		on := listen(t, newServer(t, dialect(est.DialectLibest), func(o *est.Options) {
			o.Authenticator = est.AuthenticatorFunc(denyWithChallenge)
		}))
		got := on.ask(t, post(enrollPath, lines(csr), header))
		if got.status() != http.StatusUnauthorized || (got.get("WWW-Authenticate") != "") != challenged {
			t.Errorf("%q: %q %q, want a challenge: %v", header, got.line, got.header, challenged)
		}
	}
}

func TestAPathWithoutAnOperationEndsTheConnectionInLibest(t *testing.T) {
	for _, path := range []string{"/.well-known", "/.well-known/est"} {
		events := newRecorder()
		on := listen(t, newServer(t, dialect(est.DialectLibest), func(o *est.Options) { o.Events = events.record }))
		if got, err := on.exchange(t, get(path)); err == nil {
			t.Errorf("%s: answered with %q", path, got.line)
		}
		<-events.ended
		if a := of[est.Answered](events); len(a) != 1 || a[0].Status != 0 {
			t.Errorf("%s: reported as %+v", path, a)
		}
		if got := on.ask(t, get(cacertsPath)); got.status() != http.StatusOK {
			t.Errorf("the server did not survive %s: %q", path, got.line)
		}
	}
}
