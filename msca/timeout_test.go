package msca_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/msca"
	"ciscora/msca/ntlm"
)

// stalling is a CA that stops where stall says: at a path, or at path+" body" in
// the midst of its answer.
func stalling(p *pki, stall string) func(net.Conn) {
	return func(conn net.Conn) {
		if stall == "handshake" {
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		legs := 0
		serveCA(conn, p, func(w io.Writer, r *http.Request, _ []byte) (answered, goOn bool) {
			path := r.URL.Path
			if path == "/certsrv" {
				legs++
				path = fmt.Sprintf("login %d", legs)
			}
			switch stall {
			case path:
				_, _ = io.Copy(io.Discard, conn)
				return true, false
			case path + " body":
				fmt.Fprint(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789")
				return true, true
			}
			return false, true
		})
	}
}

// disturbed is a CA that lets disturb answer where it wants to.
func disturbed(p *pki, disturb func(w io.Writer, r *http.Request, body []byte) (answered bool)) func(net.Conn) {
	return func(conn net.Conn) {
		serveCA(conn, p, func(w io.Writer, r *http.Request, body []byte) (answered, goOn bool) {
			return disturb(w, r, body), true
		})
	}
}

// serveCA is a CA, and one that does not insist on a log-in; disturb comes first.
func serveCA(conn net.Conn, p *pki, disturb func(w io.Writer, r *http.Request, body []byte) (answered, goOn bool)) {
	acceptor := &ntlm.Acceptor{Domain: "LAB", Lookup: func(_, _ string) (ntlm.Account, bool) {
		return ntlm.Account{Domain: "LAB", User: "ciscora", NTHash: ntlm.NTHash(password)}, true
	}}
	x := acceptor.NewExchange(nil)
	serveTLS(conn, p.serverTLS(), func(w io.Writer, r *http.Request, form []byte) bool {
		if answered, goOn := disturb(w, r, form); answered {
			return goOn
		}
		var challenge []byte
		if proof := r.Header.Get("Authorization"); proof != "" {
			token, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(proof, "NTLM "))
			challenge, _, _ = x.Accept(token)
		}
		body, header := string(p.phonePEM()), "200 OK"
		switch {
		case challenge != nil:
			body, header = "", "401 Unauthorized\r\nWWW-Authenticate: NTLM "+base64.StdEncoding.EncodeToString(challenge)
		case r.URL.Path == "/certsrv":
			body, header = "", "301 Moved\r\nLocation: /certsrv/"
		case r.URL.Path == "/certsrv/certfnsh.asp":
			body = `<A Href="certnew.cer?ReqID=7&amp;Enc=b64">`
		}
		fmt.Fprintf(w, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", header, len(body), body)
		return true
	})
}

// enroll walks all phases and returns the first error.
func enroll(ctx context.Context, c *msca.Client, p *pki) error {
	s, err := c.Login(ctx, account)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Chain(ctx); err != nil {
		return err
	}
	if _, err := s.Templates(ctx); err != nil {
		return err
	}
	id, err := s.Submit(ctx, p.csr, "CiscoRA", nil)
	if err != nil {
		return err
	}
	_, err = s.Fetch(ctx, id, p.csr)
	if err == nil {
		return nil
	}
	if s.Alive() {
		return fmt.Errorf("the session is alive after: %w", err)
	}
	return err
}

func block(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// configure makes a client that stalls before the CA or at it.
func configure(t *testing.T, p *pki, stall string, timeouts msca.Timeouts) msca.Options {
	t.Helper()
	o := p.options(t, stalling(p, stall))
	o.Timeouts = timeouts
	switch stall {
	case "resolve":
		o.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) { return nil, block(ctx) }
	case "connect":
		o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, block(ctx) }
	}
	return o
}

var phases = []struct {
	stall string
	phase msca.Phase
	curl  string // %d milliseconds
}{
	{"resolve", msca.PhaseResolve, "Resolving timed out after %d milliseconds"},
	{"connect", msca.PhaseConnect, "Connection timed out after %d milliseconds"},
	{"handshake", msca.PhaseHandshake, "Operation timed out after %d milliseconds with 0 out of 0 bytes received"},
	{"login 1", msca.PhaseLogin, "Operation timed out after %d milliseconds with 0 bytes received"},
	{"login 2", msca.PhaseLogin, "Operation timed out after %d milliseconds with 0 bytes received"},
	{"/certsrv/certnew.p7b", msca.PhaseChain, "Operation timed out after %d milliseconds with 0 bytes received"},
	{"/certsrv/certrqxt.asp", msca.PhaseTemplate, "Operation timed out after %d milliseconds with 0 bytes received"},
	{"/certsrv/certfnsh.asp", msca.PhaseSubmit, "Operation timed out after %d milliseconds with 0 bytes received"},
	{"/certsrv/certnew.cer", msca.PhaseFetch, "Operation timed out after %d milliseconds with 0 bytes received"},
	{"/certsrv/certnew.cer body", msca.PhaseFetch, "Operation timed out after %d milliseconds with 10 out of 100 bytes received"},
}

func TestEachPhaseHasItsTime(t *testing.T) {
	p := newPKI(t)
	defaults := map[msca.Phase]time.Duration{
		msca.PhaseResolve: 5 * time.Second, msca.PhaseConnect: 10 * time.Second, msca.PhaseHandshake: 10 * time.Second,
		msca.PhaseLogin: 10 * time.Second, msca.PhaseChain: 10 * time.Second, msca.PhaseTemplate: 10 * time.Second,
		msca.PhaseSubmit: 120 * time.Second, msca.PhaseFetch: 30 * time.Second,
	}
	own := msca.Timeouts{
		Resolve: 1 * time.Second, Connect: 2 * time.Second, Handshake: 3 * time.Second, Login: 4 * time.Second,
		Chain: 5 * time.Second, Template: 6 * time.Second, Submit: 7 * time.Second, Fetch: 8 * time.Second,
	}
	owns := map[msca.Phase]time.Duration{
		msca.PhaseResolve: own.Resolve, msca.PhaseConnect: own.Connect, msca.PhaseHandshake: own.Handshake, msca.PhaseLogin: own.Login,
		msca.PhaseChain: own.Chain, msca.PhaseTemplate: own.Template, msca.PhaseSubmit: own.Submit, msca.PhaseFetch: own.Fetch,
	}
	budget := msca.Timeouts{Request: 9 * time.Second, Submit: time.Second}
	for _, set := range []struct {
		name     string
		timeouts msca.Timeouts
		want     func(msca.Phase) time.Duration
	}{
		{"by default", msca.Timeouts{}, func(p msca.Phase) time.Duration { return defaults[p] }},
		{"its own", own, func(p msca.Phase) time.Duration { return owns[p] }},
		{"the request's budget", budget, func(msca.Phase) time.Duration { return 9 * time.Second }},
	} {
		for _, c := range phases {
			t.Run(set.name+"/"+strings.ReplaceAll(c.stall, "/", ""), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var last msca.Leg
					o := configure(t, p, c.stall, set.timeouts)
					o.Observe = func(_ context.Context, leg msca.Leg) { last = leg }
					begin := time.Now()
					e := asError(t, enroll(t.Context(), newClient(t, o), p), msca.KindTimeout)
					want := set.want(c.phase)
					if took := time.Since(begin); took != want || e.Elapsed != want {
						t.Errorf("took %v, error says %v, want %v", took, e.Elapsed, want)
					}
					if e.Phase != c.phase || !errors.Is(e, context.DeadlineExceeded) || !e.Temporary() {
						t.Errorf("phase %s, want %s: %v", e.Phase, c.phase, e)
					}
					if text := fmt.Sprintf(c.curl, want.Milliseconds()); e.CurlCode != 28 || e.CurlText != text {
						t.Errorf("curl %d %q, want %q", e.CurlCode, e.CurlText, text)
					}
					if last.Phase != c.phase || !errors.Is(last.Err, e) || last.Duration != want {
						t.Errorf("observed %+v", last)
					}
				})
			})
		}
	}
}

