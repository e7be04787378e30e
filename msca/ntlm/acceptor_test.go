package ntlm_test

import (
	"crypto/md5"
	"errors"
	"strings"
	"testing"
	"time"

	"ciscora/msca/ntlm"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "Pässwörd 1"

// acceptor knows LAB\ciscora, by a bare name and by UPN too.
func acceptor(b ntlm.Binding) *ntlm.Acceptor {
	return &ntlm.Acceptor{
		Domain: "LAB", Computer: "LAB-DC", DNSDomain: "lab.example", DNSComputer: "lab-dc.lab.example",
		Binding: b,
		Now:     func() time.Time { return time.Date(2019, 1, 16, 14, 5, 2, 0, time.UTC) },
		Lookup: func(domain, user string) (ntlm.Account, bool) {
			user, _, upn := strings.Cut(user, "@")
			ok := strings.EqualFold(user, "ciscora") && (strings.EqualFold(domain, "lab") || domain == "" || upn)
			if !ok {
				return ntlm.Account{}, false
			}
			return ntlm.Account{Domain: "LAB", User: "ciscora", NTHash: ntlm.NTHash(password)}, true
		},
	}
}

// logIn runs both legs on one exchange.
func logIn(t *testing.T, x *ntlm.Exchange, user, pass string, binding []byte) (*ntlm.Identity, error) {
	t.Helper()
	challenge, who, err := x.Accept(ntlm.NegotiateMessage())
	if err != nil || who != nil {
		t.Fatalf("type 1: identity %v, error %v", who, err)
	}
	answer, err := ntlm.AuthenticateMessage(challenge, user, pass, binding)
	if err != nil {
		t.Fatal(err)
	}
	_, who, err = x.Accept(answer)
	return who, err
}

func token(s string) []byte {
	h := md5.Sum([]byte(s))
	return h[:]
}

func TestAcceptorLetsInWhoKnowsThePassword(t *testing.T) {
	for _, c := range []struct {
		name, user, password string
		want                 error
	}{
		{"domain and user", `LAB\ciscora`, password, nil},
		{"domain and user in other case", `lab\CiscoRA`, password, nil},
		{"a bare name", "ciscora", password, nil},
		{"a UPN", "ciscora@lab.example", password, nil},
		{"a wrong password", `LAB\ciscora`, "Password 1", ntlm.ErrLogonDenied},
		{"an empty password", `LAB\ciscora`, "", ntlm.ErrLogonDenied},
		{"another domain", `OTHER\ciscora`, password, ntlm.ErrLogonDenied},
		{"an unknown user", `LAB\nobody`, password, ntlm.ErrLogonDenied},
		{"an unknown user with the password of the empty hash", `LAB\nobody`, "", ntlm.ErrLogonDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, err := logIn(t, acceptor(ntlm.BindingNone).NewExchange(nil), c.user, c.password, nil)
			if !errors.Is(err, c.want) || (c.want == nil) != (who != nil) {
				t.Fatalf("identity %v, error %v, want %v", who, err, c.want)
			}
			if c.want == nil {
				if diff := cmp.Diff(&ntlm.Identity{Domain: "LAB", User: "ciscora"}, who); diff != "" {
					t.Error(diff)
				}
				if who.String() != `LAB\ciscora` {
					t.Errorf("String() = %q", who)
				}
			}
		})
	}
}

func TestExtendedProtection(t *testing.T) {
	ours, other, zeros := token("ours"), token("other"), make([]byte, 16)
	for _, c := range []struct {
		name         string
		binding      ntlm.Binding
		server, sent []byte
		bound        bool
		want         error
	}{
		{"none ignores an absent binding", ntlm.BindingNone, ours, nil, false, nil},
		{"none ignores a wrong binding", ntlm.BindingNone, ours, other, false, nil},
		{"none still reports a right binding", ntlm.BindingNone, ours, ours, true, nil},
		{"accept lets an absent binding pass", ntlm.BindingAccept, ours, nil, false, nil},
		{"accept takes a right binding", ntlm.BindingAccept, ours, ours, true, nil},
		{"accept refuses a wrong binding", ntlm.BindingAccept, ours, other, false, ntlm.ErrBadBindings},
		{"accept refuses a binding of zeros", ntlm.BindingAccept, ours, zeros, false, ntlm.ErrBadBindings},
		{"require refuses an absent binding", ntlm.BindingRequire, ours, nil, false, ntlm.ErrBadBindings},
		{"require refuses a wrong binding", ntlm.BindingRequire, ours, other, false, ntlm.ErrBadBindings},
		{"require takes a right binding", ntlm.BindingRequire, ours, ours, true, nil},
		{"without TLS there is nothing to bind to", ntlm.BindingRequire, nil, other, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, err := logIn(t, acceptor(c.binding).NewExchange(c.server), `LAB\ciscora`, password, c.sent)
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if err == nil && who.ChannelBound != c.bound {
				t.Errorf("ChannelBound = %v, want %v", who.ChannelBound, c.bound)
			}
		})
	}
	t.Run("a wrong password is denied before the binding is looked at", func(t *testing.T) {
		_, err := logIn(t, acceptor(ntlm.BindingRequire).NewExchange(ours), `LAB\ciscora`, "wrong", nil)
		if !errors.Is(err, ntlm.ErrLogonDenied) || errors.Is(err, ntlm.ErrBadBindings) {
			t.Fatal(err)
		}
	})
}

func TestEachChallengeIsGoodForOneTry(t *testing.T) {
	x := acceptor(ntlm.BindingNone).NewExchange(nil)
	challenge, _, err := x.Accept(ntlm.NegotiateMessage())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := ntlm.AuthenticateMessage(challenge, "ciscora", password, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, who, err := x.Accept(answer); err != nil || who == nil {
		t.Fatalf("first try: %v", err)
	}
	if _, _, err := x.Accept(answer); !errors.Is(err, ntlm.ErrInvalidToken) {
		t.Errorf("second try with the same challenge: %v", err)
	}
	if _, _, err := acceptor(ntlm.BindingNone).NewExchange(nil).Accept(answer); !errors.Is(err, ntlm.ErrInvalidToken) {
		t.Errorf("the answer on another connection: %v", err)
	}
	if _, err := logIn(t, x, "ciscora", password, nil); err != nil {
		t.Errorf("a new type 1 message starts over: %v", err)
	}
	if _, _, err := x.Accept(ntlm.NegotiateMessage()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Accept(answer); !errors.Is(err, ntlm.ErrLogonDenied) {
		t.Errorf("the answer to an earlier challenge: %v", err)
	}
}
