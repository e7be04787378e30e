package certsrv_test

import (
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ciscora/msca/certsrv"
	"ciscora/msca/ntlm"
)

// docs/reference/certsrv.md 1.1, docs/reference/windows-auth.md 4.
func TestWhoMayLogIn(t *testing.T) {
	log := &accessLog{}
	srv := start(t, log.option)
	for _, c := range []struct {
		name, user, password string
		status               int
		win32                uint32
	}{
		{"the account as it is written", srv.User, srv.Password, 301, 0},
		{"domain and name in another case", `lab\CISCORA`, srv.Password, 301, 0},
		{"the DNS domain before the name", `lab.test\ciscora`, srv.Password, 301, 0},
		{"the DNS domain in another case", `Lab.Test\ciscora`, srv.Password, 301, 0},
		{"the bare name", "ciscora", srv.Password, 301, 0},
		{"the name with the DNS domain", "ciscora@lab.test", srv.Password, 301, 0},
		{"the name with the NetBIOS domain", "ciscora@LAB", srv.Password, 301, 0},
		{"a wrong password", srv.User, "wrong", 401, 2148074252},
		{"an empty password", srv.User, "", 401, 2148074252},
		{"an unknown user", `LAB\nobody`, srv.Password, 401, 2148074252},
		{"another domain", `OTHER\ciscora`, srv.Password, 401, 2148074252},
		{"a domain below the DNS domain", `sub.lab.test\ciscora`, srv.Password, 401, 2148074252},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := newBrowser(t, srv).logIn(c.user, c.password, nil)
			if got.status != c.status {
				t.Fatalf("status %d, want %d", got.status, c.status)
			}
			e := log.last(t)
			wantUser, wantSub := `LAB\ciscora`, 0
			if c.status == 401 {
				wantUser, wantSub = "", 1
				if h := got.header.Values("WWW-Authenticate"); !slices.Equal(h, []string{"Negotiate", "NTLM"}) {
					t.Errorf("challenges %q, want both providers in IIS's order", h)
				}
			}
			if e.User != wantUser || e.SubStatus != wantSub || e.Win32 != c.win32 {
				t.Errorf("logged %q sub %d win32 %d, want %q %d %d", e.User, e.SubStatus, e.Win32, wantUser, wantSub, c.win32)
			}
		})
	}
}

func TestRefusedAuthorizationHeaders(t *testing.T) {
	log := &accessLog{}
	srv := start(t, log.option)
	type3, err := base64.StdEncoding.DecodeString("TlRMTVNTUAADAAAA")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, header string
		sub          int
		win32        uint32
	}{
		{"none", "", 2, 5},
		{"another scheme", "Basic TEFCXGNpc2NvcmE6eA==", 2, 5},
		{"no token", "NTLM", 1, 2148074248},
		{"no base64", "NTLM !!!!", 1, 2148074248},
		{"no NTLM message", "NTLM " + base64.StdEncoding.EncodeToString([]byte("hello, this is not it")), 1, 2148074248},
		{"a Kerberos ticket", "Negotiate YIIABQ==", 1, 2148074248},
		{"a type 3 message that nobody asked for", "NTLM " + base64.StdEncoding.EncodeToString(append(type3, make([]byte, 80)...)), 1, 2148074248},
	} {
		t.Run(c.name, func(t *testing.T) {
			var header []string
			if c.header != "" {
				header = []string{"Authorization", c.header}
			}
			got := newBrowser(t, srv).do(http.MethodGet, "/", "", header...)
			e := log.last(t)
			if got.status != 401 || e.SubStatus != c.sub || e.Win32 != c.win32 || e.User != "" {
				t.Errorf("status %d, logged %q sub %d win32 %d, want 401 sub %d win32 %d", got.status, e.User, e.SubStatus, e.Win32, c.sub, c.win32)
			}
		})
	}
}

func TestTheIdentityBelongsToTheConnection(t *testing.T) {
	srv := start(t)
	b := loggedIn(t, srv)
	if got := b.get("/").status; got != 200 {
		t.Fatalf("later request on the connection: %d, want 200", got)
	}
	if got := newBrowser(t, srv).get("/").status; got != 401 {
		t.Errorf("another connection: %d, want 401", got)
	}

	b.do(http.MethodGet, "/", "", "Authorization", "NTLM "+base64.StdEncoding.EncodeToString(ntlm.NegotiateMessage()))
	if got := b.get("/").status; got != 401 {
		t.Errorf("after a new type 1 message: %d, want 401", got)
	}
	if got := b.logIn(srv.User, srv.Password, nil).status; got != 301 {
		t.Errorf("second log-in on the connection: %d, want 301", got)
	}

	b.transport.CloseIdleConnections()
	if got := b.get("/").status; got != 401 {
		t.Errorf("after the connection ended: %d, want 401", got)
	}
}

