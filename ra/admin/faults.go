package admin

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Faults is what /faults orders, lists and takes back.
type Faults interface {
	// Order turns a fault on by its spec and returns its id; the error is for
	// whoever wrote the spec.
	Order(spec string) (id string, err error)
	// Remove turns a fault off and tells whether it was on.
	Remove(id string) bool
	// Clear turns all off and returns how many there were.
	Clear() int
	List() []Fault
}

// Fault is a fault that is on.
type Fault struct {
	ID        string     `json:"id"`
	Spec      string     `json:"spec"`
	Place     string     `json:"place"`
	What      string     `json:"what"` // happens there
	Whom      string     `json:"whom"` // it bites
	Label     string     `json:"label,omitempty"`
	CN        string     `json:"cn,omitempty"`
	Hits      int        `json:"hits"`
	Remaining *int       `json:"remaining,omitempty"` // of its count
	Expires   *time.Time `json:"expires,omitempty"`
}

// FaultList is what /faults answers.
type FaultList struct {
	Faults []Fault `json:"faults"`
}

// FaultOrder is what is posted to /faults.
type FaultOrder struct {
	Spec string `json:"spec"`
}

// maxSpecBody bounds what is posted to /faults, in bytes.
const maxSpecBody = 4 << 10

func (h *handler) listFaults(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, FaultList{h.faultsOf(filterOf(queryOf(r)))})
}

// faultsOf are those of a label or a name, as they were ordered; all where the filter has
// neither.
func (h *handler) faultsOf(filter Filter) []Fault {
	return slices.DeleteFunc(h.Faults.List(), func(f Fault) bool {
		return !named(filter.CN, f.CN) || !named(filter.Label, f.Label)
	})
}

func (h *handler) clearFaultsOf(filter Filter) (removed int) {
	switch {
	case h.Faults == nil:
	case filter.CN == "" && filter.Label == "":
		return h.Faults.Clear()
	default:
		for _, f := range h.faultsOf(filter) {
			if h.Faults.Remove(f.ID) {
				removed++
			}
		}
	}
	return removed
}

// orderFault takes {"spec": "..."}, a form with the field spec, or the spec alone.
func (h *handler) orderFault(w http.ResponseWriter, r *http.Request) {
	spec, err := readSpec(w, r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	id, err := h.Faults.Order(spec)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	for _, f := range h.Faults.List() {
		if f.ID == id {
			answer(w, http.StatusCreated, f)
			return
		}
	}
	answer(w, http.StatusCreated, Fault{ID: id, Spec: spec}) // it is over already
}

var errNoSpec = errors.New(`there is no spec: post it as text, or as {"spec": "certsrv.login:hang"}`)

func readSpec(w http.ResponseWriter, r *http.Request) (string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSpecBody))
	if err != nil {
		return "", errors.New("the body is too long for a spec, or was cut off")
	}
	text := strings.TrimSpace(string(body))
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // what cannot be read is none
	if contentType == "application/json" || strings.HasPrefix(text, "{") {
		var order FaultOrder
		if err := json.Unmarshal(body, &order); err != nil {
			return "", errors.New("the body is no JSON object with a spec: " + err.Error())
		}
		text = order.Spec
	}
	// curl -d says that it is a form; a spec of one has a name before it.
	text = strings.TrimPrefix(text, "spec=")
	if text == "" {
		return "", errNoSpec
	}
	return text, nil
}

func (h *handler) clearFaults(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, Removed{h.clearFaultsOf(filterOf(queryOf(r)))})
}

func (h *handler) removeFault(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if !h.Faults.Remove(id) {
		fail(w, http.StatusNotFound, "there is no fault "+id+": see GET /faults")
		return
	}
	answer(w, http.StatusOK, Removed{1})
}
