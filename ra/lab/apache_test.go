package lab_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/Azure/go-ntlmssp"

	"ciscora/config"
	"ciscora/internal/peertest"
	"ciscora/ra/lab"
	"ciscora/ra/server"
)

// What Debian's libapache2-mod-auth-gssapi and gss-ntlmssp bring: NTLM at Apache.
var apacheFiles = []string{"/usr/lib/apache2/modules/mod_auth_gssapi.so", "/etc/gss/mech.d/mech.ntlmssp.conf"}

// apacheConfig is a server root of its own: Apache ends TLS and NTLM, and hands on
// what is logged in. Its access log tells the place of each request on its
// connection (0 = the first), the status and the request.
var apacheConfig = template.Must(template.New("httpd.conf").Parse(`
ServerRoot {{.Dir}}
ServerName localhost
Listen 127.0.0.1:{{.Port}}
User {{.User}}
Group {{.User}}
PidFile {{.Dir}}/httpd.pid
DefaultRuntimeDir {{.Dir}}
Mutex pthread
ErrorLog {{.Dir}}/error.log
{{range .Modules}}LoadModule {{.}}_module /usr/lib/apache2/modules/mod_{{.}}.so
{{end}}
LogFormat "%k %>s %r" place
CustomLog {{.Dir}}/access.log place
StartServers 1
ThreadsPerChild 25
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests {{.KeepAlive}}
SSLEngine on
SSLCertificateFile {{.Certificate}}
SSLCertificateKeyFile {{.Key}}
SSLSessionCache none
ProxyPreserveHost On
ProxyPass /certsrv {{.Backend}}/certsrv
<Location /certsrv>
  AuthType GSSAPI
  AuthName certsrv
  {{.Mechanism}}
  GssapiConnectionBound On
  Require valid-user
</Location>
`))

var apacheModules = []string{"mpm_event", "authn_core", "authz_core", "authz_user", "auth_gssapi", "proxy", "proxy_http", "ssl"}

// needApache skips the test where an Apache with NTLM is not installed, unless
// RA_PEERS=required.
func needApache(t *testing.T) {
	t.Helper()
	peertest.Program(t, "apache2")
	peertest.Files(t, apacheFiles...)
}

// apache is an Apache with mod_auth_gssapi in front of a lab's CA.
type apache struct {
	dir     string
	address string // host:port
	end     func() // waits until it has ended, too
}

// startApache starts an Apache that closes its connections after so many requests,
// in front of the lab's CA. It ends with the test.
func startApache(t *testing.T, l *lab.Lab, keepAlive int) apache {
	t.Helper()
	return startApacheThatTakes(t, l, keepAlive, func(string) string { return "GssapiAllowedMech ntlmssp" })
}

