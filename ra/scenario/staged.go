package scenario

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what a phone's configuration holds (hashAlg 0)
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
	"ciscora/ra/check/hello"
)

// staged is a stage that was made.
type staged struct {
	stage   Stage
	dir     string
	made    map[string]tls.Certificate
	servers map[string]string // what listens, by the host
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex // guards failed
	failed []error
}

// make writes the files and starts the server, on loopback.
func (s Stage) make(ctx context.Context, dir string, keys *Keys) (*staged, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	m := &staged{stage: s, dir: dir, made: map[string]tls.Certificate{}, servers: map[string]string{}, stop: stop}
	for n, c := range s.Certificates {
		made, err := c.make(m.made, func() (crypto.Signer, error) { return keys.ofStage(n) })
		if err != nil {
			stop()
			return nil, fmt.Errorf("certificate %s: %w", c.Name, err)
		}
		m.made[c.Name] = made
	}
	if err := errors.Join(m.files(), m.start(ctx)); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

func (m *staged) close() error {
	m.stop()
	m.running.Wait()
	return errors.Join(m.failed...)
}

func (m *staged) path(name string) string { return filepath.Join(m.dir, name) }

// dial leads to what the stage has under a name, and nowhere else.
func (m *staged) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	at, ok := m.servers[host]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: named(address), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	return (&net.Dialer{}).DialContext(ctx, network, at)
}

// named is an address that stands for what it is called.
type named string

func (n named) Network() string { return "tcp" }
func (n named) String() string  { return string(n) }

func (c StagedCertificate) make(made map[string]tls.Certificate, newRSA func() (crypto.Signer, error)) (tls.Certificate, error) {
	newKey := newRSA
	if c.EC {
		newKey = func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
	}
	key, err := newKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: c.CN}, DNSNames: c.DNS, BasicConstraintsValid: true, IsCA: c.CA,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
	}
	for _, ip := range c.IP {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	parent, signer := template, any(key)
	if by, ok := made[c.By]; ok {
		if parent, err = x509.ParseCertificate(by.Certificate[0]); err != nil {
			return tls.Certificate{}, err
		}
		signer = by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func (m *staged) ders(names []string) (out [][]byte) {
	for _, name := range names {
		out = append(out, m.made[name].Certificate[0])
	}
	return out
}

func (m *staged) pem(names []string) []byte {
	var out []byte
	for _, der := range m.ders(names) {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

func (m *staged) files() error {
	s := m.stage
	files := map[string][]byte{trustFile: m.pem(s.Trust), phoneFile: m.phone()}
	if len(s.File.Has) > 0 {
		files[s.File.name()] = m.pem(s.File.Has)
		if s.File.DER {
			files[s.File.name()] = m.ders(s.File.Has)[0]
		}
	}
	for name, data := range files {
		if err := os.WriteFile(m.path(name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// phone writes the part of a phone's configuration that the document prints.
func (m *staged) phone() []byte {
	var hashes strings.Builder
	for i, der := range m.ders(m.stage.Phone.Trusts) {
		sum := sha1.Sum(der)
		fmt.Fprintf(&hashes, "<certHash%d>%s</certHash%d>\n", i+1, base64.StdEncoding.EncodeToString(sum[:]), i+1)
	}
	hostID := map[bool]int{true: 1}[m.stage.Phone.HostID]
	return fmt.Appendf(nil, "<device>\n<vpnGroup>\n<enableHostIDCheck>%d</enableHostIDCheck>\n<addresses>\n<url1>%s</url1>\n</addresses>\n"+
		"<credentials>\n<hashAlg>0</hashAlg>\n%s</credentials>\n</vpnGroup>\n</device>\n", hostID, m.stage.url(), hashes.String())
}

func (m *staged) start(ctx context.Context) error {
	s := m.stage.Server
	if s.Closed || len(s.Shows) == 0 && s.Refuses == "" {
		return nil
	}
	r := hello.Responder{RSA: m.ders(s.Shows), EC: m.ders(s.ShowsEC), Refuse: hello.Refusal(s.Refuses)}
	for _, v := range s.Versions {
		r.Versions = append(r.Versions, versionNames[v])
	}
	for _, name := range s.Ciphers {
		suite, _ := hello.SuiteByName(name)
		r.Suites = append(r.Suites, suite.ID)
	}
	serve := r.Serve
	if s.HTTPS {
		serve = m.https(s)
	}
	if len(s.Redirects) > 0 {
		other := hello.Responder{Versions: r.Versions, Suites: r.Suites, RSA: m.ders(s.Redirects)}
		if err := m.listenAt(ctx, elsewhere, other.Serve); err != nil {
			return err
		}
	}
	return m.listenAt(ctx, m.stage.host(), serve)
}

func (m *staged) listenAt(ctx context.Context, host string, serve func(context.Context, net.Listener) error) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	m.servers[host] = l.Addr().String()
	m.running.Go(func() { m.fail(serve(ctx, l)) })
	return nil
}

func (m *staged) fail(err error) {
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.failed = append(m.failed, err)
	}
}

// https serves as an ASA does: whoever asks is sent to another page, or to another host.
func (m *staged) https(s StagedServer) func(context.Context, net.Listener) error {
	config := &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{m.made[s.Shows[0]]}} //nolint:gosec // as old as the card has it
	for _, name := range s.Ciphers {
		suite, _ := hello.SuiteByName(name)
		config.CipherSuites = append(config.CipherSuites, suite.ID)
	}
	const page = "/+webvpn+/index.html"
	to := page
	if len(s.Redirects) > 0 {
		to = "https://" + elsewhere + to
	}
	pages := http.NewServeMux()
	pages.Handle("/", http.RedirectHandler(to, http.StatusFound))
	pages.HandleFunc(page, func(http.ResponseWriter, *http.Request) {}) // where one logs in
	return func(ctx context.Context, l net.Listener) error {
		server := &http.Server{
			ReadHeaderTimeout: patient, ErrorLog: log.New(io.Discard, "", 0),
			Handler: pages,
		}
		stop := context.AfterFunc(ctx, func() { server.Close() })
		defer stop()
		if err := server.Serve(tls.NewListener(l, config)); ctx.Err() == nil {
			return err
		}
		return nil
	}
}

// sound are the suites that products offer.
func sound(v hello.Version) []hello.Suite {
	return slices.DeleteFunc(hello.SuitesOf(v), func(s hello.Suite) bool { return s.Weak() != "" })
}

// listen runs the check of who connects, and connects as the stage's client does.
func (m *staged) listen(ctx context.Context, r *check.Report) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	prober := hello.Prober{Address: l.Addr().String(), Timeout: patient}
	v := versionNames[m.stage.Offers]
	m.running.Go(func() {
		_, _ = prober.Ask(ctx, hello.Offer(v, sound(v), m.stage.host())) // it is never answered
	})
	return endpoint.Listen(ctx, endpoint.ListenOptions{Listener: l, Timeout: patient, Most: 1}, r)
}
