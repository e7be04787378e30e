package admin

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"
)

var (
	// ErrUnknownRequest says that the CA has no request of this id.
	ErrUnknownRequest = errors.New("no such request")
	// ErrNotPending says that the request was decided before.
	ErrNotPending = errors.New("the request is not pending")
)

// CertsrvQueue is the built-in CA as its manager sees it. Approve and Deny
// return an error that wraps [ErrUnknownRequest] or [ErrNotPending] where it is
// one of these.
type CertsrvQueue interface {
	List() []Request
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

func (h *handler) listRequests(w http.ResponseWriter, _ *http.Request) {
	requests := h.Certsrv.List()
	if requests == nil {
		requests = []Request{}
	}
	answer(w, http.StatusOK, struct {
		Requests []Request `json:"requests"`
	}{requests})
}

// decide approves or denies, and answers with the request as it then is.
func (h *handler) decide(verdict string, do func(id int) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
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
}
