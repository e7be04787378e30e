package admin_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func equal(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}

// described finds what openapi.json says of a request. What it does not name must not be
// in an answer.
var described = sync.OnceValue(func() routers.Router {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		panic(err)
	}
	no := false
	for _, schema := range doc.Components.Schemas {
		schema.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		panic(err)
	}
	return router
})

// keepsToDescription holds an answer against openapi.json.
func keepsToDescription(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	route, parameters, err := described().FindRoute(r)
	if err != nil || r.Method == http.MethodHead || w.Code == http.StatusMethodNotAllowed {
		return // there is no such route
	}
	if media := w.Header().Get("Content-Type"); !strings.HasSuffix(media, "json") {
		if route.Operation.Responses.Status(w.Code).Value.Content.Get(media) == nil {
			t.Errorf("%s %s: %d %s is not described", r.Method, r.URL, w.Code, media)
		}
		return
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: route, PathParams: parameters},
		Status:                 w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("%s %s: %d: %v", r.Method, r.URL, w.Code, err)
	}
}

// request sends a request as a program of this machine does.
func request(t *testing.T, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	return send(t, h, httptest.NewRequest(method, target, nil))
}

func send(t *testing.T, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	r.Host = "127.0.0.1:8085"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	keepsToDescription(t, r, w)
	return w
}

// get returns the status and the JSON of an answer; of a problem, its detail as error.
func get(t *testing.T, h http.Handler, target string) (int, map[string]any) {
	t.Helper()
	w := request(t, h, http.MethodGet, target)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s: %v in %s", target, err, w.Body)
	}
	if w.Code >= http.StatusBadRequest && body["status"] != nil {
		equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		equal(t, map[string]any{"type": "about:blank", "title": http.StatusText(w.Code), "status": float64(w.Code), "detail": body["error"], "error": body["error"]}, body)
		return w.Code, map[string]any{"error": body["error"]}
	}
	equal(t, "application/json", w.Header().Get("Content-Type"))
	return w.Code, body
}
