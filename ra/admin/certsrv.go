package admin

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"
)

var (
	// ErrUnknownRequest says that the CA has no request of this id.
	ErrUnknownRequest = errors.New("there is no such request: /certsrv/requests lists them")
	// ErrNotPending says that the request was decided before.
	ErrNotPending = errors.New("it does not wait for a decision")
)

// CertsrvQueue is the built-in CA as its manager sees it. Approve and Deny
// return an error that wraps [ErrUnknownRequest] or [ErrNotPending] where it is
// one of these.
type CertsrvQueue interface {
	List() []Request // by their ids, the newest last
	Approve(id int) error
	Deny(id int) error
}

// Request is a request to the built-in CA.
type Request struct {
	ID          int       `json:"id"`
	Requester   string    `json:"requester"` // DOMAIN\user
	Template    string    `json:"template"`
	Subject     string    `json:"subject"`
	Disposition int       `json:"disposition"` // docs/reference/certsrv.md 5
	HRESULT     uint32    `json:"hresult"`
	Message     string    `json:"message"` // the CA's disposition message
	Submitted   time.Time `json:"submitted"`
	Certificate []byte    `json:"certificate,omitempty"` // DER; base64 in JSON
}

// RequestList is what /certsrv/requests answers.
type RequestList struct {
	Requests []Request `json:"requests"`
	Next     string    `json:"next,omitempty"` // the cursor of the rest
}

func (h *handler) listRequests(w http.ResponseWriter, r *http.Request) {
	q := queryOf(r)
	before := math.MaxInt
	if q.has("cursor") {
		var err error
		if before, err = strconv.Atoi(q.text("cursor")); err != nil {
			fail(w, http.StatusBadRequest, fmt.Sprintf("cursor %q is none: take next of the answer before", q.text("cursor")))
			return
		}
	}
	body := RequestList{Requests: []Request{}}
	for _, request := range slices.Backward(h.Certsrv.List()) {
		if request.ID >= before {
			continue
		}
		if len(body.Requests) == q.number("limit") {
			body.Next = strconv.Itoa(body.Requests[len(body.Requests)-1].ID)
			break
		}
		body.Requests = append(body.Requests, request)
	}
	answer(w, http.StatusOK, body)
}

func (h *handler) approve(w http.ResponseWriter, r *http.Request) {
	h.decide(w, r, "approved", h.Certsrv.Approve)
}

func (h *handler) deny(w http.ResponseWriter, r *http.Request) {
	h.decide(w, r, "denied", h.Certsrv.Deny)
}

// decide approves or denies, and answers with the request as it then is.
func (h *handler) decide(w http.ResponseWriter, r *http.Request, verdict string, do func(id int) error) {
	id, err := strconv.Atoi(chi.URLParam(r, "id"))
	if err != nil {
		fail(w, http.StatusNotFound, "a request's id is a number")
		return
	}
	switch err := do(id); {
	case errors.Is(err, ErrUnknownRequest):
		fail(w, http.StatusNotFound, err.Error())
		return
	case errors.Is(err, ErrNotPending):
		fail(w, http.StatusConflict, err.Error())
		return
	case err != nil:
		h.Logger.Error("request not "+verdict, zap.Int("reqID", id), zap.Error(err))
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	h.Logger.Info("request "+verdict, zap.Int("reqID", id), zap.String("client", r.RemoteAddr))
	for _, request := range h.Certsrv.List() {
		if request.ID == id {
			answer(w, http.StatusOK, request)
			return
		}
	}
	fail(w, http.StatusNotFound, ErrUnknownRequest.Error())
}
