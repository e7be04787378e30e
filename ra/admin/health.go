package admin

import (
	"encoding/pem"
	"net/http"
	"time"
)

// Readiness tells whether the RA can enroll.
type Readiness struct {
	Ready  bool      `json:"ready"`
	Reason string    `json:"reason,omitempty"` // why not, in one line without secrets
	Since  time.Time `json:"since,omitzero"`   // when it became so
	// Warnings are for operators, with ?verbose: what works now, and should not stay so.
	Warnings []string `json:"warnings,omitempty"`
}

func (h *handler) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the client is gone: nobody is left to tell
}

func (h *handler) readyz(w http.ResponseWriter, r *http.Request) {
	ready := h.Ready()
	if queryOf(r).has("verbose") && h.Warnings != nil {
		ready.Warnings = h.Warnings()
	}
	h.answerReadiness(w, r, ready)
}

// servingz is for load balancers: whether to send clients here.
func (h *handler) servingz(w http.ResponseWriter, r *http.Request) {
	h.answerReadiness(w, r, h.Serving())
}

func (h *handler) answerReadiness(w http.ResponseWriter, r *http.Request, ready Readiness) {
	if !h.admits(r) {
		ready = Readiness{Ready: ready.Ready}
	}
	status := http.StatusOK
	if !ready.Ready {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, ready)
}

func (h *handler) roots(w http.ResponseWriter, _ *http.Request) {
	var text []byte
	for _, cert := range h.Roots() {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	if text == nil {
		fail(w, http.StatusServiceUnavailable, "no root is known yet: see /readyz for the reason")
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = w.Write(text) // the client is gone: nobody is left to tell
}
