package fault

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxPeek bounds what is read of a request before its handler does.
const maxPeek = 64 << 10

func readSelector(value string) (string, error) {
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errors.New("want a label or a name, or its beginning and a *")
	}
	return value, nil
}

// selects tells whether the fault is for some and not for all.
func (f Fault) selects() bool { return f.Label != "" || f.CN != "" }

// Whom says whom it bites.
func (f Fault) Whom() string {
	switch {
	case !f.selects():
		return "everybody"
	case f.CN == "":
		return "the label " + f.Label
	case f.Label == "":
		return "the name " + f.CN
	}
	return "the name " + f.CN + " under the label " + f.Label
}

// isFor tells whether the fault is for an enrollment; scope nil is one of which nothing
// is known.
func (f Fault) isFor(scope *Scope) bool {
	if !f.selects() {
		return true
	}
	if scope == nil {
		return false
	}
	named := f.CN == "" || slices.ContainsFunc(scope.names, func(name string) bool { return fits(f.CN, name) })
	return named && (f.Label == "" || fits(f.Label, scope.label))
}

func fits(pattern, name string) bool {
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, start)
	}
	return pattern == name
}

// know notes of an enrollment what faults select by, and whether any of those that are on
// will bite behind the front end: then it needs connections of its own.
func (r *Registry) know(s *Scope, label string, req *http.Request) {
	r.mu.Lock()
	byName := slices.ContainsFunc(r.all, func(a *active) bool { return a.fault.CN != "" && !r.spent(a) })
	r.mu.Unlock()
	var names []string
	// To read a body that its client has not sent yet would ask for it.
	if byName && (req.Header.Get("Expect") == "" || req.Header.Get("Authorization") != "") {
		names = peekNames(req)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.label, s.names = label, names
	s.apart = slices.ContainsFunc(r.all, func(a *active) bool {
		return a.fault.selects() && !a.fault.Place.AtEST() && !r.spent(a) && a.fault.isFor(s)
	})
}

// peekNames reads the names of the CSR in a body, and leaves the body as it was.
func peekNames(req *http.Request) []string {
	if req.Method != http.MethodPost || req.Body == nil {
		return nil
	}
	began, err := io.ReadAll(io.LimitReader(req.Body, maxPeek))
	rest := req.Body
	after := io.Reader(rest)
	if err != nil {
		after = failed{err}
	}
	req.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(began), after), rest}
	return Names(began)
}

// Names are those of the CSR in a request's body, its common name first; none where it
// holds no CSR.
func Names(body []byte) []string {
	der := body
	if block, _ := pem.Decode(body); block != nil {
		der = block.Bytes
	} else if decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), "")); err == nil {
		der = decoded
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil // the handler says so
	}
	return append([]string{csr.Subject.CommonName}, csr.DNSNames...)
}

// failed is a reader that has.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }
