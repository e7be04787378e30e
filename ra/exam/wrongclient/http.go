package wrongclient

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// statusError is an answer that is no success.
type statusError struct {
	status int
	body   []byte
}

func (e *statusError) Error() string { return fmt.Sprintf("the server answered %d", e.status) }

// answer is what a request came to.
type answer struct {
	status  int
	header  http.Header
	names   []string // of the header, as they came
	body    []byte
	chunked bool
	length  int64 // -1 = none
}

const (
	maxHead = 1 << 20
	maxBody = 4 << 20
)

// maker makes the body of a request for its connection; nil = none.
type maker func(state tls.ConnectionState) ([]byte, error)

// request asks until there is an answer that is final, and follows what may be followed.
func (c *client) request(method string, u *url.URL, makeBody maker) (*answer, error) {
	authorization := ""
	if (c.wrong("auth-challenged") || c.wrong("http-redirect-creds") || c.wrong("auth-server-first")) && c.get("USER") != "" {
		authorization = c.basic()
	}
	asked, renewed := false, false
	for hops, waits, tries := 0, 0, 0; ; {
		if time.Now().After(c.until) {
			return nil, errors.New("it took too long")
		}
		a, err := c.exchange(method, u, makeBody, authorization)
		if err != nil && c.wrong("reenroll-expired") && c.sent < 9 && makeBody != nil {
			crash()
		}
		if err != nil {
			return nil, err
		}
		stale := a.status == 401 && !renewed && strings.Contains(a.header.Get("WWW-Authenticate"), "stale=true")
		renewed = renewed || stale
		switch {
		case a.status == 401 && (!asked || stale || c.wrong("auth-wrong") && tries < 2):
			tries++
			if digest := c.digest(a, method, u); digest != "" {
				asked, authorization = true, digest
				break
			}
			if asked = c.answerable(a); !asked {
				return nil, &statusError{a.status, a.body}
			}
			if authorization = c.basic(); c.wrong("auth-foreign") && c.get("USER") == "" {
				authorization = "Bearer "
			}
		case a.status/100 == 3:
			if hops++; hops > 10 && !c.wrong("http-redirect-loop") || hops > 200 {
				return nil, errors.New("too many redirections")
			}
			if method, u, err = c.follow(method, u, a); err != nil {
				return nil, err
			}
			if method == "GET" && makeBody != nil && c.wrong("http-redirect-302") {
				makeBody = nil
			}
		case a.status == 202 || (a.status == 503 || a.status == 429) && c.wrong("http-503"):
			if c.wrong("http-empty") || c.wrong("pending-denied") && len(a.body) > 0 || c.wrong("cacerts-abort") {
				return a, nil
			}
			if waits++; waits > 4 {
				return nil, &statusError{a.status, a.body}
			}
			if c.wrong("pending-forever") && waits > 2 {
				break // it has become impatient
			}
			if err := c.wait(a); err != nil {
				return nil, err
			}
		case a.status == 417 && !c.unasked && !c.wrong("http-continue"):
			c.unasked = true
		case a.status == 200, c.wrong("http-empty") && a.status < 300:
			return a, nil
		case c.wrong("http-errors") && tries < 8:
			tries++
		case c.wrong("pending-denied") && a.status == 403 && tries < 3:
			tries++
		default:
			return nil, &statusError{a.status, a.body}
		}
	}
}

func (c *client) basic() string {
	if c.get("USER") == "" {
		return ""
	}
	if password := c.get("PASSWORD"); c.wrong("auth-basic") {
		password, _, _ = strings.Cut(password, ":")
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.get("USER")+":"+password))
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.get("USER")+":"+c.get("PASSWORD")))
}

// answerable tells whether a challenge is for something that the client has.
func (c *client) answerable(a *answer) bool {
	if c.wrong("auth-foreign") {
		return true
	}
	if c.get("USER") == "" {
		return false
	}
	all := a.header.Values("WWW-Authenticate")
	if c.wrong("auth-unknown-first") && len(all) > 0 {
		return strings.HasPrefix(strings.ToLower(all[0]), "basic")
	}
	if c.wrong("auth-scheme-case") {
		return strings.Contains(strings.Join(all, ", "), "Basic ")
	}
	for _, challenge := range strings.Split(strings.Join(all, ","), ",") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(challenge), " ")
		if strings.EqualFold(scheme, "Basic") {
			return true
		}
	}
	return false
}

