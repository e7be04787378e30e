package est

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/go-chi/chi/v5"
)

// prefix is where EST lives (RFC 7030 §3.2.2).
const prefix = "/.well-known/est"

// operation is one row of RFC 7030 §3.2.2's table.
type operation struct {
	name    string
	methods []string
	// csr tells that the request brings a CSR.
	csr   bool
	serve func(s *Server, x *exchange, w http.ResponseWriter, r *http.Request) error
}

// operations are those that are served; fullcmc is answered with why it is not.
func (s *Server) operations() []operation {
	read := []string{http.MethodGet, http.MethodHead}
	all := []operation{
		{name: "cacerts", methods: read, serve: (*Server).cacerts},
		{name: "csrattrs", methods: read, serve: (*Server).csrattrs},
		{name: "simpleenroll", methods: []string{http.MethodPost}, csr: true, serve: (*Server).simpleenroll},
		{name: "simplereenroll", methods: []string{http.MethodPost}, csr: true, serve: (*Server).simplereenroll},
		{name: "fullcmc", methods: []string{http.MethodPost}, serve: (*Server).fullcmc},
	}
	if s.serverKeygen {
		all = append(all, operation{name: "serverkeygen", methods: []string{http.MethodPost}, csr: true, serve: (*Server).serverkeygen})
	}
	return all
}

// isOperation tells whether a path segment names an operation, served or not: it
// can be no label then (RFC 7030 §3.2.2).
func isOperation(segment string) bool {
	switch segment {
	case "cacerts", "simpleenroll", "simplereenroll", "fullcmc", "serverkeygen", "csrattrs":
		return true
	}
	return false
}

// routes returns the router: each operation under the prefix, and under the
// prefix and a label.
func (s *Server) routes(middleware []func(http.Handler) http.Handler) http.Handler {
	router := chi.NewRouter()
	for _, op := range s.operations() {
		handler := wrap(s.perform(op), middleware)
		router.Handle(prefix+"/"+op.name, s.begin(op.name, false, handler))
		router.Handle(prefix+"/{label}/"+op.name, s.begin(op.name, true, handler))
	}
	router.NotFound(s.lost)
	// chi comes here with methods that it has never heard of.
	router.MethodNotAllowed(s.strangeMethod)
	return router
}

func wrap(h http.Handler, middleware []func(http.Handler) http.Handler) http.Handler {
	for _, m := range slices.Backward(middleware) {
		h = m(h)
	}
	return h
}

// begin notes operation and label, reports the request, and lets it go on if
// there is such a label.
func (s *Server) begin(name string, labelled bool, next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := exchangeOf(r.Context())
		label := labelOf(r)
		s.received(x, r, name, label)
		if labelled {
			if why, ok := s.checkLabel(label); !ok {
				s.fail(x, w, r, &refusal{why: why, text: "no such label: see that the path is the one that was configured for this client"})
				return
			}
			if s.dialectOf != nil {
				if style, err := s.dialectOf(label).style(); err == nil {
					x.style = style
				}
			}
		}
		next.ServeHTTP(w, r)
	}
}

// labelOf returns the decoded label in r's path, "" without one.
func labelOf(r *http.Request) string {
	label := chi.URLParam(r, "label")
	if r.URL.RawPath == "" { // chi routes by the raw path where there is one
		return label
	}
	decoded, err := url.PathUnescape(label)
	if err != nil {
		return label
	}
	return decoded
}

func (s *Server) checkLabel(label string) (why reason, ok bool) {
	switch {
	case isOperation(label):
		return refusedOperation, false
	case label == "", s.label == nil,
		!s.style.label(len(label)),
		strings.ContainsRune(label, '/'),
		strings.ContainsFunc(label, unicode.IsControl),
		!s.label(label):
		return refusedLabel, false
	}
	return 0, true
}

// perform checks what can be checked before anybody is asked, in libest's order
// (docs/reference/libest.md, "Order of checks"), and serves the operation.
func (s *Server) perform(op operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchangeOf(r.Context())
		err := s.checkHead(op, x, r)
		if err == nil {
			err = op.serve(s, x, w, r)
		}
		if err != nil {
			s.fail(x, w, r, err)
		}
	})
}

func (s *Server) checkHead(op operation, x *exchange, r *http.Request) error {
	switch {
	case r.ContentLength > s.limits.Body:
		return s.oversized(x, r)
	case !slices.Contains(op.methods, r.Method):
		return wrongMethod(op)
	case op.csr && r.ContentLength == 0 && r.Header.Get("Content-Length") == "":
		return &refusal{why: refusedLength, text: "the request has no body: send the PKCS #10 request, DER in base64, with its Content-Length"}
	case op.csr && !x.style.contentType(r.Header.Get("Content-Type")):
		return &refusal{why: refusedType, text: "the Content-Type is not " + typePKCS10 + ": send the CSR as that (RFC 7030 section 4.2.1)"}
	}
	return nil
}

func wrongMethod(op operation) *refusal {
	allow := strings.Join(op.methods, ", ")
	return &refusal{why: refusedMethod, allow: allow, text: "wrong method for /" + op.name + ": use " + allow}
}

// lost answers requests whose path leads to no operation.
func (s *Server) lost(w http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r.Context())
	s.received(x, r, "", "")
	if r.ContentLength > s.limits.Body {
		s.fail(x, w, r, s.oversized(x, r))
		return
	}
	s.fail(x, w, r, &refusal{
		why:  s.style.path(r.URL.Path),
		text: "no such operation: this server has /cacerts, /csrattrs, /simpleenroll and /simplereenroll under " + prefix + ", with or without a label before them",
	})
}

func (s *Server) strangeMethod(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	for _, op := range s.operations() {
		if op.name == name {
			x := exchangeOf(r.Context())
			s.received(x, r, op.name, "")
			s.fail(x, w, r, wrongMethod(op))
			return
		}
	}
	s.lost(w, r)
}
