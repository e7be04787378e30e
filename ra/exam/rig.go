package exam

import (
	"context"
	"crypto"
	"crypto/md5" // an algorithm of HTTP Digest
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"ciscora/config"
	"ciscora/est/capf"
	"ciscora/ra/lab"
	"ciscora/ra/scenario"
)

// handshake is how long a server of the examination bears with a silent client: longer
// than any client is waited for, so that it is never the server that gives up.
const handshake = 15 * time.Minute

// rig is the servers of one case.
type rig struct {
	dir       string
	keys      *scenario.Keys
	log       *zap.Logger
	name      string // of the client's CSRs, with a number
	password  string // of the account; "" = a new one
	digest    string // see [Card]
	children  *children
	runs      int
	server    *server
	elsewhere *server // nil until it is needed
}

// server is a lab that is watched.
type server struct {
	*lab.Lab
	tap            *tap
	host, port     string
	user, password string
	keygenKey      string // an AES key in hexadecimal digits, under which keys may be had
	issuing, root  *x509.Certificate
}

func (x *examination) newRig(ctx context.Context, dir string, card Card) (*rig, error) {
	g := &rig{
		dir: dir, name: "exam-" + card.ID, password: card.Password, digest: card.Digest,
		keys: x.Keys, children: x.children, log: x.Logger.Named(card.ID),
	}
	var err error
	g.server, err = g.start(ctx, "server")
	return g, err
}

