package check

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ciscora/msca"
	"ciscora/msca/ntlm"
	"ciscora/ra/explain"
)

// agents are the programs that ask: IIS answers browsers otherwise.
const (
	ownAgent     = "CiscoRA 1.0"
	browserAgent = "Mozilla/5.0 (compatible; CiscoRA 1.0)"
)

// probeAgent marks a program's name, so that whoever reads IIS's log, ra explain too, takes
// no probe for a log-in that failed.
func probeAgent(name string) string { return name + " " + explain.ProbeAgent }

// unknownReqID is the number of a request that no CA has had.
const unknownReqID = "2147483646"

// noTemplate is the name of a template that there is not.
const noTemplate = "RaCheckNoSuchTemplate"

// Record asks a CA what ra asks one, and writes down how it answers. It logs in once,
// and hands in a request for a template that there is not, which the CA denies. by is
// the version of ra.
func Record(ctx context.Context, o CAOptions, by string) (*Recording, error) {
	o.Options = o.complete()
	if o.Credentials.User == "" {
		return nil, errors.New("to record takes an account: --user and --password-file, or --config")
	}
	c := &caCheck{CAOptions: o}
	var err error
	if c.url, err = url.Parse(o.CA.URL); err != nil {
		return nil, fmt.Errorf("the CA's URL: %w", err)
	}
	port := c.url.Port()
	if port == "" {
		port = "443"
	}
	var found Report
	c.end = &endpoint{o: c.Options, kind: kindCA, host: c.url.Hostname(), port: port}
	if !c.end.reach(ctx, &found) {
		return nil, fmt.Errorf("nothing answers at %s: ra check ca says more", c.end.address())
	}
	client, err := c.client(c.asConfigured())
	if err != nil {
		return nil, err
	}
	r := &recorder{caCheck: c, client: client, recording: &Recording{Format: recordingFormat, By: by}}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	r.recording.Assumptions = judge(r.recording)
	return r.recording, nil
}

type recorder struct {
	*caCheck
	client    *msca.Client
	recording *Recording
	talk      *conversation
	over      bool // the connection has ended, or is about to
	known     bool // the account has been taken: it may log in on another connection
	refused   bool // with Basic, whose password goes with each request: it goes no more
	reopened  int
}

// maxReopened bounds how often a connection that the CA has ended is opened anew.
const maxReopened = 40

// run asks one thing after the other. An error is of a connection that cannot be opened;
// what fails later stands in the recording.
func (r *recorder) run(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	defer func() { r.talk.close() }()
	state := r.talk.conn.ConnectionState()
	r.recording.TLS = TLSShown{
		Version: tls.VersionName(state.Version), Certificates: len(state.PeerCertificates),
		Key: keyWords(state.PeerCertificates[0]), Signature: state.PeerCertificates[0].SignatureAlgorithm.String(),
	}
	r.step(ctx, Step{Step: "anonymous", LogIn: "none"}, http.MethodGet, "", "", nil)
	r.step(ctx, Step{Step: "anonymous, a page", LogIn: "none"}, http.MethodGet, "/certrqxt.asp", "", nil)
	if err := r.open(ctx); err != nil {
		return err
	}
	r.step(ctx, Step{Step: "NTLM in SPNEGO, first message", LogIn: "under way"}, http.MethodGet, "", "", []field{authorization("Negotiate", ntlm.NegotiateInit())})
	if err := r.open(ctx); err != nil {
		return err
	}
	if standing, ok := r.logIn(ctx); ok {
		r.known = r.CA.Authentication != "basic" // which sends its credentials with each request
		r.pages(ctx, standing)
	}
	return nil
}

func (r *recorder) open(ctx context.Context) error {
	conn, err := r.client.Open(ctx)
	if err != nil {
		return err
	}
	if r.talk != nil {
		r.talk.close()
	}
	r.talk, r.over = converse(r.Options, conn), false
	return nil
}

// resume opens another connection where the CA has ended the one before, and logs in on
// it where that went well before. What it says to that is not written down again.
func (r *recorder) resume(ctx context.Context) error {
	if !r.over {
		return nil
	}
	if r.reopened++; r.reopened > maxReopened {
		return errors.New("the CA ends one connection after the other")
	}
	if err := r.open(ctx); err != nil || !r.known {
		return err
	}
	steps := r.recording.Steps
	_, ok := r.logIn(ctx)
	r.recording.Steps = steps
	if !ok {
		r.known = false
		return errRefused
	}
	return nil
}

