package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// eventBatch is how many events are written at once, and eventTimeout how long a
	// client may take for them.
	eventBatch   = 100
	eventTimeout = 30 * time.Second
	// eventBeat is how often a quiet stream says that it is there: proxies end those
	// that do not.
	eventBeat = 15 * time.Second
)

// events streams what changes, as server-sent events: each enrollment whenever something
// of it has changed, as /enrollments/ID shows it. What changes while a client is slow
// comes to it as one event.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	q := queryOf(r)
	position := cmp.Or(r.Header.Get("Last-Event-ID"), q.text("after"))
	follower, lost, err := h.Enrollments.Follow(filterOf(q), position)
	switch {
	case errors.Is(err, ErrTooManyFollowers):
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	case err != nil:
		fail(w, http.StatusBadRequest, err.Error()+": without one it begins now, with 0 it begins with the oldest")
		return
	}
	defer follower.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	stream := http.NewResponseController(w)
	send := func(text []byte) bool {
		_ = stream.SetWriteDeadline(time.Now().Add(eventTimeout)) // where there is none to set, none is needed
		_, err := w.Write(text)                                   //nolint:gosec // no page: events, whose texts are JSON
		return err == nil && stream.Flush() == nil
	}
	// The position at once: who is cut off before the first event goes on from here.
	text := fmt.Appendf(nil, "id: %s\nretry: 1000\n\n", follower.Position())
	if lost {
		text = fmt.Appendf(text, "event: lost\ndata: {\"detail\": \"there were more changes since than are remembered\"}\n\n")
	}
	beat := time.NewTicker(eventBeat)
	defer beat.Stop()
	for send(text) { // else the client is gone
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			text = []byte(":\n\n")
		case <-follower.More():
			if text, err = nextEvents(follower); err != nil {
				h.Logger.Error("an event cannot be written: " + err.Error())
				return
			}
		}
	}
}

// nextEvents are the next of a follower's, in the form of a stream.
func nextEvents(f *Follower) ([]byte, error) {
	var text []byte
	for _, c := range f.Next(eventBatch) {
		data, err := json.Marshal(c.Enrollment)
		if err != nil {
			return nil, err
		}
		text = fmt.Appendf(text, "id: %s\nevent: enrollment\ndata: %s\n\n", c.Position, data)
	}
	return text, nil
}
