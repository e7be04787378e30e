package lab

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"go.step.sm/crypto/pemutil"

	"ciscora/config"
	"ciscora/ra/admin"
)

// Files under the lab's folder (design, section 3).
const (
	fileTrust       = "trust.pem"
	fileOthers      = "others.pem" // Variant.Trust
	fileRA          = "ra.yaml"
	fileCertsrv     = "certsrv.yaml"
	fileCredentials = "credentials.yaml"
	fileCurl        = "curl.conf"
	fileAdminToken  = "admin.token" // where the admin port wants one
	fileAdminCurl   = "admin.conf"  // the same for curl -K
	fileSeed        = "seed"        // where the keys are of one
	fileESTCert     = "est.pem"
	fileESTKey      = "est.key"
	// Beside RSA, which any client can: an EC key costs the RA a tenth of it.
	fileESTCertEC = "est-ec.pem"
	fileESTKeyEC  = "est-ec.key"
)

// Path returns the path of a file under the lab's folder.
func (l *Lab) Path(elem ...string) string {
	return filepath.Join(append([]string{l.Dir}, elem...)...)
}

func stateFolder(dir string) (string, error) {
	if dir == "" {
		made, err := os.MkdirTemp("", "ra-lab-")
		if err != nil {
			return "", fmt.Errorf("make a folder for the lab's state: %w; name one with --dir", err)
		}
		return made, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("the lab's folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the lab's folder: %w", err)
	}
	return dir, nil
}

// account returns the one of an earlier run in this folder, or makes one with a new
// password; what is given takes its place.
func (l *Lab) account(user, password string) (config.Credentials, error) {
	path := l.Path(fileCredentials)
	creds, err := config.LoadCredentials(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		made, err := l.draws.text("password")
		if err != nil {
			return creds, err
		}
		creds = config.Credentials{User: User, Password: config.Secret(made)}
		l.Made = password == ""
	case err != nil:
		return creds, err
	case user == "" && password == "":
		return creds, nil
	}
	creds.User = cmp.Or(user, creds.User)
	creds.Password = cmp.Or(config.Secret(password), creds.Password)
	return creds, config.WriteCredentials(path, creds.User, string(creds.Password))
}

// certsrvConfig is certsrv.yaml for this lab.
func (l *Lab) certsrvConfig(listen net.Addr) config.Certsrv {
	c := config.DefaultCertsrv()
	c.Listen = listen.String()
	c.Domain = Domain
	c.Hosts = hostsOf(listen)
	c.Users = []config.User{{Credentials: fileCredentials}}
	c.Templates = nil
	for _, t := range []struct {
		name, friendly string
		approval       bool
	}{
		{Template, "CiscoRA", false},
		{WiFiTemplate, "WiFi client", false},
		{SupervisedTemplate, "Supervised (manager approval)", true},
	} {
		template := config.DefaultTemplate()
		template.Name, template.FriendlyName, template.ManagerApproval = t.name, t.friendly, t.approval
		c.Templates = append(c.Templates, template)
	}
	return c
}

// raConfig is ra.yaml for this lab.
func (l *Lab) raConfig(est, certsrv, admin net.Addr) config.RA {
	c := config.Default(l.Profile)
	c.EST.Listen = est.String()
	c.EST.Certificate, c.EST.Key = fileESTCert, fileESTKey
	c.EST.Certificates = []config.CertificateFiles{{Certificate: fileESTCertEC, Key: fileESTKeyEC}}
	// A phone can re-enroll with the certificate that it got here.
	c.EST.Trust = []string{fileTrust, "ca/issuing.pem"}
	c.EST.Authentication = []config.Authentication{config.AuthenticateRelay, config.AuthenticateCertificate}
	c.EST.ServerKeygen = true
	c.EST.DrainDelay = 0                           // no balancer is in front
	c.EST.Limits.PerClient = c.EST.Limits.InFlight // all clients are on this machine
	c.EST.Labels = map[string]config.Label{
		"wifi":       {Template: WiFiTemplate},
		"supervised": {Template: SupervisedTemplate},
	}
	c.CA.URL = "https://" + named(certsrv) + "/certsrv"
	c.CA.Template = Template
	c.CA.Credentials = fileCredentials
	c.CA.Trust = []string{fileTrust}
	c.Admin.Listen = admin.String()
	if c.Admin.BeyondLoopback() {
		c.Admin.TokenFile = fileAdminToken
	}
	return c
}

