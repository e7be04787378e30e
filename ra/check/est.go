package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ciscora/config"
)

// ESTOptions say which EST server is checked.
type ESTOptions struct {
	Options
	URL    string // https://HOST[:PORT], nothing behind it
	Label  string // under which all is asked; "" = none
	Trust  []*x509.Certificate
	Called string   // how the user calls the trust store; "" = --cacert
	Labels []string // additional path segments that should be there
	// User and Password enroll a certificate for the common name Enroll, once; "" = nothing
	// is enrolled.
	User     string
	Password config.Secret
	Enroll   string
}

// estCheck is a check of an EST server under way.
type estCheck struct {
	ESTOptions
	end    *endpoint
	host   string // of the Host header
	report *Report
	server *server

	cacerts []*x509.Certificate
	first   string // scheme that simpleenroll challenges with; "" = none
	seen    []int  // statuses
	interim []int
	old     bool // answers by HTTP/1.0 came
}

// EST checks an EST server with an eye to what its clients stumble over. The error is of
// the options; what is wrong with the server stands in the report.
func EST(ctx context.Context, o ESTOptions, r *Report) error {
	o.Options = o.complete()
	r.hurry(o.Timeout)
	if o.Called == "" {
		o.Called = "--cacert"
	}
	u, err := url.Parse(o.URL)
	switch {
	case err != nil, u.Scheme != "https", u.Hostname() == "", strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "":
		return errors.New("the EST server's URL must look like https://host:8084, without a path but /.well-known/est/LABEL: further labels go into --label")
	case u.User != nil:
		return errors.New("the EST server's URL carries credentials: leave them out, they have a file of their own")
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	c := &estCheck{ESTOptions: o, host: u.Host, report: r, end: &endpoint{o: o.Options, kind: kindEST, host: u.Hostname(), port: port}}
	if !c.end.reach(ctx, r) {
		c.unreached(c.end.silence(r))
		return nil
	}
	if c.server = c.end.look(ctx, r); c.server == nil {
		c.unreached("TLS fails")
		return nil
	}
	c.end.checkVersions(r, c.server, tls.VersionTLS12, tls.VersionTLS13)
	demanded := c.clientCertificate(ctx)
	c.end.checkChain(r, c.server, trust{o.Trust, o.Called})
	c.name()
	c.end.checkDates(r, c.server.certificates)
	c.versionOfLibest()
	c.strongSwanName()
	if demanded {
		r.skip("see est.tls.client", append([]string{"est.cacerts"}, ofESTAlone[:]...)...)
		return nil
	}
	if !c.chain(ctx) {
		r.skip("see est.cacerts", ofESTAlone[:]...)
		if c.Enroll != "" {
			r.Skip("est.enroll", "see est.cacerts; no password was sent")
		}
		return nil
	}
	c.challenge(ctx)
	c.attributes(ctx)
	c.others(ctx)
	c.labels(ctx)
	c.statuses()
	c.enrolled(ctx)
	return nil
}

func (c *estCheck) unreached(why string) {
	c.report.skip(why, append([]string{"est.tls.chain", "est.tls.name", "est.tls.validity", "L7", "strongswan.san", "est.cacerts"}, ofESTAlone[:]...)...)
}

// clientCertificate reports whether the server wants a certificate of its clients: nothing
// else can be asked then.
func (c *estCheck) clientCertificate(ctx context.Context) (demanded bool) {
	const name = "est.tls.client"
	if !c.server.asksClient {
		c.report.OK(name, "no client certificate is asked for in the handshake: passwords alone")
		return false
	}
	a, err := c.fetch(ctx, asLibest, http.MethodGet, "cacerts", "")
	var alert *net.OpError
	refused := err == nil && (a.status == http.StatusBadRequest || a.status == http.StatusForbidden) || errors.As(err, &alert) && alert.Op == "remote error"
	if !refused { // what else is wrong with it is told below
		c.report.OK(name, "a client certificate is asked for in the handshake, and not demanded")
		return false
	}
	seen := "who shows none gets no answer: "
	if err == nil {
		seen += fmt.Sprint(a.status)
	} else {
		seen += reasonOf(err)
	}
	c.report.Add(Finding{
		Name: name, State: Warn, Seen: "a client certificate is demanded; " + seen, Symptom: "EST client without one: Enrollment rv = 38 (EST_ERR_SSL_CONNECT), or 35 (EST_ERR_SSL_READ)",
		Reason: noClientCertificateEST.reason, Fix: noClientCertificateEST.fix,
	})
	return true
}

// noClientCertificateEST is RFC 7030 section 3.3.2.
var noClientCertificateEST = remedy{
	"the server knows its clients by their certificates alone, and this check has none to show",
	"where clients come with a password first, as CAPF does, let the server ask for a certificate and not demand it (NGINX: ssl_verify_client optional); else look with a client's own: openssl s_client -connect, curl --cert",
}

// name compares the certificate's names with the URL's host.
func (c *estCheck) name() {
	leaf := c.server.leaf()
	f := Finding{Name: "est.tls.name", State: OK, Seen: fmt.Sprintf("%s is among %s", c.end.host, namesOf(leaf))}
	if err := leaf.VerifyHostname(c.end.host); err != nil {
		f.State = Fail
		f.Seen = fmt.Sprintf("%s is not among %s", c.end.host, namesOf(leaf))
		f.Symptom = "EST client: Enrollment rv = 53 (EST_ERR_FQDN_MISMATCH)"
		f.Reason = "the clients' URL names the server otherwise than its certificate does"
		if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
			f.Reason = "the certificate has no subject alternative name: libest takes the CN, strongSwan and Go do not"
		}
		f.Fix = "give the clients one of those names, or " + anew(c.end.host)
	}
	c.report.Add(f)
}

