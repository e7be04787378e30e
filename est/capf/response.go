package capf

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"ciscora/internal/printable"
)

const maxForeign = 200 // bytes of the server's words in one of ours

// verdict is what libest makes of one answer, or of having none.
type verdict struct {
	rv         Status
	status     int           // of HTTP; 0 where there is none
	payload    []byte        // with StatusNone
	retryAfter time.Duration // with StatusEnrollRetry
	basic      bool          // with 401: a challenge that can be answered
	err        *Error        // nil exactly with StatusNone
}

// maxHeaders is how many header fields libest's client looks at.
const maxHeaders = 16

type header struct{ name, value string }

// answer is an HTTP answer as libest cuts it up.
type answer struct {
	known   bool // a status line that libest knows
	status  int  // as far as it can be read
	headers []header
	body    []byte
}

// parseAnswer never fails: what is no HTTP is an answer without a status.
func parseAnswer(raw []byte) answer {
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	lines := strings.FieldsFunc(string(head), func(r rune) bool { return r == '\r' || r == '\n' })
	if len(lines) == 0 {
		return answer{body: body}
	}
	a := answer{body: body}
	a.status, a.known = parseStatus(lines[0])
	for _, line := range lines[1:] {
		if len(a.headers) == maxHeaders {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		a.headers = append(a.headers, header{name, strings.TrimLeft(value, " ")})
	}
	return a
}

// parseStatus reads the code of a status line. libest knows these codes, and
// only after HTTP/1.1 (docs/reference/libest.md L8).
func parseStatus(line string) (status int, known bool) {
	protocol, rest, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(protocol, "HTTP/") || len(rest) < 3 {
		return 0, false
	}
	code, err := strconv.ParseUint(rest[:3], 10, 16)
	if err != nil || len(rest) > 3 && rest[3] != ' ' {
		return 0, false
	}
	switch code {
	case 200, 202, 204, 400, 401, 404, 423:
		return int(code), protocol == "HTTP/1.1"
	default:
		return int(code), false
	}
}

// judge is libest's reading of an answer (docs/reference/libest.md, "Status to
// return value"). err is the exchange's.
func judge(op operation, raw []byte, err error) verdict {
	var failed *Error
	switch {
	case errors.As(err, &failed):
		return verdict{rv: failed.RV, err: failed}
	case len(raw) == 0:
		return verdict{rv: StatusHTTPNotFound, err: &Error{
			Operation: op.name, RV: StatusHTTPNotFound, Reason: "the server closed the connection without an answer",
		}}
	}
	a := parseAnswer(raw)
	v := verdict{status: a.status}
	fail := func(rv Status, format string, args ...any) verdict {
		v.rv = rv
		v.err = &Error{Operation: op.name, RV: rv, HTTPStatus: a.status, Reason: fmt.Sprintf(format, args...)}
		if a.status >= 400 {
			v.err.Message = printable.Line(string(a.body), maxForeign)
		}
		return v
	}
	if !a.known {
		if a.status == 0 {
			return fail(StatusUnknown, "the answer is no HTTP/1.1")
		}
		switch a.status {
		case 500, 502, 504: // libest knows them, and has no value of their own for them
			return fail(StatusUnknown, "HTTP %d: the server failed", a.status)
		}
		return fail(StatusUnknown, "HTTP status %d, which libest does not know", a.status)
	}
	switch a.status {
	case 200:
		return a.success(op, v, fail)
	case 202:
		delay, ok := a.retryAfter()
		if !ok {
			return fail(StatusInvalidRetryValue, "HTTP 202 without a number of seconds in Retry-After")
		}
		v.retryAfter = delay
		return fail(StatusEnrollRetry, "the request is pending; ask again in %s", delay)
	case 204:
		return fail(StatusHTTPNoContent, "HTTP 204: the server has nothing to give")
	case 400:
		return fail(StatusHTTPBadRequest, "HTTP 400: the server refused the request")
	case 401:
		challenge, found := a.challenge()
		v.basic = strings.HasPrefix(challenge, "Basic")
		if found && !v.basic {
			return fail(StatusAuthFail, "HTTP 401, and its first challenge is not Basic")
		}
		if !found {
			return fail(StatusAuthFail, "HTTP 401 without a WWW-Authenticate header (libest reads the name byte for byte)")
		}
		return fail(StatusAuthFail, "HTTP 401: the server asks for credentials")
	case 404:
		return fail(StatusHTTPNotFound, "HTTP 404: the server does not know the path")
	default:
		return fail(StatusHTTPLocked, "HTTP 423: the server has locked the content")
	}
}

// success checks what libest checks of a 200: the two headers (see
// docs/reference/libest.md L2, L5).
func (a answer) success(op operation, v verdict, fail func(Status, string, ...any) verdict) verdict {
	contentType, found := a.lookup("Content-Type")
	if !found || !strings.HasPrefix(contentType, op.contentType) {
		return fail(StatusHTTPUnsupported, "HTTP 200 with Content-Type %q instead of %q", printable.Line(contentType, maxForeign), op.contentType)
	}
	length, err := strconv.Atoi(strings.TrimSpace(a.contentLength()))
	switch {
	case err != nil || length <= 0:
		return fail(StatusHTTPUnsupported, "HTTP 200 without a Content-Length over 0")
	case length > maxAnswer:
		return fail(StatusUnknown, "HTTP 200 with a Content-Length over %d", maxAnswer)
	}
	// libest hands on so many bytes of a buffer of zeros that the answer was read into: an
	// answer that was cut short ends in zeros, which are no base64.
	v.payload = make([]byte, length)
	copy(v.payload, a.body)
	return v
}

// contentLength is the last Content-Length: libest goes through all of them.
func (a answer) contentLength() (value string) {
	for _, h := range a.headers {
		if h.name == "Content-Length" {
			value = h.value
		}
	}
	return value
}

// lookup gives the first value of a header field whose name is written exactly
// so.
func (a answer) lookup(name string) (value string, found bool) {
	for _, h := range a.headers {
		if h.name == name {
			return h.value, true
		}
	}
	return "", false
}

// challenge is the first WWW-Authenticate, the only one that libest looks at
// (docs/reference/libest.md L3, L10).
func (a answer) challenge() (value string, found bool) { return a.lookup("WWW-Authenticate") }

// retryAfter is the number of seconds in Retry-After: digits alone, at most ten
// of them, and no more than a C int holds (docs/reference/libest.md L9).
func (a answer) retryAfter() (time.Duration, bool) {
	for _, h := range a.headers {
		if !strings.EqualFold(h.name, "Retry-After") {
			continue
		}
		if strings.Trim(h.value, "0123456789") != "" || h.value == "" || len(h.value) > 10 {
			return 0, false
		}
		seconds, err := strconv.ParseInt(h.value, 10, 64)
		return time.Duration(seconds) * time.Second, err == nil && seconds <= math.MaxInt32
	}
	return 0, false
}
