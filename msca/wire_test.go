package msca_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"ciscora/internal/spnego"
	"ciscora/msca"
	"ciscora/msca/ntlm"
)

// A wire script is what goes over one connection, or over a few, told line by line:
//
//	emulator first 7      the built-in CA does all this, too; so set up: first ReqID,
//	                      binding (which it requires), nothing-to-enroll
//	option binding        the client's options: binding, basic, negotiate, newest
//	do login              what the client does: login, chain, templates, submit, fetch
//	want MESSAGE          what comes of it: "ok TEXT", or "KIND TEXT"; TEXT stands in the outcome, and
//	                      so does each part of "TEXT & TEXT"
//	> GET /certsrv        the request the client must send next
//	> Name: value         a header it must have; {type1}, {type3} are checked as messages
//	> !Name               a header it must not have
//	>> text               what its body must contain, decoded; {empty}: it must have none
//	< 401                 the answer
//	< Name: value         its headers; {challenge} is one to the request's message
//	<< text               a line of its body; {page NAME}, {chain}, {certificate}, {other} stand for files
//	close                 the connection ends after the answer, or in its place where the script has none
//	connection            what follows is on a new connection
//
// Content-Length is added unless the script has one; "{none}" leaves it out.
func TestWireScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/wire/*.txt")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	p := newPKI(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			newScript(t, p, file).play(t)
		})
	}
}

type exchange struct {
	request, body []string
	answer        []string
	content       []string
	closes        bool
	connection    int // the first is 1
}

type step struct{ do, want string }

type script struct {
	pki       *pki
	emulator  []string // nil = the script is not for it
	options   []string
	exchanges []exchange
	steps     []step

	mu       sync.Mutex
	next     int
	problems []string
	opened   int // connections
	acceptor *ntlm.Acceptor
	ntlm     *ntlm.Exchange // of the newest connection
}

func newScript(tb testing.TB, p *pki, file string) *script {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	s, connection := &script{pki: p}, 1
	for n, line := range strings.Split(string(text), "\n") {
		word, rest, _ := strings.Cut(strings.TrimRight(line, " "), " ")
		last := len(s.exchanges) - 1
		switch {
		case word == "" || word == "#":
		case word == "emulator":
			s.emulator = strings.Split(rest, " ")
		case word == "option":
			s.options = append(s.options, rest)
		case word == "do":
			s.steps = append(s.steps, step{do: rest})
		case word == "want":
			s.steps[len(s.steps)-1].want = rest
		case word == "connection":
			connection++
		case word == ">" && (last < 0 || len(s.exchanges[last].answer) > 0 || s.exchanges[last].closes):
			s.exchanges = append(s.exchanges, exchange{request: []string{rest}, connection: connection})
		case word == ">":
			s.exchanges[last].request = append(s.exchanges[last].request, rest)
		case word == ">>":
			s.exchanges[last].body = append(s.exchanges[last].body, rest)
		case word == "<":
			s.exchanges[last].answer = append(s.exchanges[last].answer, rest)
		case word == "<<":
			s.exchanges[last].content = append(s.exchanges[last].content, rest)
		case word == "close":
			s.exchanges[last].closes = true
		default:
			tb.Fatalf("%s:%d: %q", file, n+1, line)
		}
	}
	return s
}

func (s *script) play(t *testing.T) {
	s.acceptor = &ntlm.Acceptor{
		Domain: "LAB", Computer: "LAB-DC",
		Lookup: func(_, _ string) (ntlm.Account, bool) {
			return ntlm.Account{Domain: "LAB", User: "ciscora", NTHash: ntlm.NTHash(password)}, true
		},
	}
	o := s.pki.options(t, func(c net.Conn) {
		s.mu.Lock()
		s.opened++
		s.ntlm = s.acceptor.NewExchange(ntlm.ChannelBinding(s.pki.iis.cert))
		s.mu.Unlock()
		serveTLS(c, s.pki.serverTLS(), s.handle)
	})
	if slices.Contains(s.options, "binding") {
		s.acceptor.Binding = ntlm.BindingRequire
	}
	s.run(t, o)
}

// run does the steps with a client of these options, and those of the script.
func (s *script) run(t *testing.T, o msca.Options) {
	t.Helper()
	for _, option := range s.options {
		switch option {
		case "binding":
			o.ChannelBinding = true
		case "basic", "negotiate":
			o.Authentication = option
		case "newest":
			o.Renewal = msca.RenewalNewest
		default:
			t.Fatalf("option %q", option)
		}
	}
	client := newClient(t, o)
	var session *msca.Session
	defer func() { // what failed must not leave the other side waiting
		if t.Failed() && session != nil {
			session.Close()
		}
	}()
	for _, step := range s.steps {
		var err error
		outcome := ""
		if step.do == "login" {
			session, err = client.Login(t.Context(), account)
		} else {
			outcome, err = s.do(t.Context(), session, step.do)
		}
		word, text, _ := strings.Cut(step.want, " ")
		if word != "ok" {
			e := asError(t, err, msca.Kind(word))
			outcome = fmt.Sprintf("%v reqid=%d curl=%d %s issued=%v works=%v", e, e.ReqID, e.CurlCode, e.CurlText, e.MayHaveIssued(), e.MayStillWork())
			if strings.Contains(outcome, password) {
				t.Error("the error holds the password")
			}
		} else if err != nil {
			t.Fatalf("%s: %v", step.do, err)
		}
		for part := range strings.SplitSeq(text, " & ") {
			if !strings.Contains(outcome, part) {
				t.Errorf("%s: %q, want %q in it", step.do, outcome, part)
			}
		}
	}
	if session != nil {
		if err := session.Close(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.problems {
		t.Error(p)
	}
	if s.next != len(s.exchanges) {
		t.Errorf("%d requests came, the script has %d", s.next, len(s.exchanges))
	}
}

func (s *script) do(ctx context.Context, session *msca.Session, what string) (string, error) {
	word, rest, _ := strings.Cut(what, " ")
	switch word {
	case "chain":
		chain, err := session.Chain(ctx)
		var names []string
		for _, c := range chain {
			names = append(names, c.Subject.CommonName)
		}
		return strings.Join(names, ", "), err
	case "templates":
		list, err := session.Templates(ctx)
		var names []string
		for _, t := range list {
			names = append(names, t.Name)
		}
		return strings.Join(names, ", "), err
	case "submit":
		id, err := session.Submit(ctx, s.pki.csr, strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(rest), nil)
		return strconv.Itoa(id), err
	case "fetch":
		id, err := strconv.Atoi(rest)
		if err != nil {
			return "", err
		}
		cert, err := session.Fetch(ctx, id, s.pki.csr)
		if err != nil {
			return "", err
		}
		return cert.Subject.String(), nil
	case "forget":
		session.SetCredentials(msca.Credentials{})
		return "", nil
	case "look":
		id, err := strconv.Atoi(rest)
		if err != nil {
			return "", err
		}
		cert, err := session.Look(ctx, id)
		if err != nil {
			return "", err
		}
		return cert.Subject.String(), nil
	case "alive":
		return strconv.FormatBool(session.Alive()), nil
	}
	return "", fmt.Errorf("no such step: %q", what)
}

func (s *script) handle(w io.Writer, r *http.Request, body []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next >= len(s.exchanges) {
		s.problems = append(s.problems, "a request too many: "+r.Method+" "+r.RequestURI)
		s.next++
		return false
	}
	e := s.exchanges[s.next]
	s.next++
	if s.opened != e.connection {
		s.problem("on connection %d, want %d", s.opened, e.connection)
	}
	challenge := s.request(e, r, body, s.accept)
	if len(e.answer) == 0 {
		return false
	}
	content := s.content(e.content)
	fmt.Fprintf(w, "HTTP/1.1 %s Status\r\n", e.answer[0])
	hasLength := false
	for _, h := range e.answer[1:] {
		hasLength = hasLength || strings.HasPrefix(h, "Content-Length")
		if strings.Contains(h, "{none}") {
			continue
		}
		fmt.Fprintf(w, "%s\r\n", strings.ReplaceAll(h, "{challenge}", challenge))
	}
	if !hasLength {
		fmt.Fprintf(w, "Content-Length: %d\r\n", len(content))
	}
	fmt.Fprintf(w, "\r\n%s", content)
	return !e.closes
}

// request compares a request with the script's; accept is given its NTLM message, and
// what that returns is returned.
func (s *script) request(e exchange, r *http.Request, body []byte, accept func([]byte) string) (challenge string) {
	if got := r.Method + " " + r.RequestURI; got != e.request[0] {
		s.problem("request %q, want %q", got, e.request[0])
	}
	for _, want := range e.request[1:] {
		name, value, has := strings.Cut(want, ": ")
		switch got := r.Header.Get(name); {
		case !has && r.Header.Get(want[1:]) != "":
			s.problem("header %s is there", want[1:])
		case has && strings.Contains(value, "{type"):
			challenge = accept(s.message(strings.Fields(value), got))
		case has && got != value:
			s.problem("%s: %q, want %q", name, got, value)
		}
	}
	if slices.Contains(e.body, "{empty}") {
		if len(body) > 0 || r.ContentLength != 0 {
			s.problem("a body of %d bytes, want none", r.ContentLength)
		}
		return challenge
	}
	form, err := http.NewRequest(r.Method, "/?"+string(body), nil)
	for _, want := range e.body {
		if err != nil {
			s.problem("body: %v", err)
			break
		}
		name, value, _ := strings.Cut(want, "=")
		value = strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(value)
		if got := form.URL.Query().Get(name); !strings.Contains(got, value) || (value == "" && !form.URL.Query().Has(name)) {
			s.problem("field %s is %q, want %q", name, got, value)
		}
	}
	return challenge
}

func (s *script) problem(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf("request %d: ", s.next)+fmt.Sprintf(format, args...))
}

// message checks an Authorization header against "NTLM {type1}" or "NTLM {type3}"
// and returns the message in it.
func (s *script) message(want []string, got string) []byte {
	scheme, token, _ := strings.Cut(got, " ")
	m, err := base64.StdEncoding.DecodeString(token)
	inner := m
	if scheme == "Negotiate" {
		inner = unwrapped(m)
	}
	if scheme != want[0] || err != nil || len(inner) < 12 || fmt.Sprintf("{type%d}", inner[8]) != want[1] {
		s.problem("Authorization: %.40q, want %v", got, want)
		return nil
	}
	return m
}

// unwrapped is the NTLM message in a token of SPNEGO; nil where there is none.
func unwrapped(token []byte) []byte {
	if in, err := spnego.ParseInit(token); err == nil {
		return in.Token
	}
	if r, err := spnego.ParseResponse(token); err == nil {
		return r.Token
	}
	return nil
}

// accept answers an NTLM message as the CA that the script plays.
func (s *script) accept(message []byte) string {
	if message == nil {
		return ""
	}
	reply, who, err := s.ntlm.Negotiate(message)
	if err != nil || who == nil && reply == nil {
		s.problem("NTLM: %v", err)
	}
	return base64.StdEncoding.EncodeToString(reply)
}

func (s *script) content(lines []string) []byte {
	var b bytes.Buffer
	for _, line := range lines {
		name, isPage := strings.CutPrefix(line, "{page ")
		switch {
		case isPage:
			page, err := os.ReadFile(filepath.Join("testdata", "pages", strings.TrimSuffix(name, "}")))
			if err != nil {
				s.problem("%v", err)
			}
			b.Write(page)
		case line == "{certificate}":
			b.Write(s.pki.phonePEM())
		case line == "{other}":
			b.WriteString(base64.StdEncoding.EncodeToString(s.pki.iis.cert.Raw))
		case line == "{chain}":
			b.Write(certsOnly(s.pki))
		case line == "{chain as PEM}":
			fmt.Fprintf(&b, "-----BEGIN CERTIFICATE-----\r\n%s\r\n-----END CERTIFICATE-----\r\n", base64.StdEncoding.EncodeToString(certsOnly(s.pki)))
		case strings.HasPrefix(line, "{zeros "):
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(line, "{zeros "), "}"))
			if err != nil {
				s.problem("%v", err)
			}
			b.Write(make([]byte, n))
		default:
			b.WriteString(strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(line))
		}
	}
	return b.Bytes()
}
