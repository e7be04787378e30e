package certsrv

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// mannerListener gives its connections a manner of writing heads.
type mannerListener struct {
	net.Listener
	manner *Manner
}

// Accept implements [net.Listener].
func (l mannerListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &mannerConn{Conn: c, manner: l.manner}, nil
}

// mannerConn rewrites the head of an answer after net/http, which has an order and a
// case of its own. Its handler tells when one comes; both are of one goroutine.
type mannerConn struct {
	net.Conn
	manner *Manner
	form   bool   // the answer is one to a form
	due    bool   // what is written next is a head
	head   []byte // of it so far
}

func (c *mannerConn) expectHead(r *http.Request) {
	c.due, c.form = true, r.Method == http.MethodPost
}

// Write implements [net.Conn].
func (c *mannerConn) Write(p []byte) (int, error) {
	if !c.due {
		return c.Conn.Write(p)
	}
	c.head = append(c.head, p...)
	end := bytes.Index(c.head, []byte("\r\n\r\n"))
	if end < 0 {
		return len(p), nil
	}
	head, body := c.manner.head(string(c.head[:end])), c.head[end+4:]
	if c.form {
		head = strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", c.manner.Continues) + head
	}
	c.due, c.head = false, nil
	if c.manner.SplitHead {
		half := len(head) / 2
		if _, err := c.Conn.Write([]byte(head[:half])); err != nil {
			return 0, err
		}
		head = head[half:]
	}
	if _, err := c.Conn.Write(append([]byte(head), body...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// NetConn returns the connection beneath.
func (c *mannerConn) NetConn() net.Conn { return c.Conn }

// CloseWrite lets net/http say TLS's farewell before it closes.
func (c *mannerConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// head is an answer's head in this manner, with the empty line that ends it.
func (m *Manner) head(text string) string {
	lines := strings.Split(text, "\r\n")
	status, fields := lines[0], lines[1:]
	if m.NoReason {
		status = strings.Join(strings.SplitN(status, " ", 3)[:2], " ") + " "
	}
	if m.HeaderOrder != 0 {
		// Those of one name keep their order, which has a meaning.
		challenges := slices.DeleteFunc(slices.Clone(fields), func(s string) bool { return !isChallenge(s) })
		r := rand.New(rand.NewPCG(m.HeaderOrder, uint64(len(text)))) //nolint:gosec // an order, no secret
		r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		for i, f := range fields {
			if isChallenge(f) {
				fields[i], challenges = challenges[0], challenges[1:]
			}
		}
	}
	blank := map[string]string{"": " ", "none": "", "tab": "\t", "two": "  "}[m.HeaderBlank]
	for i, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		switch m.HeaderCase {
		case "lower":
			name = strings.ToLower(name)
		case "upper":
			name = strings.ToUpper(name)
		}
		fields[i] = name + ":" + blank + strings.TrimSpace(value)
	}
	return status + "\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
}

func isChallenge(field string) bool {
	return strings.HasPrefix(strings.ToLower(field), "www-authenticate:")
}

// answer changes an answer and its headers before they are sent; asked is the number of
// its request on the connection.
func (m *Manner) answer(r *http.Request, a *answer, h http.Header, asked int) {
	isList := len(a.challenges) > 1
	if isList {
		list := slices.Clone(a.challenges)
		switch m.Providers {
		case "reversed":
			slices.Reverse(list)
		case "one-header":
			list = []string{strings.Join(list, ", ")}
		}
		h["WWW-Authenticate"] = list
	}
	isChallengeLeg := a.status == http.StatusUnauthorized && !isList
	if !isChallengeLeg && (m.CloseOn401 && isList || m.KeepAlive > 0 && asked >= m.KeepAlive) {
		h.Set("Connection", "close")
	}
	switch {
	case a.server != "" || m.Server == "":
	case m.Server == "-":
		delete(h, "Server")
		delete(h, "X-Powered-By")
	default:
		h.Set("Server", m.Server)
	}
	if m.MoreHeaders {
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		h.Set("X-Frame-Options", "SAMEORIGIN")
		h.Set("Persistent-Auth", "true")
		h.Set("Via", "1.1 proxy.lab.test (long "+strings.Repeat("x", 900)+")")
	}
	for i := range m.Cookies {
		h.Add("Set-Cookie", fmt.Sprintf("LB%d=%d.20480.0000; path=/; Httponly; Secure; SameSite=Lax", i, asked))
	}
	if m.Gzip && len(a.body) > 0 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(a.body) // a buffer fails never
		_ = w.Close()
		a.body = b.Bytes()
		h.Set("Content-Encoding", "gzip")
		h.Set("Vary", "Accept-Encoding")
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	switch {
	case m.UntilClose && a.asp && r.Method != http.MethodHead:
		delete(h, "Content-Length")
		h.Set("Transfer-Encoding", "identity") //nolint:gosec // net/http's word for: until the connection's end; the length went the line before
		h.Set("Connection", "close")
	case m.Pieces > 0 && r.Method != http.MethodHead && len(a.body) > 0:
		delete(h, "Content-Length") // chunked
	}
}

// pieces are the parts in which a body is sent.
func (m *Manner) pieces(body []byte) [][]byte {
	if m.Pieces < 2 {
		return [][]byte{body}
	}
	return slices.Collect(slices.Chunk(body, len(body)/m.Pieces+1))
}

// refused is what a strict IIS has against a request; nil = nothing.
func (m *Manner) refused(r *http.Request, hosts []string) *answer {
	if !m.Strict {
		return nil
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if !slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, strings.Trim(host, "[]")) }) {
		return staticError(http.StatusBadRequest, 0, 0)
	}
	if r.Method == http.MethodPost && r.ContentLength < 0 {
		return staticError(http.StatusLengthRequired, 0, 0)
	}
	return nil
}

// isForm tells whether ASP finds a form in a request's body.
func (m *Manner) isForm(r *http.Request) bool {
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return !m.Strict || strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded")
}

// redirect changes what answers to /certsrv.
func (m *Manner) redirect(a *answer, host string) *answer {
	switch m.Redirect {
	case "302":
		a.status = http.StatusFound
	case "relative":
		a.location = "/certsrv/"
	case "http":
		a.location = "http://" + host + "/certsrv/"
	case "upper":
		a.location = "HTTPS://" + strings.ToUpper(host) + "/CertSrv/"
	}
	return a
}