// face is a client as the server sees it.
type face struct{ agent, accept string }

// The clients that are played: libest's, and strongSwan's pki, which names itself not.
var (
	asLibest     = face{"Cisco EST client 1.0", "*/*"}
	asStrongSwan = face{}
)

// ask sends one request on a connection of its own, as a client of that face, by TLS 1.2
// where the server speaks it, as both do.
func (c *estCheck) ask(ctx context.Context, f face, method, path, body string) (*conversation, *reply, error) {
	most := uint16(tls.VersionTLS12)
	if !c.speaks12() {
		most = tls.VersionTLS13
	}
	conn, err := c.end.unverified(ctx, tls.VersionTLS10, most, nil)
	if err != nil {
		return nil, nil, err
	}
	talk := converse(c.Options, conn)
	req := request{method: method, target: c.path() + path, body: body}
	if f.agent != "" {
		req.head = append(req.head, field{"User-Agent", f.agent}, field{"Connection", "close"})
	}
	req.head = append(req.head, field{"Host", c.host})
	if f.accept != "" {
		req.head = append(req.head, field{"Accept", f.accept})
	}
	if method == http.MethodPost {
		req.head = append(req.head, field{"Content-Type", "application/pkcs10"})
	}
	a, err := talk.do(ctx, req)
	if err != nil {
		talk.close()
		return nil, nil, err
	}
	c.seen = append(c.seen, a.status)
	c.old = c.old || a.old
	c.interim = append(c.interim, a.interim...)
	return talk, a, nil
}

// path is what stands before the name of an operation.
func (c *estCheck) path() string {
	if c.Label == "" {
		return "/.well-known/est/"
	}
	return "/.well-known/est/" + url.PathEscape(c.Label) + "/"
}

// fetch is ask whose connection is not looked at any more.
func (c *estCheck) fetch(ctx context.Context, f face, method, path, body string) (*reply, error) {
	talk, a, err := c.ask(ctx, f, method, path, body)
	if err == nil {
		talk.close()
	}
	return a, err
}

func (c *estCheck) speaks12() bool {
	return slices.Contains(c.server.takes, tls.VersionTLS12)
}

// silent adds that an operation got no answer.
func (c *estCheck) silent(name string, err error) {
	symptom := "EST client: Enrollment rv = 35 (EST_ERR_SSL_READ)"
	why := "the server, or the CA behind it, does not answer in the ten seconds that libest waits"
	seen := "no answer: " + reasonOf(err)
	switch {
	case errors.Is(err, errHalf):
		seen = reasonOf(err)
		why = "the server, or what stands before it, ends the connection in the midst of its answer"
		symptom = "EST client: Enrollment rv = 14 (EST_ERR_HTTP_NOT_FOUND), or 35 (EST_ERR_SSL_READ)"
	case !isTimeout(err):
		why = "the server, or what stands before it, ends the connection in place of an answer"
		symptom = "EST client: Enrollment rv = 14 (EST_ERR_HTTP_NOT_FOUND), or 35 (EST_ERR_SSL_READ); libest's own client ends by SIGPIPE on a reset"
	}
	if isTimeout(err) && c.report.hasty > 0 {
		c.report.Add(Finding{
			Name: name, State: Fail, Seen: seen, Symptom: "none by this alone: libest waits ten seconds",
			Reason: fmt.Sprintf("nothing came in the %s of --timeout", c.report.hasty), Fix: "ask again without --timeout",
		})
		return
	}
	c.report.Add(Finding{
		Name: name, State: Fail, Seen: seen, Symptom: symptom,
		Reason: why, Fix: "look at the server's log of this moment, and check the CA: ra check ca",
	})
}

