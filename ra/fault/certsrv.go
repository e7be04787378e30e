package fault

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"ciscora/internal/spnego"
)

// Pages is what the built-in CA gives a fault: answers as IIS, or the CA behind
// it, gives them, with the numbers that go into its log.
type Pages interface {
	// AnswerAs answers as the kind of the catalog says; false for a kind that it
	// does not know.
	AnswerAs(w http.ResponseWriter, r *http.Request, kind string) bool
	// InLanguage returns a request that is answered in a language.
	InLanguage(r *http.Request, language string) *http.Request
	// LoggedIn tells whether somebody has logged in on r's connection.
	LoggedIn(r *http.Request) bool
	// RequestsBefore tells how many requests came before r on its connection.
	RequestsBefore(r *http.Request) int
	// Renew renews the CA's certificate until it has been renewed n times.
	Renew(n int) error
	// OtherCertificate makes a certificate for another key, in DER.
	OtherCertificate() ([]byte, error)
}

// placeOfPage tells which place a request for a page of the CA is at: the log-in
// where it carries the answer to the challenge (or a password), else the page.
func placeOfPage(r *http.Request) Place {
	switch path := strings.ToLower(r.URL.Path); {
	case strings.HasSuffix(path, "/certrqxt.asp"):
		return CertsrvTemplate
	case strings.HasSuffix(path, "/certfnsh.asp"):
		return CertsrvSubmit
	case strings.HasSuffix(path, "/certnew.cer"):
		return CertsrvFetch
	case strings.HasSuffix(path, "/certnew.p7b"):
		return CertsrvChain
	case strings.HasSuffix(path, "/certcrl.crl"):
		return CertsrvCRL
	}
	return ""
}

// logsIn tells whether a request proves who it is: it is then that IIS asks a
// domain controller.
func logsIn(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok {
		return false
	}
	if strings.EqualFold(scheme, "Basic") {
		return true
	}
	return ntlmType(token) == 3
}

// begins tells whether a request is the first of a log-in.
func begins(r *http.Request) bool {
	_, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return ok && ntlmType(token) == 1
}

// ntlmType is the type of the NTLM message in a token, which may be in SPNEGO: 1 begins
// a log-in, 3 answers the challenge (MS-NLMP 2.2.1). A first token of SPNEGO begins one,
// whatever is in it. 0 = no message.
func ntlmType(token string) byte {
	message, err := base64.StdEncoding.DecodeString(strings.TrimSpace(token))
	if err != nil {
		return 0
	}
	if spnego.IsInit(message) {
		return 1
	}
	if response, err := spnego.ParseResponse(message); err == nil {
		message = response.Token
	}
	if len(message) <= 8 {
		return 0
	}
	return message[8]
}

// Certsrv decorates the handler of the built-in CA's pages. It belongs inside the
// access log, so that IIS's log tells of the faults.
func (r *Registry) Certsrv(pages Pages) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			scope := r.scopeAt(req.RemoteAddr)
			req = req.WithContext(context.WithValue(req.Context(), caScopeKey{}, scope))
			for _, f := range r.bite(scope, func(f Fault) bool { return f.Kind == "renewed" }, CertsrvCA) {
				if err := pages.Renew(f.number); err != nil {
					pages.AnswerAs(w, req, "500")
					return
				}
			}
			before := pages.RequestsBefore(req)
			if used := func(f Fault) bool { return isKeepAlive(f) && before >= f.number }; len(r.bite(scope, used, CertsrvAny)) > 0 {
				w.Header().Set("Connection", "close")
			}
			for _, f := range r.bite(scope, isClock, CertsrvAny) {
				w.Header().Set("Date", r.now().Add(f.delay).UTC().Format(http.TimeFormat))
			}
			anonymous := req.Header.Get("Authorization") == "" && !pages.LoggedIn(req)
			if anonymous || begins(req) && !logsIn(req) {
				first := func(f Fault) bool { return isUnasked(f) || isOffer(f) && (before == 0 || !anonymous) }
				if faults := r.bite(scope, first, CertsrvLogin); len(faults) > 0 {
					pages.AnswerAs(w, req, faults[0].Kind)
					return
				}
			}
			places := []Place{CertsrvAny, placeOfPage(req)}
			switch {
			case logsIn(req):
				places = []Place{CertsrvLogin}
				if page := placeOfPage(req); page != "" {
					places = append(places, page) // a log-in with the page's own request
				}
			case begins(req):
				next.ServeHTTP(w, req)
				return
			}
			// Who has not logged in sees no page of ASP's, and spends no fault that is one.
			stranger := !logsIn(req) && !pages.LoggedIn(req)
			faults := r.bite(scope, func(f Fault) bool {
				return !isOffer(f) && !isClock(f) && !isKeepAlive(f) && !isPolicy(f) && (!stranger || !isASP(f))
			}, places...)
			if len(faults) == 0 {
				next.ServeHTTP(w, req)
				return
			}
			r.disturb(pages, faults, next, w, req)
		})
	}
}