// curlConfig is what `curl -K` needs to enroll: the password is in this file
// alone, never on a command line.
func curlConfig(creds config.Credentials, trust string) []byte {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
	return fmt.Appendf(nil, "# curl -K %s: the lab's account and trust anchor\nuser = \"%s:%s\"\ncacert = \"%s\"\n",
		fileCurl, quote(creds.User), quote(string(creds.Password)), quote(trust))
}

func encodeCertificates(ders ...[]byte) []byte {
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

func encodeKey(key any) ([]byte, error) {
	block, err := pemutil.Serialize(key, pemutil.WithPKCS8(true))
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}

// reachable is the address at which a client on this machine finds a listener.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// urlsBeyondLoopback are a TLS listener's by the addresses at which other machines may
// find it.
func urlsBeyondLoopback(a net.Addr) []string {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return nil
	}
	var urls []string
	for _, host := range hostsOf(a) {
		if ip := net.ParseIP(host); ip != nil && !ip.IsLoopback() {
			urls = append(urls, "https://"+net.JoinHostPort(host, port))
		}
	}
	return urls
}

// named is reachable with a name where there is one: faults of its resolution can be
// had only then.
func named(a net.Addr) string {
	at := reachable(a)
	if host, port, err := net.SplitHostPort(at); err == nil && net.ParseIP(host).IsLoopback() {
		return net.JoinHostPort("localhost", port)
	}
	return at
}

// hostsOf returns the names and addresses that a listener's certificate must
// carry: it may be reached by any address of this machine if it listens on all.
func hostsOf(a net.Addr) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	host, _, err := net.SplitHostPort(a.String())
	ip := net.ParseIP(host)
	if err != nil || ip == nil || !ip.IsUnspecified() {
		if host != "" && ip != nil && !ip.IsLoopback() {
			hosts = append(hosts, host)
		}
		return hosts
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		hosts = append(hosts, name)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return hosts // what cannot be listed can still be reached by name
	}
	for _, address := range addresses {
		if n, ok := address.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			hosts = append(hosts, n.IP.String())
		}
	}
	return hosts
}

// writeCertsrvConfig writes certsrv.yaml and reads it back, as `ra certsrv` will.
func (l *Lab) writeCertsrvConfig(c config.Certsrv) (*config.Certsrv, error) {
	text, err := c.YAML()
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", fileCertsrv, err)
	}
	// In one process its queue and faults are on the RA's admin port.
	text = append([]byte("# With ra certsrv, the queue and the faults of this CA:\n# admin: {listen: 127.0.0.1:8086}\n"), text...)
	if err := l.writeOwn(fileCertsrv, text); err != nil {
		return nil, err
	}
	return config.LoadCertsrv(l.Path(fileCertsrv), nil)
}