func TestTheBudgetCountsFromTheNamesResolution(t *testing.T) {
	p := newPKI(t)
	synctest.Test(t, func(t *testing.T) {
		o := configure(t, p, "login 2", msca.Timeouts{Request: 10 * time.Second})
		resolve := o.Resolve
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			<-time.After(4 * time.Second) // on the bubble's clock
			return resolve(ctx, host)
		}
		begin := time.Now()
		e := asError(t, enroll(t.Context(), newClient(t, o), p), msca.KindTimeout)
		if took := time.Since(begin); took != 10*time.Second || e.Elapsed != took || e.Phase != msca.PhaseLogin {
			t.Errorf("%v, took %v", e, took)
		}
	})
}

func TestTheCallersContextEndsAnyPhase(t *testing.T) {
	p := newPKI(t)
	for _, c := range phases {
		t.Run(strings.ReplaceAll(c.stall, "/", ""), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				e := asError(t, enroll(ctx, newClient(t, configure(t, p, c.stall, msca.Timeouts{})), p), msca.KindCanceled)
				if e.Phase != c.phase || !errors.Is(e, context.DeadlineExceeded) || e.CurlCode != 0 {
					t.Errorf("%v", e)
				}
			})
		})
	}
}

func TestAGoodEnrollmentIsObservedLegByLeg(t *testing.T) {
	p := newPKI(t)
	synctest.Test(t, func(t *testing.T) {
		var got []string
		o := configure(t, p, "", msca.Timeouts{})
		o.Observe = func(_ context.Context, l msca.Leg) {
			got = append(got, fmt.Sprint(l.Phase, " ", strings.TrimPrefix(l.URL, caURL), " ", l.Status, " ", l.ReqID, " ", l.Bytes > 0))
		}
		if err := enroll(t.Context(), newClient(t, o), p); err != nil {
			t.Fatal(err)
		}
		want := "resolve  0 0 false\nconnect  0 0 false\nhandshake  0 0 false\nlogin  301 0 false\n" +
			"chain /certnew.p7b?ReqID=CACert&Renewal=0&Enc=bin 200 0 true\ntemplate /certrqxt.asp 200 0 true\n" +
			"submit /certfnsh.asp 200 7 true\nfetch /certnew.cer?ReqID=7&ENC=b64 200 7 true"
		if g := strings.Join(got, "\n"); g != want {
			t.Errorf("got\n%s\nwant\n%s", g, want)
		}
	})
}

func TestAnIdleSessionNoticesThatTheCAIsGone(t *testing.T) {
	p := newPKI(t)
	synctest.Test(t, func(t *testing.T) {
		hangUp := make(chan struct{})
		serve, dialed := stalling(p, ""), 0
		o := p.options(t, func(conn net.Conn) {
			if dialed++; dialed == 1 {
				go func() {
					<-hangUp
					conn.Close()
				}()
			}
			serve(conn)
		})
		s, err := newClient(t, o).Login(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		<-time.After(time.Minute) // on the bubble's clock
		if !s.Alive() {
			t.Error("not alive, though the CA waits")
		}
		if _, err := s.Chain(t.Context()); err != nil {
			t.Errorf("the look at the connection broke it: %v", err)
		}
		close(hangUp)
		<-time.After(2 * time.Second)
		if s.Alive() {
			t.Error("alive, though the CA closed the connection")
		}
		if _, err := s.Chain(t.Context()); err != nil || dialed != 2 {
			t.Errorf("the next request should log in on a new connection: %d were dialed, %v", dialed, err)
		}
	})
}
