package admin

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"strings"
)

// description is made from the routes by the package's tests (go test ./ra/admin
// -update): what makes it is in no binary.
//
//go:embed openapi.json
var description []byte

// openapi answers with the description of what is served here.
func (h *handler) openapi(w http.ResponseWriter, _ *http.Request) {
	var d struct {
		OpenAPI    json.RawMessage                       `json:"openapi"`
		Info       json.RawMessage                       `json:"info"`
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components json.RawMessage                       `json:"components"`
	}
	if err := json.Unmarshal(description, &d); err != nil {
		fail(w, http.StatusInternalServerError, "the description cannot be read: "+err.Error())
		return
	}
	for _, t := range h.routes() {
		if !t.on {
			operations := d.Paths[t.path]
			delete(operations, strings.ToLower(t.method))
			if len(operations) == 0 {
				delete(d.Paths, t.path)
			}
		}
	}
	answer(w, http.StatusOK, d)
}
