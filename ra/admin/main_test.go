package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

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

// request sends a request as a program of this machine does.
func request(h http.Handler, method, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "127.0.0.1:8085"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// get returns the status and the JSON of an answer.
func get(t *testing.T, h http.Handler, target string) (int, map[string]any) {
	t.Helper()
	w := request(h, http.MethodGet, target)
	equal(t, "application/json", w.Header().Get("Content-Type"))
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s: %v in %s", target, err, w.Body)
	}
	return w.Code, body
}
