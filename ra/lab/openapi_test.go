package lab_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"

	"ciscora/ra/lab"
)

// A lab describes what it answers: its description, as it is served, is held against
// what it really says, with an enrollment, a fault, a lock-out and a waiting request.
func TestALabAnswersAsItsDescriptionSays(t *testing.T) {
	l := lab.NewTest(t, func(o *lab.Options) { o.Lockout = 1 })
	x := newTester(t, l, "", "device-")
	if got := x.enroll(t.Context(), "device-1", l.Password); got != 200 {
		t.Fatal(got)
	}
	if got := newTester(t, l, "supervised", "").enroll(t.Context(), "device-2", l.Password); got != 202 {
		t.Fatal(got)
	}
	x.enroll(t.Context(), "device-3", "wrong")
	seen, err := l.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	ask := func(method, target, body string) (*http.Request, *http.Response, []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, l.AdminURL+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := x.clients.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r, resp, text
	}
	_, _, text := ask(http.MethodGet, "/openapi.json", "")
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	no := false
	for _, schema := range doc.Components.Schemas {
		schema.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{"GET /events": true} // which does not end; ra/admin tests it
	for _, c := range []struct {
		method, target, body string
		status               int
	}{
		{"GET", "/openapi.json", "", 200},
		{"GET", "/healthz", "", 200},
		{"GET", "/readyz?verbose", "", 200},
		{"GET", "/servingz", "", 200},
		{"GET", "/roots", "", 200},
		{"GET", "/info", "", 200},
		{"GET", "/enrollments?limit=1", "", 200},
		{"GET", "/enrollments?after=0&wait=1s", "", 200},
		{"GET", "/enrollments/" + seen.ID, "", 200},
		{"GET", "/enrollments/none", "", 404},
		{"GET", "/enrollments?name=x", "", 400},
		{"GET", "/lockouts", "", 200},
		{"DELETE", "/lockouts/nobody", "", 404},
		{"DELETE", "/lockouts", "", 200},
		{"POST", "/faults", "certsrv.submit:delay=1s,count=2,label=wifi", 201},
		{"POST", "/faults", "certsrv.submit:dely=1s", 400},
		{"GET", "/faults", "", 200},
		{"DELETE", "/faults/1", "", 200},
		{"DELETE", "/faults", "", 200},
		{"GET", "/certsrv/requests?limit=1", "", 200},
		{"POST", "/certsrv/requests/1/approve", "", 409},
		{"POST", "/certsrv/requests/2/approve", "", 200},
		{"POST", "/certsrv/requests/9/deny", "", 404},
		{"GET", "/logs/nginx?cn=device-*", "", 200},
		{"GET", "/logs/iis", "", 200},
		{"DELETE", "/enrollments?cn=device-1", "", 200},
		{"POST", "/reset?ca&ledger", "", 200},
	} {
		r, resp, text := ask(c.method, c.target, c.body)
		if resp.StatusCode != c.status {
			t.Errorf("%s %s: %s %s", c.method, c.target, resp.Status, text)
		}
		relative, err := http.NewRequestWithContext(t.Context(), r.Method, c.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		route, parameters, err := router.FindRoute(relative)
		if err != nil {
			t.Errorf("%s %s is not described: %v", c.method, c.target, err)
			continue
		}
		asked[c.method+" "+route.Path] = true
		media := resp.Header.Get("Content-Type")
		if route.Operation.Responses.Status(resp.StatusCode) == nil || route.Operation.Responses.Status(resp.StatusCode).Value.Content.Get(media) == nil {
			t.Errorf("%s %s: %s %s is not described", c.method, c.target, resp.Status, media)
			continue
		}
		if !strings.HasSuffix(media, "json") {
			continue
		}
		err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: relative, Route: route, PathParams: parameters},
			Status:                 resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(text)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		})
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.target, err)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !asked[method+" "+path] && !strings.HasSuffix(path, "/deny") {
				t.Errorf("nobody asks for %s %s", method, path)
			}
		}
	}
	// What is gone is gone, and the next request is served.
	if got := x.enroll(t.Context(), "device-4", l.Password); got != 200 {
		t.Errorf("after the reset: %d", got)
	}
}
