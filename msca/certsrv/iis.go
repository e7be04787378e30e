package certsrv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ciscora/msca/ntlm"

	"go.uber.org/zap"
)

const (
	serverIIS     = "Microsoft-IIS/10.0"
	serverHTTPSys = "Microsoft-HTTPAPI/2.0"

	// Limits of IIS's request filtering and of ASP (docs/reference/certsrv.md 1.3).
	maxURL    = 4096
	maxQuery  = 2048
	maxEntity = 200_000

	win32FileNotFound uint32 = 2
	win32Fail         uint32 = 0x80004005 // E_FAIL
)

// answer is a whole response. All of IIS's are short, so they are made before the
// first byte is sent, and Content-Length is always known.
type answer struct {
	status      int
	sub         int    // sc-substatus
	win32       uint32 // sc-win32-status
	server      string // "" = serverIIS
	contentType string
	challenges  []string // WWW-Authenticate, one header each
	location    string
	allow       string
	close       bool // the connection ends with it
	asp         bool // made by an ASP page: it has a session, and is private
	body        []byte
}

// call is a request by someone who has logged in.
type call struct {
	*http.Request
	who   *ntlm.Identity
	query params
}

type page func(call) *answer

// iis is the web server's part of a Server.
type iis struct {
	server  *Server
	pages   map[string]page // by path in lower case
	session string          // name of the ASP session cookie
}

func newIIS(s *Server) (*iis, error) {
	suffix, err := letters(s.opts.Rand, 8)
	if err != nil {
		return nil, err
	}
	return &iis{server: s, session: "ASPSESSIONID" + suffix, pages: map[string]page{
		"/certsrv":              s.root,
		"/certsrv/":             s.landing,
		"/certsrv/default.asp":  s.landing,
		"/certsrv/certrqxt.asp": s.certrqxt,
		"/certsrv/certfnsh.asp": s.certfnsh,
		"/certsrv/certnew.cer":  s.certnewCer,
		"/certsrv/certnew.p7b":  s.certnewP7B,
		"/certsrv/certcarc.asp": s.certcarc,
		"/certsrv/certcrl.crl":  s.certcrl,
	}}, nil
}

func (i *iis) handler() http.Handler {
	var h http.Handler = http.HandlerFunc(i.serve)
	for _, wrap := range slices.Backward(i.server.opts.Middleware) {
		h = wrap(h)
	}
	h = i.bounded(counted(accessLog(h, i.server.opts.Now, i.server.opts.AccessLog)))
	if around := i.server.opts.Around; around != nil {
		h = around(h)
	}
	return h
}

// counted counts the requests of each connection.
func counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
			c.requests++
		}
		next.ServeHTTP(w, r)
	})
}

func (i *iis) serve(w http.ResponseWriter, r *http.Request) {
	i.write(w, r, i.answer(w, r))
}

func (i *iis) answer(w http.ResponseWriter, r *http.Request) *answer {
	path := strings.ToLower(r.URL.Path)
	switch {
	case len(r.URL.EscapedPath()) > maxURL:
		return staticError(http.StatusNotFound, 14, 0)
	case len(r.URL.RawQuery) > maxQuery:
		return staticError(http.StatusNotFound, 15, 0)
	case path != "/certsrv" && !strings.HasPrefix(path, "/certsrv/"):
		return staticError(http.StatusNotFound, 0, win32FileNotFound)
	}
	body, err := readBody(w, r)
	if refused := i.server.opts.Manner.refused(r, i.server.opts.Hosts); refused != nil {
		return refused
	}
	who, refused := i.logIn(w.Header(), r)
	if refused != nil {
		return refused
	}
	entryOf(r.Context()).user = who.String()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return staticError(http.StatusInternalServerError, 100, win32Fail)
	case err != nil:
		return staticError(http.StatusBadRequest, 0, win32NetnameDeleted)
	}
	p, ok := i.pages[path]
	if !ok {
		return staticError(http.StatusNotFound, 0, win32FileNotFound)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		a := staticError(http.StatusMethodNotAllowed, 0, 1)
		a.allow = "GET, HEAD, POST"
		return a
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return p(call{Request: r, who: who, query: parseParams(r.URL.RawQuery)})
}

// readBody reads a body whole, before it is known whether the request may log in:
// a 401 must leave the connection in order for the next leg. ASP takes no more
// than maxEntity bytes.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	// The error of a connection that has no deadlines changes nothing.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEntity))
	_ = control.SetReadDeadline(time.Time{})
	return body, err
}

// write sends an answer with IIS's headers (docs/reference/certsrv.md 1.5).
func (i *iis) write(w http.ResponseWriter, r *http.Request, a *answer) {
	l := entryOf(r.Context())
	l.sub, l.win32 = a.sub, a.win32
	h := w.Header()
	h.Set("Server", serverIIS)
	if a.server != "" {
		h.Set("Server", a.server)
	} else {
		h.Set("X-Powered-By", "ASP.NET")
	}
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	if len(a.challenges) > 0 {
		h["WWW-Authenticate"] = a.challenges // not Go's spelling, but IIS's
	}
	if a.location != "" {
		h.Set("Location", a.location)
	}
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
	if a.close {
		h.Set("Connection", "close")
	}
	if a.asp {
		h.Set("Cache-Control", "private")
		if _, err := r.Cookie(i.session); err != nil {
			if id, err := letters(i.server.opts.Rand, 24); err == nil {
				h.Set("Set-Cookie", i.session+"="+id+"; secure; path=/")
			}
		}
	}
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	manner := &i.server.opts.Manner
	if *manner != (Manner{}) && c != nil {
		manner.answer(r, a, h, c.requests)
		if manner.PerRequest {
			c.who = nil
		}
		if c.styled != nil {
			c.styled.expectHead(r)
		}
	}
	w.WriteHeader(a.status)
	if r.Method == http.MethodHead {
		return
	}
	if err := send(w, manner.pieces(a.body)); err != nil {
		i.server.opts.Logger.Debug("answer not sent", zap.String("path", r.URL.Path), zap.Error(err))
	}
}

// send writes a body; each but the last of its pieces leaves before the next one.
func send(w http.ResponseWriter, pieces [][]byte) error {
	for n, piece := range pieces {
		if _, err := w.Write(piece); err != nil { //nolint:gosec // what pages repeat they have escaped
			return err
		}
		if n == len(pieces)-1 {
			break
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
	}
	return nil
}

// letters returns n random capital letters.
func letters(random io.Reader, n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("certsrv: read a random session id: %w", err)
	}
	for i := range b {
		b[i] = 'A' + b[i]%26
	}
	return string(b), nil
}
