package fault

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
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
			if len(r.bite(scope, isPlainKey, h.place)) > 0 {
				withoutAttributes(req)
			}
			if h.leave(); !h.replaced && !h.replace(req.Context(), true) {
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
	shape    shape
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
	case "delay", "reset", "no-challenge", "redirect", "attributes":
		return true
	case "hang":
		return f.param("after") == ""
	case "close":
		return f.param("when") == ""
	case "status":
		return f.param("body") != "good"
	}
	return false
}

// isPlainKey tells which fault changes the request and not its answer.
func isPlainKey(f Fault) bool { return f.Kind == "parts" && f.Value == "plain" }

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
			h.put(f.number, f.retryAfter(h.registry.now()))
			if f.param("body") == "text" {
				h.setBody([]byte("The first line.\r\n\x1b[31mThe second, in red.\x1b[0m\x07\r\n"))
				h.header.Set("Content-Type", "text/plain; charset=utf-8")
			}
		case "no-challenge":
			h.put(http.StatusUnauthorized, "")
		case "redirect":
			h.redirect(f)
		case "attributes":
			h.put(http.StatusOK, "")
			h.header.Set("Content-Type", "application/csrattrs")
			h.header.Set("Content-Transfer-Encoding", "base64")
			h.setBody([]byte(base64.StdEncoding.EncodeToString(attributes(f.Value))))
		}
	}
	return h.replaced
}

func (h *estAnswer) redirect(f Fault) {
	r := h.request
	to := *r.URL
	to.Scheme, to.Host = "https", r.Host
	switch f.Value {
	case "same":
	case "http":
		to.Scheme = "http"
	default:
		if u, err := url.Parse(f.Value); err == nil {
			to.Scheme, to.Host = u.Scheme, u.Host
		}
	}
	code, err := strconv.Atoi(f.param("code"))
	if err != nil {
		code = http.StatusFound
	}
	h.put(code, "")
	h.header.Set("Location", to.String())
}

// retryAfter is the value of the header, "" without one.
func (f Fault) retryAfter(now time.Time) string {
	if f.RetryAfter > 0 {
		return strconv.Itoa(f.RetryAfter)
	}
	text := f.param("retry-after")
	if later, ok := strings.CutPrefix(text, "date+"); ok {
		if d, err := time.ParseDuration(strings.TrimSuffix(later, "s") + "s"); err == nil {
			return now.Add(d).UTC().Format(http.TimeFormat)
		}
	}
	return text
}

func (h *estAnswer) put(status int, retryAfter string) {
	h.header = http.Header{}
	h.body.Reset()
	h.status = status
	if retryAfter != "" {
		h.header.Set("Retry-After", retryAfter)
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
// as it is, but for the faults that are about it: those that change answers are about
// the answer to a client that is known.
func (h *estAnswer) finish(ctx context.Context) {
	if h.status == http.StatusUnauthorized && !h.replaced {
		for _, f := range h.registry.bite(h.scope, func(f Fault) bool { return f.Kind == "challenge" }, h.place, ESTAny) {
			h.challenge(f.Value)
		}
	}
	if h.status != http.StatusOK || h.replaced {
		h.send()
		return
	}
	change := func(f Fault) bool { return !inPlace(f) && f.Kind != "challenge" && !isPlainKey(f) && !isExpect(f) }
	faults := h.registry.bite(h.scope, change, h.place, ESTAny)
	for _, f := range faults {
		if h.shape.take(f) {
			continue
		}
		if h.change(ctx, f) {
			return
		}
	}
	if h.shape.raw {
		h.sendRaw(ctx)
	}
	h.send()
}

// Opaque is what a client is to give back that answers a challenge with it.
const Opaque = "a0 b1,c2"

var nonce = regexp.MustCompile(`nonce="[^"]*"`)

// challenge changes the challenge of a 401.
func (h *estAnswer) challenge(how string) {
	name := "WWW-Authenticate" // not as net/http writes it, but as libest wants it
	own := strings.Join(h.header[name], ", ")
	if own == "" {
		return
	}
	switch how {
	case "lower":
		scheme, rest, _ := strings.Cut(own, " ")
		h.header[name] = []string{strings.ToLower(scheme) + " " + rest}
	case "unknown-first":
		h.header[name] = []string{`Newauth realm="apps"`, own}
	case "unknown-in-line":
		h.header[name] = []string{`Newauth realm="apps", type=1, ` + own}
	case "unknown-only":
		h.header[name] = []string{`Newauth realm="apps"`}
	case "more":
		h.header[name] = []string{`Basic realm="apps"`, own + `, opaque="` + Opaque + `", future="yes"`}
	case "stale":
		h.header[name] = []string{nonce.ReplaceAllString(own, `nonce="of long ago"`)}
	}
}

// change does what a fault does to a good answer, and tells whether it has sent
// it.
func (h *estAnswer) change(ctx context.Context, f Fault) (sent bool) {
	var err error
	switch f.Kind {
	case "content-type":
		h.header["Content-Type"] = []string{f.Value}
	case "no-content-type":
		h.header["Content-Type"] = nil // net/http makes up none then
	case "cte":
		delete(h.header, "Content-Transfer-Encoding")
		if f.Value != "none" {
			h.header.Set("Content-Transfer-Encoding", f.Value)
		}
	case "status":
		h.status = f.number
		if after := f.retryAfter(h.registry.now()); after != "" {
			h.header.Set("Retry-After", after)
		}
		if f.number == http.StatusNoContent {
			h.setBody(nil)
			h.header.Del("Content-Length")
		}
	case "single-line":
		h.setBody([]byte(strings.Join(strings.Fields(h.body.String()), "")))
	case "base64":
		h.reform(f.Value)
	case "gzip":
		h.compress()
	case "p7":
		err = h.rearrange(f.Value)
	case "certificate":
		err = h.recertify(f.Value)
	case "parts":
		err = h.repart(f.Value)
	case "garbage":
		h.setBody(h.encode([]byte("This is no PKCS #7, though it is base64 and long enough to look like one.")))
	case "wrong-key":
		var other []byte
		if other, err = otherCertificate(); err == nil {
			h.setCertificates(other)
		}
	case "two-certificates":
		var other []byte
		if other, err = otherCertificate(); err == nil {
			h.setCertificates(append(h.certificates(), other)...)
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
		h.drip(ctx, f)
		hangUp()
	}
	if err != nil {
		h.registry.log.Error("a fault could not be made", zap.Stringer("fault", f), zap.Error(err))
	}
	return false
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
