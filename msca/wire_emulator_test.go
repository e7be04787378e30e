package msca_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ciscora/msca/certsrv"
	"ciscora/msca/ntlm"
)

// The built-in CA answers as the scripts say a Microsoft CA does (design, section 7):
// one script tests both ends, so neither can be bent to suit the other.
func TestTheBuiltInCAPlaysTheWireScriptsToo(t *testing.T) {
	files, err := filepath.Glob("testdata/wire/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	p, played := newPKI(t), 0
	for _, file := range files {
		s := newScript(t, p, file)
		if s.emulator == nil {
			continue
		}
		played++
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), s.playWithEmulator)
	}
	if played < 10 {
		t.Errorf("%d scripts", played)
	}
}

func (s *script) playWithEmulator(t *testing.T) {
	ca := certsrv.NewTestServer(func(o *certsrv.Options) {
		o.Hosts = []string{"lab-dc.lab.example"}
		o.Users = []certsrv.User{certsrv.NewUser(account.User, account.Password)}
		o.Templates = []certsrv.Template{
			{Name: "User"}, {Name: "CiscoRA", SubjectFromRequest: true}, {Name: "Supervised", SubjectFromRequest: true, ManagerApproval: true},
		}
		o.Middleware = append(o.Middleware, s.compare)
		for i, word := range s.emulator {
			switch word {
			case "first":
				var err error
				if o.FirstReqID, err = strconv.Atoi(s.emulator[i+1]); err != nil {
					t.Fatal(err)
				}
			case "binding":
				o.Binding = ntlm.BindingRequire
			case "nothing-to-enroll":
				for i := range o.Templates {
					o.Templates[i].Enroll = []string{"Somebody"}
				}
			}
		}
	})
	defer ca.Close()
	at, err := url.Parse(ca.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := s.pki.options(t, nil)
	o.Trust = trust(ca.Server.Root())
	o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, at.Host)
	}
	s.run(t, o)
}

// compare lets the CA answer, and compares request and answer with the script's.
func (s *script) compare(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		seen := &seenAnswer{ResponseWriter: w}
		r.Body = io.NopCloser(bytes.NewReader(body))

		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil || s.next >= len(s.exchanges) {
			s.problem("a request too many, %s %s: %v", r.Method, r.RequestURI, err)
			s.next++
			next.ServeHTTP(w, r)
			return
		}
		e := s.exchanges[s.next]
		s.next++
		s.request(e, r, body, func([]byte) string { return "" })
		next.ServeHTTP(seen, r)
		if got := strconv.Itoa(seen.status); got != e.answer[0] {
			s.problem("answered %s, want %s", got, e.answer[0])
		}
		for _, want := range e.answer[1:] {
			name, value, _ := strings.Cut(want, ": ")
			var got []string
			for key, values := range seen.sent { // IIS writes WWW-Authenticate, which is not Go's form
				if strings.EqualFold(key, name) {
					got = values
				}
			}
			if scheme, ok := strings.CutSuffix(value, " {challenge}"); ok {
				if len(got) != 1 || !isChallenge(got[0], scheme) {
					s.problem("%s: %.40q, want a challenge of %s", name, got, scheme)
				}
				continue
			}
			if !slices.Contains(got, value) {
				s.problem("%s: %q, want %q", name, got, value)
			}
		}
	})
}

func isChallenge(header, scheme string) bool {
	token, ok := strings.CutPrefix(header, scheme+" ")
	message, err := base64.StdEncoding.DecodeString(token)
	if scheme == "Negotiate" {
		message = unwrapped(message)
	}
	return ok && err == nil && len(message) > 12 && message[8] == 2
}

// seenAnswer notes status and header of an answer.
type seenAnswer struct {
	http.ResponseWriter
	status int
	sent   http.Header
}

func (a *seenAnswer) WriteHeader(status int) {
	if a.status == 0 {
		a.status, a.sent = status, a.Header().Clone()
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *seenAnswer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status, a.sent = http.StatusOK, a.Header().Clone()
	}
	return a.ResponseWriter.Write(b)
}

func (a *seenAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