// others are the operations besides, each asked without credentials.
func (c *estCheck) others(ctx context.Context) {
	for _, operation := range []string{"simplereenroll", "serverkeygen"} {
		name := "est." + operation
		a, err := c.fetch(ctx, asLibest, http.MethodPost, operation, noCSR)
		switch {
		case err != nil:
			c.silent(name, err)
		case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden, a.status == http.StatusBadRequest:
			c.report.OK(name, fmt.Sprintf("is there: %d to who does not log in", a.status))
		case a.status == http.StatusNotFound, a.status == http.StatusNotImplemented:
			c.report.OK(name, fmt.Sprintf("is not offered (%d)", a.status))
		default:
			c.report.Add(wrongStatus(name, operation, a))
		}
	}
}

// wrongStatus is an answer that should have another status.
func wrongStatus(name, operation string, a *reply) Finding {
	status := a.status
	if to := a.get("Location"); status >= 300 && status < 400 && to != "" {
		return Finding{
			Name: name, State: Fail, Seen: fmt.Sprintf("%s answers %d, to %s", operation, status, short(placeOf(to))), Symptom: "EST client: " + rvOf(status),
			Reason: "what answers sends its clients elsewhere, and libest's does not follow", Fix: "give the clients the URL of the EST server itself, or correct what stands before it",
		}
	}
	if status == http.StatusNotFound {
		return Finding{
			Name: name, State: Fail, Seen: operation + " answers 404", Symptom: "EST client: " + rvOf(status),
			Reason: "no EST server is at this address, or it does not know the label", Fix: "see that host and port are the EST server's (CES: 8084), and --label",
		}
	}
	if status == http.StatusOK {
		return Finding{
			Name: name, State: Fail, Seen: operation + " answers 200 to a request that is none, from nobody", Symptom: "clients take the answer for theirs, and find no certificate in it",
			Reason: "what answers is no EST server, or something before it answers everything", Fix: "see that host and port are the EST server's (CES: 8084), and what stands before it",
		}
	}
	return Finding{
		Name: name, State: Fail, Seen: fmt.Sprintf("%s answers %d", operation, status), Symptom: "EST client: " + rvOf(status),
		Reason: "the server fails, refuses, or is no EST server", Fix: "look at the server's log of this moment; where that is ra, /readyz of its admin port says what it waits for",
	}
}

// rvOf is what libest's client makes of a status (docs/reference/libest.md).
func rvOf(status int) string {
	words := map[int]string{
		200: "rv = 0 (EST_ERR_NONE)", 202: "rv = 26 (EST_ERR_CA_ENROLL_RETRY), or 62 without seconds in Retry-After", 204: "rv = 15 (EST_ERR_HTTP_NO_CONTENT)", 400: "rv = 13 (EST_ERR_HTTP_BAD_REQ)",
		401: "rv = 22 (EST_ERR_AUTH_FAIL)", 404: "rv = 14 (EST_ERR_HTTP_NOT_FOUND)", 423: "rv = 16 (EST_ERR_HTTP_LOCKED)",
	}
	if w := words[status]; w != "" {
		return "Enrollment " + w
	}
	return "Enrollment rv = 94 (EST_ERR_UNKNOWN)"
}

// labels asks for the chain under each label.
func (c *estCheck) labels(ctx context.Context) {
	const name = "est.labels"
	if len(c.Labels) == 0 {
		c.report.OK(name, "none is asked for (--label names some)")
		return
	}
	own := c.Label
	defer func() { c.Label = own }()
	for _, label := range c.Labels {
		c.Label = label
		a, err := c.fetch(ctx, asLibest, http.MethodGet, "cacerts", "")
		switch {
		case err != nil:
			c.silent(name, err)
		case a.status == http.StatusOK:
			c.report.OK(name, short(label)+" is there")
		default:
			f := wrongStatus(name, quoted(label), a)
			if a.status == http.StatusNotFound {
				f.Reason, f.Fix = "the server has no such label", "correct the label, or add it to est.labels"
			}
			c.report.Add(f)
		}
	}
}