// logIn logs in on the connection; standing is what each request needs besides.
func (r *recorder) logIn(ctx context.Context) (standing []field, ok bool) {
	if r.CA.Authentication == "basic" {
		standing = []field{authorization("Basic", []byte(r.Credentials.User+":"+r.Credentials.Password))}
		a := r.step(ctx, Step{Step: "log-in", LogIn: "under way"}, http.MethodGet, "", "", standing)
		return standing, a != nil && a.status < 400
	}
	a := r.step(ctx, Step{Step: "NTLM, first message", LogIn: "under way"}, http.MethodGet, "", "", []field{authorization("NTLM", ntlm.NegotiateMessage())})
	if a == nil || a.closing {
		return nil, false
	}
	binding := ntlm.ChannelBinding(r.talk.conn.ConnectionState().PeerCertificates[0])
	message, err := ntlm.AuthenticateMessage(tokenOf(a, "NTLM"), r.Credentials.User, r.Credentials.Password, binding)
	if err != nil {
		r.recording.Steps = append(r.recording.Steps, Step{Step: "log-in", LogIn: "under way", Failed: "there is no challenge to answer"})
		return nil, false
	}
	a = r.step(ctx, Step{Step: "log-in", LogIn: "under way"}, http.MethodGet, "", "", []field{authorization("NTLM", message)})
	return nil, a != nil && a.status < 400
}

func authorization(scheme string, token []byte) field {
	return field{"Authorization", scheme + " " + base64.StdEncoding.EncodeToString(token)}
}

// pages asks for each page.
func (r *recorder) pages(ctx context.Context, standing []field) {
	get := func(name, page, agent string) {
		r.step(ctx, Step{Step: name, LogIn: "done", Agent: agent}, http.MethodGet, page, "", standing)
	}
	get("landing page", "/", ownAgent)
	get("template list", "/certrqxt.asp", ownAgent)
	get("template list", "/certrqxt.asp", browserAgent)
	get("CA certificates", "/certcarc.asp", ownAgent)
	get("CA certificates", "/certcarc.asp", browserAgent)
	get("chain, first, DER", "/certnew.p7b?ReqID=CACert&Renewal=0&Enc=bin", ownAgent)
	get("chain, newest, base64", "/certnew.p7b?ReqID=CACert&Renewal=-1&Enc=b64", ownAgent)
	get("CA certificate", "/certnew.cer?ReqID=CACert&Renewal=0&Enc=b64", ownAgent)
	get("revocation list", "/certcrl.crl?Type=base&Renewal=0&Enc=bin", ownAgent)
	get("unknown request", "/certnew.cer?ReqID="+unknownReqID+"&Enc=b64", ownAgent)
	get("no such page", "/ra-check-no-such.asp", ownAgent)
	csr, err := newCSR()
	if err != nil {
		return
	}
	form := strings.Join([]string{
		"Mode=newreq",
		"CertRequest=" + url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr.Raw}))),
		"CertAttrib=" + url.QueryEscape("CertificateTemplate:"+noTemplate+"\r\n"),
		"TargetStoreFlags=0", "SaveCert=yes",
	}, "&")
	a := r.step(ctx, Step{Step: "missing template", LogIn: "done", Agent: ownAgent}, http.MethodPost, "/certfnsh.asp", form,
		append([]field{{"Content-Type", "application/x-www-form-urlencoded"}}, standing...))
	if a == nil {
		return
	}
	if id := requestID(a); id != "" {
		get("denied request", "/certnew.cer?ReqID="+id+"&Enc=b64", ownAgent)
	}
}

// step sends one request and writes down its answer; nil where there was none.
func (r *recorder) step(ctx context.Context, s Step, method, page, body string, head []field) *reply {
	agent := s.Agent
	if agent == "" {
		agent = ownAgent
	}
	shown, _, _ := strings.Cut(page, "?ReqID=")
	if _, query, ok := strings.Cut(page, "?"); ok {
		switch {
		case strings.Contains(query, "CACert"), strings.HasPrefix(query, "Type="):
			shown = page
		case strings.Contains(query, unknownReqID):
			shown += "?ReqID=(none)"
		default:
			shown += "?ReqID=(that)"
		}
	}
	s.Request = method + " /certsrv" + shown
	base := strings.TrimRight(r.url.Path, "/")
	host := strings.TrimSuffix(r.url.Host, ":443")
	standing := slices.ContainsFunc(head, func(f field) bool {
		return f.name == "Authorization" && strings.HasPrefix(f.value, "Basic ")
	})
	if standing && r.refused {
		s.Failed = errRefused.Error()
		r.recording.Steps = append(r.recording.Steps, s)
		return nil
	}
	err := r.resume(ctx)
	var a *reply
	if err == nil {
		a, err = r.talk.do(ctx, request{
			method: method, target: base + page, body: body,
			head: append([]field{{"Host", host}, {"User-Agent", probeAgent(agent)}, {"Accept", "*/*"}}, head...),
		})
	}
	r.over = err != nil || a.closing
	if err != nil {
		s.Failed = "no answer"
		if isTimeout(err) {
			s.Failed = "no answer in time"
		}
		r.recording.Steps = append(r.recording.Steps, s)
		return nil
	}
	r.refused = r.refused || standing && a.status == http.StatusUnauthorized
	s.Status, s.Millis, s.Interim = a.status, a.took.Milliseconds(), a.interim
	s.Head, s.Body = headWords(a, host), bodyWords(a)
	r.recording.Steps = append(r.recording.Steps, s)
	return a
}

func keyWords(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Params().Name
	}
	return c.PublicKeyAlgorithm.String()
}
