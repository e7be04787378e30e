package est

import (
	"fmt"
	"net/http"
	"strings"
)

// libest answers as libest 2.1.0's server does, which CES is built on, down to
// its wording (docs/reference/libest.md, "The server, as CES runs it").
type libest struct{}

const (
	textLibestPath         = "The path specified is not recognized."
	textLibestMethod       = "Invalid HTTP method used.  Either GET or POST required depending on the request type."
	textLibestLength       = "Content-Length is negative"
	textLibestCSR          = "Invalid or corrupted pkcs10 request."
	textLibestUnauthorized = "The server was unable to authorize the request."
	textLibestUnknown      = "An unknown error has occured."
	textLibestBusy         = "The server is busy." // libest has no such limit, and no words for it
)

// maxLibestSegment is the longest path segment, in bytes.
const maxLibestSegment = 128

func (libest) path(path string) reason {
	if path == "/.well-known" || path == "/.well-known/est" {
		return refusedNothing
	}
	if path == "/" {
		return refusedOperation
	}
	below, ok := strings.CutPrefix(path, prefix+"/")
	if !ok || strings.HasSuffix(path, "/") {
		return refusedPath
	}
	for segment := range strings.SplitSeq(below, "/") {
		if len(segment) > maxLibestSegment {
			return refusedPath
		}
	}
	return refusedOperation
}

func (libest) label(length int) bool { return length <= maxLibestSegment }

// contentType compares as libest: the beginning, in lower case.
func (libest) contentType(value string) bool { return strings.HasPrefix(value, typePKCS10) }

// refuse knows what 2.1.0 knows: whatever is wrong with an enrollment, its type
// included, is a corrupted request.
func (libest) refuse(r *refusal) answer {
	a := answer{status: http.StatusBadRequest, allow: r.allow}
	switch r.why {
	case refusedPath, refusedLabel:
		a.status, a.text = http.StatusNotFound, textLibestPath
	case refusedOperation, refusedUnimplemented:
	case refusedNothing:
		a.silent = true
	case refusedMethod:
		a.text, a.allow = textLibestMethod, "" // 2.1.0 read, 3.2.0 run: no 405, and no Allow
	case refusedLength:
		a.text = textLibestLength
	case refusedSize:
		a.status = http.StatusRequestEntityTooLarge
	case refusedType, refusedCSR, refusedPossession, refusedSlow:
		a.text = textLibestCSR
	case refusedBusy:
		a.status, a.text, a.retry = http.StatusServiceUnavailable, textLibestBusy, retryBusy
	case refusedInternal:
		a.status, a.text = http.StatusInternalServerError, textLibestUnknown
	}
	return a
}

// challenge never asks a client again whose Authorization header could not be
// read, and by default asks only one that sent none.
func (libest) challenge(presented credentials, asked *bool) bool {
	switch presented {
	case credentialsUnreadable:
		return false
	case credentialsAbsent:
		return asked == nil || *asked
	default:
		return asked != nil && *asked
	}
}

func (libest) checksSubject() bool { return false }

func (libest) trimsChain() bool { return true }

func (libest) success(h http.Header) {
	h.Set("Status", "200 OK")
	h.Set("Content-Transfer-Encoding", "base64")
	h["Date"] = nil // net/http would add it
}

// failure gives all errors one form; a challenge and a 202 have no body, and a
// challenge alone leaves the connection open.
func (libest) failure(h http.Header, a answer) string {
	h["Date"] = nil
	h["Content-Type"] = nil // net/http would guess one
	if a.challenge {
		return ""
	}
	h.Set("Connection", "close")
	if a.status < 300 {
		h.Set("Status", fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)))
		return ""
	}
	if a.text == "" && a.status == http.StatusUnauthorized {
		a.text = textLibestUnauthorized
	}
	body := fmt.Sprintf("Error %d: %s\n", a.status, libestReason(a.status)) + a.text
	if a.text != "" && a.text != textLibestLength {
		body += "\n"
	}
	return body
}

// libestReason returns the reason phrase in the body of an error. The status
// line has net/http's.
func libestReason(status int) string {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return "Content-Length too large"
	case http.StatusGatewayTimeout:
		return "Gateway Time-out"
	}
	return http.StatusText(status)
}
