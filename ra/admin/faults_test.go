package admin_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ciscora/ra/admin"
)

// faults are ordered by any spec that has a colon.
type faults struct {
	on []admin.Fault
}

func (f *faults) Order(spec string) (string, error) {
	if !strings.Contains(spec, ":") {
		return "", errors.New("the fault " + spec + " has no kind")
	}
	f.on = append(f.on, admin.Fault{ID: strconv.Itoa(len(f.on) + 1), Spec: spec})
	return f.on[len(f.on)-1].ID, nil
}

func (f *faults) Remove(id string) bool {
	i := slices.IndexFunc(f.on, func(x admin.Fault) bool { return x.ID == id })
	if i >= 0 {
		f.on = slices.Delete(f.on, i, i+1)
	}
	return i >= 0
}

func (f *faults) Clear() int {
	n := len(f.on)
	f.on = nil
	return n
}

func (f *faults) List() []admin.Fault { return append([]admin.Fault{}, f.on...) }

func TestAFaultIsOrderedAsTextFormOrJSON(t *testing.T) {
	f := &faults{}
	h := admin.New(admin.Options{Faults: f})
	for _, c := range []struct {
		media, body string
		status      int
	}{
		{"text/plain", "est.any:hang", 201},
		{"application/x-www-form-urlencoded", "spec=est.any:hang", 201},
		{"application/json", `{"spec": "est.any:hang"}`, 201},
		{"", `{"spec": "est.any:hang"}`, 201},
		{"application/json", `{"spec": "hang"}`, 400},
		{"application/json", `{`, 400},
		{"text/plain", "", 400},
		{"text/plain", "est.any:" + strings.Repeat("x", 5000), 400},
	} {
		r := httptest.NewRequest(http.MethodPost, "/faults", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.media)
		if w := send(t, h, r); w.Code != c.status {
			t.Errorf("%s %.40s: %d %s", c.media, c.body, w.Code, w.Body)
		}
	}
	_, body := get(t, h, "/faults")
	equal(t, 4, len(body["faults"].([]any)))
	equal(t, http.StatusOK, request(t, h, http.MethodDelete, "/faults/2").Code)
	equal(t, http.StatusNotFound, request(t, h, http.MethodDelete, "/faults/2").Code)
	equal(t, http.StatusOK, request(t, h, http.MethodDelete, "/faults").Code)
	equal(t, 0, len(f.on))
}
