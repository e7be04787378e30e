// Package wrongclient is an EST client that does right, and one defect at a time where it
// is told to: each case of the examination is proven with it twice. It is for tests.
package wrongclient

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// The variables that say what is wrong with the client: the id of the case that it must
// fail; and what it can do besides.
const (
	Defect = "WRONG_CLIENT"
	Can    = "WRONG_CLIENT_CAN"
	// Hasty, where it is not empty, has the client give up soon: in the cases that wait
	// for that. In the others the machine may be busy.
	Hasty = "WRONG_CLIENT_HASTY"
)

// Expect is a variable that has the client send bodies only once the server gives leave,
// which is right as well.
const Expect = "WRONG_CLIENT_EXPECT"

// Chatty is a variable that has the client send its password where none belongs.
const Chatty = "WRONG_CLIENT_CHATTY"

// How long the client waits in all, and for a server that says nothing.
const (
	patience, silence           = 40 * time.Second, 40 * time.Second
	hastyPatience, hastySilence = 18 * time.Second, 8 * time.Second
)

type client struct {
	env            func(string) string
	stdout, stderr io.Writer

	roots    *x509.CertPool // nil = there are none
	host     string
	port     string
	sessions tls.ClientSessionCache
	old      *tls.Certificate
	until    time.Time
	silence  time.Duration
	dialled  int
	sent     int // requests with a CSR
	waited   bool
	unasked  bool                    // the server refused Expect
	rsaBits  int                     // of a key of its own; 0 = it is of curve
	curve    elliptic.Curve          // of a key of its own
	signed   x509.SignatureAlgorithm // of its CSR
}

// Main runs the client by its environment and returns the exit status.
func Main(env func(string) string, stdout, stderr io.Writer) int {
	c := &client{env: env, stdout: stdout, stderr: stderr, curve: elliptic.P256(), sessions: tls.NewLRUClientSessionCache(4), until: time.Now().Add(patience), silence: silence}
	if env(Hasty) != "" {
		c.until, c.silence = time.Now().Add(hastyPatience), hastySilence
	}
	if c.wrong("robust-hang") || c.wrong("robust-drip") {
		c.until, c.silence = time.Now().Add(time.Hour), time.Hour
	}
	err := c.run()
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "error:", err)
	var status *statusError
	if c.wrong("http-error-text") && errors.As(err, &status) {
		_, _ = stderr.Write(status.body)
	}
	if c.wrong("auth-not-told") {
		fmt.Fprintln(stderr, "with the password", c.get("PASSWORD"))
	}
	var network net.Error
	if c.wrong("robust-reset") && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.As(err, &network)) {
		crash()
	}
	if c.wrong("tls-renegotiate-begun") && strings.Contains(err.Error(), "no renegotiation") {
		crash()
	}
	if c.wrong("robust-exit") {
		return 0
	}
	return 1
}

// crash ends the process by a signal, as a client in C would.
func crash() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill() // it does not come back
	}
	select {}
}

func (c *client) wrong(id string) bool { return c.env(Defect) == id }

func (c *client) can(what string) bool { return c.env(Can) == what }

func (c *client) get(name string) string { return c.env("EST_" + name) }

