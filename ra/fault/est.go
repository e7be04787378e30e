package fault

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"
)

// LabelPrefix begins an EST label that selects a fault:
// /.well-known/est/fault:certsrv.submit:hang/simpleenroll.
const LabelPrefix = "fault:"

// IsLabel tells whether a label selects a fault that there is.
func (r *Registry) IsLabel(label string) bool {
	spec, ok := strings.CutPrefix(label, LabelPrefix)
	if !ok {
		return false
	}
	_, err := r.parse(spec)
	return err == nil
}

// EST decorates the handler of each EST operation, once its label is known. label
// and id read them from a request's context.
func (r *Registry) EST(label, id func(context.Context) string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			ctx, scope := r.WithScope(req.Context(), id(req.Context()))
			if spec, ok := strings.CutPrefix(label(ctx), LabelPrefix); ok {
				f, err := Parse(spec)
				if err != nil { // IsLabel has let it in, so there is none
					http.Error(w, err.Error(), http.StatusNotFound)
					return
				}
				scope.Select(f)
			}
			r.know(scope, label(ctx), req)
			req = req.WithContext(ctx)
			h := &estAnswer{held: hold(w), registry: r, scope: scope, place: Place("est." + path.Base(req.URL.Path))}
			req = req.WithContext(context.WithValue(ctx, estAnswerKey{}, h))
			h.request = req
			if !h.replace(req.Context(), true) {
				next.ServeHTTP(h, req)
			}
			h.finish(req.Context())
		})
	}
}

// estAnswer is an EST answer on its way out.
type estAnswer struct {
	*held
	registry *Registry
	scope    *Scope
	place    Place
	request  *http.Request
	replaced bool
}

// Header, WriteHeader and Write leave an answer alone that a fault has given.
func (h *estAnswer) Header() http.Header {
	if h.replaced {
		return http.Header{}
	}
	return h.held.Header()
}

func (h *estAnswer) WriteHeader(status int) {
	if !h.replaced {
		h.held.WriteHeader(status)
	}
}

func (h *estAnswer) Write(p []byte) (int, error) {
	if h.replaced {
		return len(p), nil
	}
	return h.held.Write(p)
}

// inPlace tells which faults take the place of the operation; the others change
// its answer.
func inPlace(f Fault) bool {
	switch f.Kind {
	case "delay", "hang", "reset", "close", "status", "no-challenge":
		return true
	}
	return false
}

type estAnswerKey struct{}

// replace does what faults do in place of the operation, and tells whether they
// have answered. It is called before the operation, and again, for the
// enrollment's own faults, once the CSR's names are known.
func (h *estAnswer) replace(ctx context.Context, everybodys bool) bool {
	for _, f := range h.registry.meet(h.scope, everybodys, inPlace, h.place, ESTAny) {
		readBody(h.request)
		h.registry.pause(ctx, h.inner, f, false)
		switch f.Kind {
		case "status":
			h.put(f.number, f.RetryAfter)
		case "no-challenge":
			h.put(http.StatusUnauthorized, 0)
		}
	}
	return h.replaced
}

func (h *estAnswer) put(status, retryAfter int) {
	h.header = http.Header{}
	h.body.Reset()
	h.status = status
	if retryAfter > 0 {
		h.header.Set("Retry-After", fmt.Sprint(retryAfter))
	}
	if status >= 400 {
		h.header["Connection"] = []string{"close"}
		fmt.Fprintf(&h.body, "Error %d: %s\nA fault was ordered here.\n", status, http.StatusText(status))
	}
	if status != http.StatusNoContent {
		h.header.Set("Content-Length", fmt.Sprint(h.body.Len()))
	}
	h.replaced = true
}

// finish sends the answer with what the faults make of it. A challenge goes out
// as it is: the faults that change answers are about the answer to a client that
// is known.
func (h *estAnswer) finish(ctx context.Context) {
	if h.status != http.StatusOK || h.replaced {
		h.send()
		return
	}
	change := func(f Fault) bool { return !inPlace(f) }
	for _, f := range h.registry.bite(h.scope, change, h.place, ESTAny) {
		if h.change(ctx, f) {
			return
		}
	}
	h.send()
}

// change does what a fault does to a good answer, and tells whether it has sent
// it.
func (h *estAnswer) change(ctx context.Context, f Fault) (sent bool) {
	body := func(b []byte) {
		h.body.Reset()
		h.body.Write(b)
		h.header.Set("Content-Length", fmt.Sprint(len(b)))
	}
	switch f.Kind {
	case "content-type":
		h.header["Content-Type"] = []string{f.Value}
	case "no-content-type":
		h.header["Content-Type"] = nil // net/http makes up none then
	case "single-line":
		body([]byte(strings.Join(strings.Fields(h.body.String()), "")))
	case "garbage":
		body([]byte(wrap([]byte("This is no PKCS #7, though it is base64 and long enough to look like one."), 64, "\n")))
	case "wrong-key":
		if other, err := otherCertificate(); err == nil {
			body(certsOnly(other))
		}
	case "two-certificates":
		if other, err := otherCertificate(); err == nil {
			body(certsOnly(append(h.certificates(), other...)))
		}
	case "chunked":
		h.header.Del("Content-Length")
		h.copyHeader()
		h.inner.WriteHeader(h.status)
		half := h.body.Len() / 2
		_, _ = h.inner.Write(h.body.Bytes()[:half])
		_ = http.NewResponseController(h.inner).Flush()
		_, _ = h.inner.Write(h.body.Bytes()[half:])
		return true
	case "drip":
		h.drip(ctx, f.delay)
		hangUp()
	}
	return false
}

// certificates returns those of a certs-only answer, in DER.
func (h *estAnswer) certificates() []byte {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(h.body.String()), ""))
	if err != nil {
		return nil
	}
	p7, err := pkcs7.Parse(der)
	if err != nil {
		return nil
	}
	var all bytes.Buffer
	for _, c := range p7.Certificates {
		all.Write(c.Raw)
	}
	return all.Bytes()
}

func certsOnly(certificates []byte) []byte {
	der, err := pkcs7.DegenerateCertificate(certificates)
	if err != nil {
		return nil
	}
	return []byte(wrap(der, 64, "\n"))
}

// otherCertificate makes a certificate of a key that nobody asked with.
func otherCertificate() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another key"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	return x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
}

// SelectByName lets the names in a CSR select faults for their enrollment, and
// does what they do in place of the operation. Call it with the context of the
// request once the CSR is read; the error is the answer's text where a name under
// .fault.invalid selects none, or ErrAnswered where the fault has answered.
func (r *Registry) SelectByName(ctx context.Context, csr *x509.CertificateRequest) error {
	scope := ScopeOf(ctx)
	if scope == nil {
		return nil
	}
	selected := false
	for _, name := range append([]string{csr.Subject.CommonName}, csr.DNSNames...) {
		f, ok, err := ParseName(name)
		if ok && err == nil {
			err = r.check(f)
		}
		switch {
		case err != nil:
			return err
		case ok:
			scope.Select(f)
			selected = true
		}
	}
	if h, ok := ctx.Value(estAnswerKey{}).(*estAnswer); ok && selected && h.replace(ctx, false) {
		return ErrAnswered
	}
	return nil
}

// ErrAnswered says that a fault has given the answer.
var ErrAnswered = errors.New("a fault has answered")
