package explain

import (
	"bytes"
	"slices"
	"strconv"
	"time"
)

// handshakes are the TLS handshakes that this product's own log says have failed. Who
// offers one version after another within seconds is a check and no client, whatever else
// it offers then: ra check est and ra check tls do so.
type handshakes struct {
	failed []handshake
}

type handshake struct {
	rec      record
	host     string
	at       int64  // ms
	versions string // that were offered alone; "" = it failed otherwise
}

const (
	maxHandshakes = 1024
	// oneCheck is how far apart, in ms, a check's handshakes may be.
	oneCheck = 10 * 1000
)

var (
	handshakeError = []byte("http: TLS handshake error from ")
	onlyVersions   = []byte("tls: client offered only unsupported versions: ")
	stampMark      = []byte(`"ts":`)
)

// take keeps a record of a handshake that may be a check's; false = it is none.
func (h *handshakes) take(rec *record) bool {
	_, from, ok := bytes.Cut(rec.raw, handshakeError)
	if !ok || len(h.failed) >= maxHandshakes {
		return false
	}
	address, reason, ok := bytes.Cut(from, []byte(": "))
	colon := bytes.LastIndexByte(address, ':')
	if !ok || colon < 1 {
		return false
	}
	f := handshake{rec: *rec, host: string(address[:colon])}
	if bytes.HasPrefix(reason, onlyVersions) {
		f.versions = string(reason[len(onlyVersions):])
	}
	if f.at, ok = recordTime(rec.raw); !ok {
		return false
	}
	f.rec.raw = bytes.Clone(rec.raw)
	h.failed = append(h.failed, f)
	return true
}

// recordTime is the time of a record of this product's own log, in ms.
func recordTime(raw []byte) (int64, bool) {
	_, text, ok := bytes.Cut(raw, stampMark)
	if !ok {
		return 0, false
	}
	if quoted, ok := bytes.CutPrefix(text, []byte(`"`)); ok {
		value, _, _ := bytes.Cut(quoted, []byte(`"`))
		at, err := time.Parse(time.RFC3339Nano, string(value))
		return at.UnixMilli(), err == nil
	}
	end := bytes.IndexAny(text, ",}")
	if end < 0 {
		return 0, false
	}
	seconds, err := strconv.ParseFloat(string(text[:end]), 64)
	return int64(seconds * 1000), err == nil
}

// end hands on what was no check's.
func (h *handshakes) end(client func(*record)) {
	for n := range h.failed {
		f := &h.failed[n]
		var offered []string
		for _, o := range h.failed {
			if o.host == f.host && o.versions != "" && max(o.at-f.at, f.at-o.at) <= oneCheck && !slices.Contains(offered, o.versions) {
				offered = append(offered, o.versions)
			}
		}
		if len(offered) < 2 {
			client(&f.rec)
		}
	}
	h.failed = nil
}