// writeRAConfig writes ra.yaml with the files that it names, and what a
// newcomer's curl needs, and reads ra.yaml back, as `ra serve` will.
func (l *Lab) writeRAConfig(c config.RA, hosts []string) (*config.RA, error) {
	rsaCert, err := l.ca.IssueServerCertificate(hosts)
	if err != nil {
		return nil, fmt.Errorf("issue the RA's server certificate: %w", err)
	}
	key, err := encodeKey(rsaCert.PrivateKey)
	if err != nil {
		return nil, err
	}
	ec, err := l.draws.ecKey("the RA's EC key")
	if err != nil {
		return nil, fmt.Errorf("make the RA's EC key: %w", err)
	}
	ecCert, err := l.ca.IssueServerCertificateFor(ec, hosts)
	if err != nil {
		return nil, fmt.Errorf("issue the RA's server certificate: %w", err)
	}
	l.keys = []crypto.Signer{ec}
	if own, ok := rsaCert.PrivateKey.(crypto.Signer); ok {
		l.keys = append(l.keys, own)
	}
	ecKey, err := encodeKey(ec)
	if err != nil {
		return nil, err
	}
	text, err := c.YAML()
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", fileRA, err)
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{fileTrust, encodeCertificates(l.ca.Root().Raw)},
		{fileESTCert, encodeCertificates(rsaCert.Certificate...)},
		{fileESTKey, key},
		{fileESTCertEC, encodeCertificates(ecCert.Certificate...)},
		{fileESTKeyEC, ecKey},
		{fileCurl, curlConfig(l.creds, l.Path(fileTrust))},
	} {
		if err := l.write(f.name, f.data); err != nil {
			return nil, err
		}
	}
	if err := l.writeOwn(fileRA, text); err != nil {
		return nil, err
	}
	if c.Admin.TokenFile != "" {
		token := rand.Text() + rand.Text()
		err := errors.Join(l.write(fileAdminToken, []byte(token+"\n")), l.write(fileAdminCurl, []byte("header = \"Authorization: Bearer "+token+"\"\n")))
		if err != nil {
			return nil, err
		}
	}
	if len(l.others) > 0 {
		var ders [][]byte
		for _, c := range l.others {
			ders = append(ders, c.Raw)
		}
		if err := l.write(fileOthers, encodeCertificates(ders...)); err != nil {
			return nil, err
		}
	}
	return config.LoadRA(l.Path(fileRA), nil)
}

// writeOwn writes a configuration, and keeps one that was edited since the lab wrote
// it: the sum in its head tells.
func (l *Lab) writeOwn(name string, text []byte) error {
	path := l.Path(name)
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read the lab's %s: %w", name, err)
	case !isOwn(old):
		kept, err := unused(path + ".bak")
		if err == nil {
			err = os.Rename(path, kept)
		}
		if err != nil {
			return fmt.Errorf("keep the lab's edited %s: %w", name, err)
		}
		l.Edited = append(l.Edited, Edit{File: path, Kept: kept})
	}
	return l.write(name, append([]byte(ownHead(text)), text...))
}

// unused is the first of path, path.2, path.3 ... that is not there.
func unused(path string) (string, error) {
	const most = 1000
	for n := 1; n <= most; n++ {
		name := path
		if n > 1 {
			name = fmt.Sprintf("%s.%d", path, n)
		}
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			return name, nil
		}
	}
	return "", fmt.Errorf("there are %d copies beside it: remove some", most)
}

// ownHead is the head of a configuration that the lab has written.
func ownHead(text []byte) string {
	return fmt.Sprintf("# Made by ra lab, anew at each start: edit it for ra serve and ra certsrv.\n# sum: %x\n", sha256.Sum256(text))
}

func isOwn(file []byte) bool {
	parts := bytes.SplitAfterN(file, []byte("\n"), 3)
	return len(parts) == 3 && bytes.Equal(file, append([]byte(ownHead(parts[2])), parts[2]...))
}

func (l *Lab) write(name string, data []byte) error {
	if err := os.WriteFile(l.Path(name), data, 0o600); err != nil {
		return fmt.Errorf("write the lab's %s: %w", name, err)
	}
	return nil
}

// newPassword returns a password of 20 characters that needs no quoting.
func newPassword() string { return rand.Text()[:20] }

// placeOf is where a listener is, as /info tells it.
func placeOf(url string, l net.Listener) admin.InfoAddress {
	at := admin.InfoAddress{URL: url}
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		at.Port, at.Local = a.Port, a.IP.IsLoopback()
	}
	return at
}