func TestRawNTLMInsideNegotiateLogsIn(t *testing.T) {
	srv := start(t)
	b := newBrowser(t, srv)
	if got := b.logInAs("Negotiate", srv.User, srv.Password, nil).status; got != 301 {
		t.Fatalf("log-in: %d, want 301", got)
	}
	if got := b.get("/").status; got != 200 {
		t.Errorf("page: %d, want 200", got)
	}
}

// docs/reference/certsrv.md 1.2.
func TestExtendedProtection(t *testing.T) {
	none := (func(*x509.Certificate) []byte)(nil)
	zeros := func(*x509.Certificate) []byte { return make([]byte, 16) }
	for _, c := range []struct {
		name    string
		setting ntlm.Binding
		binding func(*x509.Certificate) []byte
		status  int
	}{
		{"none takes a client without a binding", ntlm.BindingNone, none, 301},
		{"none takes a wrong binding", ntlm.BindingNone, zeros, 301},
		{"accept takes a client without a binding", ntlm.BindingAccept, none, 301},
		{"accept refuses a wrong binding", ntlm.BindingAccept, zeros, 401},
		{"accept takes the right binding", ntlm.BindingAccept, ntlm.ChannelBinding, 301},
		{"require refuses a client without a binding", ntlm.BindingRequire, none, 401},
		{"require refuses a wrong binding", ntlm.BindingRequire, zeros, 401},
		{"require takes the right binding", ntlm.BindingRequire, ntlm.ChannelBinding, 301},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &accessLog{}
			srv := start(t, log.option, func(o *certsrv.Options) { o.Binding = c.setting })
			if got := newBrowser(t, srv).logIn(srv.User, srv.Password, c.binding).status; got != c.status {
				t.Fatalf("status %d, want %d", got, c.status)
			}
			if e := log.last(t); c.status == 401 && (e.SubStatus != 1 || e.Win32 != 2148074310) {
				t.Errorf("logged sub %d win32 %d, want 1 2148074310", e.SubStatus, e.Win32)
			}
		})
	}
}

func TestA401LeavesTheConnectionInOrder(t *testing.T) {
	mu := make(chan struct{}, 1)
	clients := map[string]bool{}
	srv := start(t, func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu <- struct{}{}
				clients[r.RemoteAddr] = true
				<-mu
				next.ServeHTTP(w, r)
			})
		})
	})
	b := newBrowser(t, srv)
	if got := b.do(http.MethodPost, "/certfnsh.asp", strings.Repeat("x", 150_000)).status; got != 401 {
		t.Fatalf("POST without a log-in: %d, want 401", got)
	}
	if got := b.logIn(srv.User, "wrong", nil).status; got != 401 {
		t.Fatalf("wrong password: %d, want 401", got)
	}
	if got := b.logIn(srv.User, srv.Password, nil).status; got != 301 {
		t.Fatalf("right password: %d, want 301", got)
	}
	if got := b.submit(phoneCSR(t), ciscoRA).status; got != 200 {
		t.Fatalf("submit: %d, want 200", got)
	}
	mu <- struct{}{}
	if len(clients) != 1 {
		t.Errorf("%d connections were used, want 1", len(clients))
	}
}

func TestAccountsThatAreReplacedCountFromTheNextLogIn(t *testing.T) {
	srv := start(t)
	before := loggedIn(t, srv)
	for _, wrong := range [][]certsrv.User{{certsrv.NewUser(`LAB\`, "x")}, {certsrv.NewUser(`LAB\a`, "x"), certsrv.NewUser("A", "x")}} {
		if err := srv.Server.SetUsers(wrong); err == nil {
			t.Errorf("%v was taken", wrong[0].Name)
		}
	}
	users := []certsrv.User{certsrv.NewUser(srv.User, "changed"), certsrv.NewUser(`LAB\new`, "new")}
	if err := srv.Server.SetUsers(users); err != nil {
		t.Fatal(err)
	}
	users[0] = certsrv.NewUser(`LAB\other`, "x") // the caller's own
	for _, c := range []struct {
		user, password string
		want           int
	}{{srv.User, srv.Password, 401}, {srv.User, "changed", 301}, {`LAB\new`, "new", 301}, {`LAB\other`, "x", 401}} {
		if got := newBrowser(t, srv).logIn(c.user, c.password, nil); got.status != c.want {
			t.Errorf("%s with %s: %d, want %d", c.user, c.password, got.status, c.want)
		}
	}
	if got := before.get("/certrqxt.asp"); got.status != 200 {
		t.Errorf("who was logged in: %d", got.status)
	}
}
