package console

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path"

	"github.com/go-chi/chi/v5"
)

// asset is a file that pages load.
type asset struct {
	data []byte
	kind string
	sum  string // its address ends in it, so that browsers may keep it for ever
}

// readAssets reads all that pages load; htmx's licence (0BSD) asks for nothing.
func readAssets() (map[string]asset, error) {
	assets := map[string]asset{}
	for name, kind := range map[string]string{
		"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml", "console.js": "text/javascript; charset=utf-8",
		"htmx/htmx.min.js": "text/javascript; charset=utf-8", "htmx/hx-sse.min.js": "text/javascript; charset=utf-8",
	} {
		data, err := files.ReadFile("page/" + name)
		if err != nil {
			return nil, err
		}
		if name == "style.css" {
			data = append(data, marking()...)
		}
		sum := sha256.Sum256(data)
		assets[path.Base(name)] = asset{data, kind, hex.EncodeToString(sum[:6])}
	}
	return assets, nil
}

// at is an asset's address.
func (c *console) at(name string) string { return "/console/assets/" + name + "?" + c.assets[name].sum }

func (c *console) asset(w http.ResponseWriter, r *http.Request) {
	a, ok := c.assets[chi.URLParam(r, "name")]
	if !ok {
		c.problem(w, r, http.StatusNotFound, "There is no such file.")
		return
	}
	w.Header().Set("Content-Type", a.kind)
	if r.URL.RawQuery == a.sum {
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	_, _ = w.Write(a.data) // the client is gone: nobody is left to tell
}