func (g *rig) start(ctx context.Context, name string) (*server, error) {
	s := &server{tap: &tap{}}
	dir := filepath.Join(g.dir, name)
	if err := g.keys.IntoLab(dir); err != nil {
		return nil, fmt.Errorf("make the server's folder: %w", err)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails, by its documentation
	s.keygenKey = hex.EncodeToString(secret)
	variant := lab.Variant{Handshake: handshake, KeygenKeys: filepath.Join(dir, "keygen.keys")}
	if err := os.WriteFile(variant.KeygenKeys, []byte(keygenID+":"+s.keygenKey+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write the server's file of keys: %w", err)
	}
	digested := ""
	if g.digest != "" {
		variant.DigestUsers, digested = filepath.Join(dir, "users.digest"), rand.Text()
		if err := os.WriteFile(variant.DigestUsers, digestLine(g.digest, digestUser, digested), 0o600); err != nil {
			return nil, fmt.Errorf("write the server's file of users: %w", err)
		}
	}
	var err error
	s.Lab, err = lab.Start(ctx, lab.Options{
		Dir: dir, EST: estAddress, Certsrv: otherAddress, Admin: otherAddress, Profile: config.ProfileModern, Network: s.tap, Unrecorded: true, Password: g.password,
		Middleware: []func(http.Handler) http.Handler{s.tap.handler}, NewKey: g.keys.InTurn(), Variant: variant, Logger: g.log,
	})
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	u, err := url.Parse(s.ESTURL)
	if err == nil {
		s.host = "localhost"
		s.port = u.Port()
		err = s.Ready(ctx)
	}
	if err == nil {
		err = s.readFiles()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the server: %w", err), s.Close())
	}
	if digested != "" {
		s.user, s.password = digestUser, digested
	}
	return s, nil
}

// digestUser is who enrolls where HTTP Digest is asked for: a name without a backslash,
// which a quoted string would have twice.
const digestUser = "examinee"

// keygenID is by what a client asks for its key under the server's secret one.
const keygenID = "exam"

// digestLine is a user as htdigest writes one (RFC 7616 section 3.4.2).
func digestLine(algorithm, user, password string) []byte {
	const realm = "estrealm"
	text := []byte(user + ":" + realm + ":" + password)
	if algorithm == "MD5" {
		return fmt.Appendf(nil, "%s:%s:%x\n", user, realm, md5.Sum(text))
	}
	return fmt.Appendf(nil, "%s:%s:%x\n", user, realm, sha256.Sum256(text))
}

func (s *server) readFiles() error {
	creds, err := config.LoadCredentials(s.Path("credentials.yaml"))
	if err != nil {
		return err
	}
	s.user, s.password = creds.User, string(creds.Password)
	for _, f := range []struct {
		to   **x509.Certificate
		path string
	}{{&s.root, s.Path("ca", "root.pem")}, {&s.issuing, s.Path("ca", "issuing.pem")}} {
		data, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		all := certificatesIn(data)
		if len(all) == 0 {
			return fmt.Errorf("%s has no certificate", f.path)
		}
		*f.to = all[0]
	}
	return nil
}

// close ends the servers.
func (g *rig) close() error {
	var errs []error
	for _, s := range []*server{g.server, g.elsewhere} {
		if s != nil && s.Lab != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// otherServer is the one to which redirections lead.
func (g *rig) otherServer(ctx context.Context) (*server, error) {
	if g.elsewhere == nil {
		s, err := g.start(ctx, "elsewhere")
		if err != nil {
			return nil, err
		}
		g.elsewhere = s
	}
	return g.elsewhere, nil
}

// oldCertificate enrolls, as CAPF does, for what a re-enrollment renews.
func (g *rig) oldCertificate(ctx context.Context, name string, f files) (*tls.Certificate, error) {
	s := g.server
	client, err := capf.New(capf.Options{URL: s.ESTURL, Roots: s.Roots, User: s.user, Password: s.password})
	if err != nil {
		return nil, err
	}
	key, err := capf.NewKey(rand.Reader, "ec256")
	if err != nil {
		return nil, err
	}
	template := &x509.CertificateRequest{Subject: f.csr.Subject, DNSNames: f.csr.DNSNames}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, err
	}
	result := client.Enroll(ctx, name, der)
	if result.Err != nil {
		return nil, fmt.Errorf("enroll for the certificate that is to be renewed: %w", result.Err)
	}
	return &tls.Certificate{Certificate: [][]byte{result.Certificates[0].Raw, s.issuing.Raw}, PrivateKey: key.(crypto.PrivateKey), Leaf: result.Certificates[0]}, nil
}

// run is one run of the client, with all that was seen of it.
type run struct {
	stage     Stage
	operation string
	control   bool
	server    *server
	files     files
	anchors   []byte // {cacert}; nil = absent
	before    []byte // of {out}; nil = absent
	out       []byte
	unread    string // why what is at {out} was not read; "" = it was, or is absent
	old       *tls.Certificate
	password  string
	name      string // that the URL has
	ended

	began            time.Time
	connections      []*connection
	requests         []*request
	otherConnections []*connection
	otherRequests    []*request
	others           []*run // of the same stage, with repeat
}

// perform runs the client once in a stage. previous is the run of the stage before; nil
// = none.
func (g *rig) perform(ctx context.Context, client Client, stage Stage, control bool, limit time.Duration, previous *run) (*run, error) {
	g.runs++
	operation := stage.operation()
	r := &run{stage: stage, operation: operation, control: control, server: g.server, password: g.server.password, name: g.server.host}
	name := fmt.Sprintf("%s-%d", g.name, g.runs)
	var err error
	if r.files, err = writeFiles(filepath.Join(g.dir, fmt.Sprintf("run-%d", g.runs)), name, operation, stage.Key == "own"); err != nil {
		return nil, err
	}
	if operation == Reenroll && !stage.NoCert {
		if stage.Old != "" && !control {
			if _, err := g.server.Faults.Order("est.simpleenroll:certificate=" + stage.Old); err != nil {
				return nil, err
			}
		}
		r.old, err = g.oldCertificate(ctx, name, r.files)
		g.server.Faults.Clear()
		if err == nil {
			err = r.files.old(r.old, name)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := r.values(previous); err != nil {
		return nil, err
	}
	if err := g.order(ctx, r); err != nil {
		return nil, err
	}
	g.server.tap.take() // what the examination itself has done
	mark := "EST_EXAM_RUN=" + rand.Text()
	args, env := expand(client.Command, r.files.values)
	env = append(append(append(withoutProxies(os.Environ()), client.Env...), env...), mark)
	r.began = time.Now()
	r.ended, err = command{args: args, env: env, limit: limit, mark: mark, secrets: r.secrets(), children: g.children}.run(ctx)
	g.server.Faults.Clear()
	if g.elsewhere != nil {
		g.elsewhere.Faults.Clear()
	}
	if err != nil {
		return nil, err
	}
	r.collect(g)
	r.out, r.unread = readWritten(r.files.values["out"], "{out}")
	return r, nil
}

// withoutProxies takes a proxy out of the environment: the server is on this machine.
func withoutProxies(env []string) []string {
	var kept []string
	for _, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// values fills in what the client is told of the server.
func (r *run) values(previous *run) error {
	s, v := r.server, r.files.values
	switch r.stage.Host {
	case "":
	case "ip":
		r.name = listening
	default:
		r.name = r.stage.Host
	}
	scheme := "https"
	if r.stage.Scheme != "" {
		scheme = r.stage.Scheme
	}
	v["host"], v["port"], v["label"] = r.name, s.port, r.stage.Label
	v["url"] = scheme + "://" + net.JoinHostPort(r.name, s.port) + "/.well-known/est"
	if r.stage.Label != "" {
		v["url"] += "/" + url.PathEscape(r.stage.Label)
	}
	v["address"], v["clock"] = listening, r.stage.Clock
	fingerprint := sha256.Sum256(s.root.Raw)
	if r.stage.Fingerprint == "wrong" {
		_, _ = rand.Read(fingerprint[:]) // never fails, by its documentation
	}
	v["fingerprint"] = hex.EncodeToString(fingerprint[:])
	v["secret_id"], v["secret"] = keygenID, r.files.path("secret.hex")
	if err := os.WriteFile(v["secret"], []byte(s.keygenKey+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the run's files: %w", err)
	}
	v["user"], v["password"] = s.user, s.password
	switch r.stage.Credentials {
	case "none":
		v["user"], v["password"] = "", ""
	case "wrong":
		r.password = "not-" + rand.Text()
		v["password"] = r.password
	}
	if r.operation == Reenroll && r.old != nil && r.stage.Old == "" {
		v["user"], v["password"] = "", ""
	}
	v["cacert"] = r.files.path("cacert.pem")
	r.anchors = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.root.Raw})
	switch r.stage.CACert {
	case "none":
		r.anchors = nil
	case "previous":
		if previous == nil || previous.out == nil {
			return errors.New("the stage before has written no file to trust")
		}
		r.anchors = previous.out
	}
	if r.anchors != nil {
		if err := os.WriteFile(v["cacert"], r.anchors, 0o600); err != nil {
			return fmt.Errorf("write the run's files: %w", err)
		}
	}
	if r.stage.Out == "kept" {
		r.before = r.anchors
		if r.old != nil {
			data, err := os.ReadFile(v["cert"])
			if err != nil {
				return err
			}
			r.before = data
		}
		if err := os.WriteFile(v["out"], r.before, 0o600); err != nil {
			return fmt.Errorf("write the run's files: %w", err)
		}
	}
	return nil
}

// order turns the stage's faults on.
func (g *rig) order(ctx context.Context, r *run) error {
	if r.control {
		return nil
	}
	for _, spec := range r.stage.Faults {
		if strings.Contains(spec, "{elsewhere") {
			other, err := g.otherServer(ctx)
			if err != nil {
				return err
			}
			at := net.JoinHostPort("localhost", other.port)
			spec = strings.NewReplacer("{elsewhere}", "https://"+at, "{elsewhere-ip}", "https://"+net.JoinHostPort(listening, other.port)).Replace(spec)
		}
		if _, err := g.server.Faults.Order(atOperation(spec, r.operation)); err != nil {
			return err
		}
	}
	for _, spec := range r.stage.Elsewhere {
		other, err := g.otherServer(ctx)
		if err != nil {
			return err
		}
		if _, err := other.Faults.Order(atOperation(spec, r.operation)); err != nil {
			return err
		}
	}
	return nil
}

// settling is how long the servers have to notice that the client has gone.
const settling = time.Second

// collect takes what the servers have seen, once they have seen the client go.
func (r *run) collect(g *rig) {
	until := time.NewTimer(settling)
	defer until.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !g.server.tap.quiet() || g.elsewhere != nil && !g.elsewhere.tap.quiet() {
		select {
		case <-tick.C:
			continue
		case <-until.C:
		}
		break
	}
	r.connections, r.requests = g.server.tap.take()
	if g.elsewhere != nil {
		r.otherConnections, r.otherRequests = g.elsewhere.tap.take()
	}
	for _, q := range slices.Concat(r.requests, r.otherRequests) {
		q.uri = r.secretless(q.uri)
	}
}