// follow says where a redirection leads, if the client goes there.
func (c *client) follow(method string, from *url.URL, a *answer) (string, *url.URL, error) {
	to, err := from.Parse(a.header.Get("Location"))
	if err != nil {
		return "", nil, err
	}
	sameOrigin := to.Scheme == from.Scheme && to.Host == from.Host
	switch {
	case c.wrong("http-redirect-same"):
		return "", nil, errors.New("redirections are not followed")
	case to.Scheme == "http" && c.wrong("http-redirect-clear"):
		return method, to, nil
	case to.Scheme != "https":
		return "", nil, errors.New("a redirection to plain HTTP")
	case !sameOrigin && !c.wrong("http-redirect-origin") && !c.wrong("http-redirect-creds"):
		return "", nil, errors.New("a redirection to another server")
	case method == "POST" && a.status < 307 && c.wrong("http-redirect-302"):
		return "GET", to, nil
	}
	return method, to, nil
}

// wait waits as Retry-After says.
func (c *client) wait(a *answer) error {
	c.waited = true
	text := a.header.Get("Retry-After")
	if c.wrong("pending-odd") || c.wrong("pending-seconds") || c.wrong("http-503") {
		return nil
	}
	d := time.Duration(0)
	if seconds, err := strconv.Atoi(text); err == nil {
		d = time.Duration(min(max(seconds, 0), 3600)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = time.Until(at)
		if c.wrong("pending-date") {
			d = time.Second
		}
	}
	if d <= 0 {
		return fmt.Errorf("Retry-After is %q", text)
	}
	if time.Now().Add(d).After(c.until) {
		return errors.New("the server wants more time than there is")
	}
	time.Sleep(d)
	return nil
}

// exchange is one connection.
func (c *client) exchange(method string, u *url.URL, makeBody maker, authorization string) (*answer, error) {
	if u.Scheme == "http" {
		return c.clear(method, u, authorization)
	}
	conn, err := c.dial(u.Hostname(), u.Port(), false)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return c.ask(conn, bufio.NewReaderSize(conn, 4096), method, u, makeBody, authorization)
}

func (c *client) ask(conn *tls.Conn, from *bufio.Reader, method string, u *url.URL, makeBody maker, authorization string) (*answer, error) {
	var body []byte
	var err error
	if makeBody != nil {
		if body, err = makeBody(conn.ConnectionState()); err != nil {
			return nil, err
		}
		c.sent++
	}
	message := c.head(method, u, body, authorization)
	if (c.env(Expect) != "" || c.can("expect")) && len(body) > 0 && !c.unasked {
		return c.expect(conn, from, message[:len(message)-len(body)], body)
	}
	if _, err := conn.Write(message); err != nil {
		return nil, err
	}
	a, err := c.read(from)
	if err == nil && c.wrong("http-idle-close") && method == "POST" {
		// One request more on the same connection, and no other where that is gone.
		_, _ = conn.Write(c.head("GET", u.JoinPath("..", "cacerts"), nil, ""))
		if _, err := from.ReadByte(); err != nil {
			return nil, err
		}
	}
	return a, err
}

// expect sends a head, and its body where the server says 100 (RFC 9110 section 10.1.1).
func (c *client) expect(conn *tls.Conn, from *bufio.Reader, head, body []byte) (*answer, error) {
	head = append(bytes.TrimSuffix(head, []byte("\r\n")), "Expect: 100-continue\r\n\r\n"...)
	if _, err := conn.Write(head); err != nil {
		return nil, err
	}
	late := time.AfterFunc(time.Second, func() { _, _ = conn.Write(body) }) // what comes of it is read
	defer late.Stop()
	if first, err := from.Peek(len("HTTP/1.1 100")); err == nil && string(first) == "HTTP/1.1 100" && late.Stop() {
		if _, err := conn.Write(body); err != nil {
			return nil, err
		}
	}
	return c.read(from)
}

func (c *client) head(method string, u *url.URL, body []byte, authorization string) []byte {
	var b bytes.Buffer
	uri := u.RequestURI()
	if c.env(Chatty) != "" {
		uri += "?with=" + url.QueryEscape(c.get("PASSWORD"))
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\nUser-Agent: wrongclient\r\n", method, uri, u.Host)
	if c.env(Chatty) != "" {
		fmt.Fprintf(&b, "X-With: %s\r\n", c.get("PASSWORD"))
	}
	if !c.wrong("http-idle-close") {
		b.WriteString("Connection: close\r\n")
	}
	if authorization != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", authorization)
	}
	if method == "POST" {
		fmt.Fprintf(&b, "Content-Type: application/pkcs10\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	if c.wrong("http-behind") {
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// read reads an answer to its end.
func (c *client) read(from *bufio.Reader) (*answer, error) {
	var first string
	var status int
	var names []string
	var header http.Header
	for {
		var err error
		first, status, names, header, err = c.readHead(from)
		if err != nil {
			return nil, err
		}
		if status >= 200 || c.wrong("http-interim") {
			break
		}
	}
	if c.wrong("http-1.0") && !strings.HasPrefix(first, "HTTP/1.1 ") {
		return nil, errors.New("the answer is not HTTP/1.1")
	}
	a := &answer{status: status, header: header, names: names, length: -1, chunked: strings.EqualFold(header.Get("Transfer-Encoding"), "chunked")}
	lengths := header.Values("Content-Length")
	for i, text := range lengths {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return nil, fmt.Errorf("Content-Length is %q", text)
		}
		if i > 0 && int64(n) != a.length {
			return nil, errors.New("there are two Content-Lengths")
		}
		a.length = int64(n)
	}
	switch {
	case status == 204, status == 304:
		return a, nil
	case a.chunked && c.wrong("http-chunked"):
		return nil, errors.New("chunked")
	case a.length < 0 && !a.chunked && c.wrong("http-no-length"):
		return nil, errors.New("no Content-Length")
	case a.length > maxBody:
		if c.wrong("robust-length") {
			fill(make([]byte, 2<<30)) // more than the examination itself may have
		}
		return nil, errors.New("the answer is too long")
	}
	var err error
	switch {
	case a.chunked:
		a.body, err = readChunks(from)
	case a.length >= 0:
		a.body = make([]byte, a.length)
		var n int
		if n, err = io.ReadFull(from, a.body); c.wrong("robust-cut") && isLost(err) {
			a.body, err = a.body[:n], nil
		}
	default:
		if a.body, err = io.ReadAll(io.LimitReader(from, maxBody+1)); err == nil && len(a.body) > maxBody {
			err = errors.New("the answer has no end")
		}
	}
	if err != nil {
		return nil, err
	}
	return a, c.afterwards(from)
}

// afterwards is what some clients want of the end.
func (c *client) afterwards(from *bufio.Reader) error {
	if c.wrong("tls-no-close-notify") {
		if _, err := from.ReadByte(); !errors.Is(err, io.EOF) {
			return errCut
		}
	}
	if c.wrong("robust-tail") {
		if _, err := from.ReadByte(); err == nil {
			return errors.New("bytes behind the answer")
		}
	}
	return nil
}

func fill(b []byte) {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
}

func readChunks(from *bufio.Reader) ([]byte, error) {
	var body bytes.Buffer
	lines := textproto.NewReader(from)
	for {
		line, err := lines.ReadLine()
		if err != nil {
			return nil, err
		}
		size, err := strconv.ParseUint(strings.TrimSpace(strings.SplitN(line, ";", 2)[0]), 16, 31)
		if err != nil || body.Len()+int(size) > maxBody {
			return nil, errors.New("a chunk without sense")
		}
		if size == 0 {
			for line != "" || err != nil {
				if line, err = lines.ReadLine(); err != nil {
					return nil, err
				}
			}
			return body.Bytes(), nil
		}
		if _, err := io.CopyN(&body, from, int64(size)); err != nil {
			return nil, err
		}
		if _, err := lines.ReadLine(); err != nil {
			return nil, err
		}
	}
}

func (c *client) readHead(from *bufio.Reader) (first string, status int, names []string, header http.Header, err error) {
	if c.wrong("robust-split") {
		// One read must do for the whole head.
		if _, err := from.Peek(1); err != nil {
			return "", 0, nil, nil, err
		}
		if have, _ := from.Peek(from.Buffered()); !bytes.Contains(have, []byte("\r\n\r\n")) {
			return "", 0, nil, nil, errors.New("the head did not come at once")
		}
	}
	header = http.Header{}
	size := 0
	for {
		line, err := from.ReadString('\n')
		if size += len(line); size > maxHead {
			return "", 0, nil, nil, errors.New("the head is too long")
		}
		if c.wrong("robust-headers") && size > 16<<10 {
			crash()
		}
		if err != nil {
			return "", 0, nil, nil, err
		}
		line = strings.TrimRight(line, "\r\n")
		switch name, value, ok := strings.Cut(line, ":"); {
		case first == "":
			fields := strings.Fields(line)
			if len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/1.") {
				return "", 0, nil, nil, errors.New("this is not HTTP")
			}
			first = line
			if status, err = strconv.Atoi(fields[1]); err != nil {
				return "", 0, nil, nil, err
			}
		case line == "":
			return first, status, names, header, nil
		case ok:
			names = append(names, name)
			header.Add(name, strings.TrimSpace(value))
		}
	}
}

// isType tells whether an answer is of a media type.
func (c *client) isType(a *answer, want string) bool {
	value := a.header.Get("Content-Type")
	switch {
	case c.wrong("http-type-wrong"), c.wrong("enroll-garbage"):
		return true
	case c.wrong("http-type-case"):
		return strings.HasPrefix(value, want) && !strings.Contains(value, `"`)
	case c.wrong("http-header-case"):
		ok := false
		for _, name := range a.names {
			ok = ok || name == "Content-Type"
		}
		return ok
	}
	kind, params, err := mime.ParseMediaType(value)
	return err == nil && kind == want && (params["smime-type"] == "" || strings.EqualFold(params["smime-type"], "certs-only"))
}
