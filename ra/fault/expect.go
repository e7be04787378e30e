package fault

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"
)

// A client may wait with its body for leave to send it (RFC 9110 section 10.1.1), and not
// for ever.

func isExpect(f Fault) bool { return f.Kind == "expect" }

// leave does what faults do to a request that waits for leave to send its body.
func (h *estAnswer) leave() {
	if !strings.EqualFold(h.request.Header.Get("Expect"), "100-continue") {
		return
	}
	for _, f := range h.registry.bite(h.scope, isExpect, h.place, ESTAny) {
		if f.Value == "refused" {
			h.put(http.StatusExpectationFailed, "")
			return
		}
		h.takeUnasked()
	}
}

// unaskedTime is how long a body is waited for that comes without leave.
const unaskedTime = time.Minute

// takeUnasked reads the body past net/http, which would give leave for it.
func (h *estAnswer) takeUnasked() {
	conn, buffered, err := http.NewResponseController(h.inner).Hijack()
	if err != nil {
		hangUp()
	}
	h.conn = conn
	_ = conn.SetDeadline(time.Now().Add(unaskedTime)) // of the system's clock, as the connection's
	body := make([]byte, min(max(h.request.ContentLength, 0), maxBody))
	if _, err := io.ReadFull(buffered, body); err != nil {
		conn.Close()
		hangUp()
	}
	_ = conn.SetDeadline(time.Time{})
	h.request.Body = io.NopCloser(bytes.NewReader(body))
	h.request.Header.Del("Expect")
}

// sendPast writes the answer to a connection that is not net/http's any more.
func (h *held) sendPast() {
	defer h.conn.Close()
	var all bytes.Buffer
	h.writeTo(&all)
	_ = h.conn.SetWriteDeadline(time.Now().Add(maxRaw))
	_, _ = h.conn.Write(all.Bytes()) // who cannot be written to is gone
}