func isKeepAlive(f Fault) bool { return f.Kind == "keepalive" }

func isClock(f Fault) bool { return f.Kind == "clock" }

// isOffer tells which faults are about the log-ins that IIS offers.
func isOffer(f Fault) bool { return f.Kind == "basic-only" || f.Kind == "kerberos-only" }

// isUnasked tells which answers come from before IIS has asked who it is: from http.sys,
// from what the site demands of a connection, and from a site without such a page.
func isUnasked(f Fault) bool {
	return f.Kind == "503" || f.Kind == "404" || f.Kind == "403.4" || f.Kind == "403.7"
}

// isASP tells which faults are pages that ASP makes.
func isASP(f Fault) bool { return f.Kind == "service-stopped" || f.Kind == "asp-timeout" }

// isPolicy tells which faults the CA's policy has, and not its pages.
func isPolicy(f Fault) bool {
	return f.Kind == "denied" || f.Kind == "pending" || f.Kind == "absent" || f.Kind == "wrong-key" && f.Place != CertsrvFetch
}

func (r *Registry) disturb(pages Pages, faults []Fault, next http.Handler, w http.ResponseWriter, req *http.Request) {
	h := hold(w)
	answered := false
	readBody(req)
	for _, f := range faults {
		r.pause(req.Context(), w, f, true)
		if f.Kind == "language" {
			req = pages.InLanguage(req, f.Value)
		}
		if !answered && pages.AnswerAs(h, req, f.Kind) {
			answered = true
		}
	}
	if !answered {
		next.ServeHTTP(h, req)
	}
	for _, f := range faults {
		switch f.Kind {
		case "wrong-key":
			if der, err := pages.OtherCertificate(); err == nil {
				h.body.Reset()
				h.body.WriteString("-----BEGIN CERTIFICATE-----\r\n" + wrap(der, 64, "\r\n") + "-----END CERTIFICATE-----\r\n")
				h.header.Del("Content-Length")
			}
		case "drip":
			h.drip(req.Context(), f)
			hangUp()
		case "truncate":
			h.truncate()
		}
	}
	h.send()
}

type caScopeKey struct{}

// Verdict is what the policy's faults make of a request.
type Verdict struct {
	Denied   uint32 // the HRESULT; 0 = not denied
	Pending  bool
	OtherKey bool // certify another key
}

// Policy returns what the faults make of a request that the CA's policy is about
// to decide. ctx is that of the request for certfnsh.asp.
func (r *Registry) Policy(ctx context.Context) Verdict {
	scope, _ := ctx.Value(caScopeKey{}).(*Scope)
	var v Verdict
	for _, f := range r.bite(scope, isPolicy, CertsrvSubmit, CertsrvCA) {
		switch f.Kind {
		case "denied":
			v.Denied = f.hresult
		case "pending":
			v.Pending = true
		case "wrong-key":
			v.OtherKey = true
		}
	}
	return v
}

// Offered returns the templates of those named that certrqxt.asp lists.
func (r *Registry) Offered(ctx context.Context, names []string) []string {
	scope, _ := ctx.Value(caScopeKey{}).(*Scope)
	for _, f := range r.bite(scope, isPolicy, CertsrvTemplate) {
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return f.Value == "" || strings.EqualFold(name, f.Value) })
	}
	return names
}

func wrap(der []byte, columns int, end string) string {
	text := base64.StdEncoding.EncodeToString(der)
	var b strings.Builder
	for len(text) > 0 {
		n := min(columns, len(text))
		b.WriteString(text[:n] + end)
		text = text[n:]
	}
	return b.String()
}