// startApacheThatTakes is startApache with the mechanism that it takes, as its
// configuration has it; mechanism may put files into the folder.
func startApacheThatTakes(t *testing.T, l *lab.Lab, keepAlive int, mechanism func(dir string) string) apache {
	t.Helper()
	path := peertest.Program(t, "apache2")
	creds, err := config.LoadCredentials(l.Path("credentials.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// t.TempDir is closed to the account that Apache changes to.
	dir, err := os.MkdirTemp("", "ra-apache-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	name := "www-data"
	domain, account, _ := strings.Cut(creds.User, `\`)
	users := filepath.Join(dir, "users")
	err = errors.Join(os.Chmod(dir, 0o711), os.WriteFile(users, []byte(domain+":"+account+":"+string(creds.Password)+"\n"), 0o600))
	if err == nil && os.Geteuid() == 0 {
		err = giveTo(users, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	backend, allowed := loggedIn(t, l, creds), mechanism(dir)
	// The port is free when it is chosen; where another took it meanwhile, the next.
	for range 5 {
		a := apache{dir: dir, address: freePort(t)}
		_, port, _ := net.SplitHostPort(a.address)
		var conf bytes.Buffer
		if err := apacheConfig.Execute(&conf, map[string]any{
			"Dir": dir, "Port": port, "User": name, "Modules": apacheModules, "KeepAlive": keepAlive, "Backend": backend, "Mechanism": allowed,
			"Certificate": l.Path("est.pem"), "Key": l.Path("est.key"),
		}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "httpd.conf"), conf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		said, up := a.run(t, path, users)
		if up {
			return a
		}
		if !strings.Contains(said, "could not bind") {
			t.Fatalf("apache2 ended: %s", said)
		}
	}
	t.Fatal("apache2 found no free port")
	return apache{}
}

// gracefulStop is SIGWINCH, which syscall does not have on all systems.
const gracefulStop = syscall.Signal(28)

// run starts the program and returns once it takes connections; or what it said,
// where it ended before.
func (a *apache) run(t *testing.T, path, users string) (said string, up bool) {
	t.Helper()
	cmd := exec.Command(path, "-f", filepath.Join(a.dir, "httpd.conf"), "-DFOREGROUND")
	cmd.Env = append(os.Environ(), "NTLM_USER_FILE="+users)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // what it said tells more
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		// It listens before it knows that it can start, and writes its number then.
		_, known := os.Stat(filepath.Join(a.dir, "httpd.pid"))
		if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", a.address); err == nil {
			conn.Close()
			if known == nil {
				break
			}
		}
		select {
		case <-ended:
			log, _ := os.ReadFile(filepath.Join(a.dir, "error.log"))
			return out.String() + string(log), false
		case <-tick.C:
		}
	}
	a.end = func() {
		_ = cmd.Process.Signal(gracefulStop) // what is under way is finished, and logged
		<-ended
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it ends its children
		<-ended
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(a.dir, "error.log"))
			t.Logf("apache2 said:\n%s%s", out.Bytes(), log)
		}
	})
	return "", true
}

// request is a line of Apache's access log.
type request struct {
	place  int // on its connection, from 0
	status string
	line   string // GET /certsrv/ HTTP/1.1
}

// requests ends Apache, which writes a line after its answer has gone out, and returns
// all that were made.
func (a apache) requests(t *testing.T) (list []request) {
	t.Helper()
	a.end()
	log, err := os.ReadFile(filepath.Join(a.dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		place, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		status, rest, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(place)
		if err != nil {
			t.Fatalf("apache2's log: %q", line)
		}
		list = append(list, request{n, status, rest})
	}
	return list
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func giveTo(path, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	id, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	return os.Chown(path, id, -1)
}

// loggedIn is the lab's CA for who is logged in already, as Apache hands requests
// on: it logs in to the CA with the lab's account. It returns the URL, without TLS.
func loggedIn(t *testing.T, l *lab.Lab, creds config.Credentials) string {
	t.Helper()
	ca, err := url.Parse(l.CertsrvURL)
	if err != nil {
		t.Fatal(err)
	}
	ca.Path = ""
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: l.Roots}}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(ca)
			r.Out.Host = r.In.Host                                 // IIS's redirect names it
			r.Out.SetBasicAuth(creds.User, string(creds.Password)) // which the Negotiator makes NTLM
		},
		Transport: ntlmssp.Negotiator{RoundTripper: transport},
	})
	t.Cleanup(func() {
		proxy.Close()
		transport.CloseIdleConnections()
	})
	return proxy.URL
}

// behind is a network on which what is meant for the CA meets something else. Nothing
// is dialed before that stands.
type behind struct {
	stands chan struct{} // closed once from and to are set
	from   string        // the CA's host:port
	to     string
}

func (b *behind) Listen(ctx context.Context, address string) (net.Listener, error) {
	return server.Listen(ctx, address)
}

func (b *behind) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	select {
	case <-b.stands:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if address == b.from {
		address = b.to
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// startBehindApache starts a lab whose RA meets an Apache where the CA should be.
func startBehindApache(t *testing.T, profile config.Profile, keepAlive int) (*lab.Lab, apache) {
	t.Helper()
	b := &behind{stands: make(chan struct{})}
	l, err := lab.Start(t.Context(), lab.Options{
		NewKey: sharedKeys(t),
		Dir:    t.TempDir(), EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0", Profile: profile, Network: b,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	a := startApache(t, l, keepAlive)
	b.from, b.to = hostOf(t, l.CertsrvURL), a.address
	close(b.stands)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := l.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return l, a
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