func (c *client) run() error {
	u, err := url.Parse(c.get("URL"))
	if err != nil {
		return err
	}
	if u.Scheme != "https" && !c.wrong("tls-plain-http") {
		return fmt.Errorf("the URL is not https: %s", u.Scheme)
	}
	c.host, c.port = u.Hostname(), u.Port()
	if anchors, err := os.ReadFile(c.get("CACERT")); err == nil {
		c.roots = x509.NewCertPool()
		c.roots.AppendCertsFromPEM(anchors)
	}
	if file := c.get("CERT"); file != "" {
		pair, err := tls.LoadX509KeyPair(file, c.get("OLDKEY"))
		if err != nil {
			return err
		}
		c.old = &pair
	}
	if c.wrong("reenroll-keep") {
		if err := os.WriteFile(c.get("OUT"), nil, 0o600); err != nil {
			return err
		}
	}
	switch operation := c.get("OPERATION"); operation {
	case "cacerts":
		if c.can("fingerprint") && c.roots == nil {
			if err := c.bootstrap(u); err != nil {
				return err
			}
		}
		return c.cacerts(u)
	case "csrattrs":
		return c.csrattrs(u)
	case "enroll", "reenroll":
		if c.can("bootstrap") || c.can("fingerprint") && c.roots == nil {
			if err := c.bootstrap(u); err != nil {
				return err
			}
		}
		if c.can("attributes") || c.can("own-key") && !c.wrong("csrattrs-key") {
			// What the server asks of a key is followed; that it asks nothing is as well.
			if err := c.csrattrs(u); err != nil {
				return err
			}
		}
		return c.enroll(u, operation)
	case "serverkeygen":
		return c.serverkeygen(u)
	default:
		return fmt.Errorf("cannot do %s", operation)
	}
}

// at is an operation's URL.
func (c *client) at(u *url.URL, operation string) *url.URL {
	to := *u
	if label := c.get("LABEL"); label != "" && c.wrong("enroll-label") {
		to.Path = strings.TrimSuffix(to.Path, "/"+label)
	}
	return to.JoinPath(operation)
}

// csr makes the CSR for a connection, of which it proves possession where it can.
func (c *client) csr(operation string) (der []byte, key crypto.Signer, err error) {
	if !c.can("own-key") && !c.can("pop") && !c.can("encrypted-key") {
		data, err := os.ReadFile(c.get("CSR_DER"))
		if err != nil {
			return nil, nil, err
		}
		if operation == "serverkeygen" {
			return data, nil, nil
		}
		if key, err = readKey(c.get("KEY")); err != nil {
			return nil, nil, err
		}
		if c.wrong("reenroll-rekey") || c.wrong("enroll-csr") || c.wrong("pending-same") && c.waited {
			return c.otherCSR(data, key)
		}
		return data, key, nil
	}
	switch {
	case c.can("pop"):
		key, err = readKey(c.get("KEY"))
	case c.rsaBits > 0:
		key, err = rsa.GenerateKey(rand.Reader, c.rsaBits)
	default:
		key, err = ecdsa.GenerateKey(c.curve, rand.Reader)
	}
	if err != nil {
		return nil, nil, err
	}
	if c.can("own-key") {
		mode := os.FileMode(0o600)
		if c.wrong("enroll-own-keys") {
			mode = 0o644
		}
		encoded, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, nil, err
		}
		if err := os.WriteFile(c.get("KEY"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), mode); err != nil {
			return nil, nil, err
		}
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: c.get("NAME")}, SignatureAlgorithm: c.signed}
	der, err = x509.CreateCertificateRequest(rand.Reader, template, key)
	if err == nil && c.can("encrypted-key") {
		der, err = c.askEncryption(der, key)
	}
	return der, key, err
}

// otherCSR is a CSR with something wrong about it.
func (c *client) otherCSR(der []byte, key crypto.Signer) ([]byte, crypto.Signer, error) {
	old, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case c.wrong("enroll-csr"):
		broken := append([]byte{}, der...)
		broken[len(broken)-1] ^= 1
		return broken, key, nil
	case c.wrong("reenroll-rekey") && c.old != nil:
		key = c.old.PrivateKey.(crypto.Signer)
	case c.wrong("pending-same"):
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, nil, err
		}
	}
	again, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: old.RawSubject, DNSNames: old.DNSNames}, key)
	return again, key, err
}

func readKey(file string) (crypto.Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("the key is no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key.(crypto.Signer), nil
}

// write replaces a file in one step.
func write(file string, data []byte) error {
	if err := os.WriteFile(file+".new", data, 0o600); err != nil { //nolint:gosec // the file that the examination has named
		return err
	}
	return os.Rename(file+".new", file)
}

func encode(certificates []*x509.Certificate) []byte {
	var out []byte
	for _, one := range certificates {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})...)
	}
	return out
}
