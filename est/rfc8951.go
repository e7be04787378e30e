package est

import (
	"net/http"
	"strings"
)

// rfc8951 answers with the status that HTTP has for each failure, and one line
// of text that tells what is wrong and what to do (RFC 7030 §4.2.3).
type rfc8951 struct{}

func (rfc8951) path(string) reason { return refusedPath }

func (rfc8951) label(int) bool { return true }

// contentType compares the media type as RFC 9110 §8.3.1 says: in any case, and
// with any parameters.
func (rfc8951) contentType(value string) bool {
	media, _, _ := strings.Cut(value, ";")
	return strings.EqualFold(strings.TrimSpace(media), typePKCS10)
}

func (rfc8951) refuse(r *refusal) answer {
	a := answer{text: r.text, allow: r.allow}
	switch r.why {
	case refusedPath, refusedOperation, refusedNothing, refusedLabel:
		a.status = http.StatusNotFound
	case refusedMethod:
		a.status = http.StatusMethodNotAllowed
	case refusedLength:
		a.status = http.StatusLengthRequired
	case refusedSize:
		a.status = http.StatusRequestEntityTooLarge
	case refusedType:
		a.status = http.StatusUnsupportedMediaType
	case refusedCSR, refusedPossession:
		a.status = http.StatusBadRequest
	case refusedUnimplemented:
		a.status = http.StatusNotImplemented
	case refusedSlow:
		a.status = http.StatusRequestTimeout
	case refusedBusy:
		a.status, a.retry = http.StatusServiceUnavailable, retryBusy
	case refusedInternal:
		a.status = http.StatusInternalServerError
	}
	return a
}

// challenge asks for credentials with every 401 unless the error says otherwise:
// RFC 9110 §15.5.2 demands it.
func (rfc8951) challenge(_ credentials, asked *bool) bool { return asked == nil || *asked }

func (rfc8951) checksSubject() bool { return true }

func (rfc8951) trimsChain() bool { return false }

// success names the encoding, which RFC 8951 §3 makes meaningless and without
// which clients of RFC 7030 refuse the answer (docs/reference/libest.md, "Other
// clients of an EST server").
func (rfc8951) success(h http.Header) { h.Set("Content-Transfer-Encoding", "base64") }

func (rfc8951) failure(h http.Header, a answer) string {
	if a.text == "" {
		return ""
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	return a.text + "\n"
}
