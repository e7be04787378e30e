package admin

import (
	"encoding/json"
	"net/http"
)

// Problem is how errors are told (RFC 9457).
type Problem struct {
	Type   string `json:"type"`   // about:blank: the status says which kind it is
	Title  string `json:"title"`  // of the status
	Status int    `json:"status"` // as in the answer's first line
	Detail string `json:"detail"` // what is wrong, and what helps
	Error  string `json:"error"`  // the detail by its older name
}

func answer(w http.ResponseWriter, status int, body any) {
	answerAs(w, "application/json", status, body)
}

func fail(w http.ResponseWriter, status int, reason string) {
	answerAs(w, "application/problem+json", status, Problem{"about:blank", http.StatusText(status), status, reason, reason})
}

func answerAs(w http.ResponseWriter, mediaType string, status int, body any) {
	data, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		mediaType, status, data = "application/problem+json", http.StatusInternalServerError, []byte(`{"type": "about:blank", "status": 500, "detail": "the answer could not be written as JSON"}`)
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // the client is gone: nobody is left to tell
}
