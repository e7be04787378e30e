package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"ciscora/config"
	"ciscora/msca"
)

// CAOptions say which CA is checked, and as whom.
type CAOptions struct {
	Options
	CA      config.CA      // URL, Template and how the RA would ask
	Profile config.Profile // "" = modern
	Trust   []*x509.Certificate
	Called  string // how the user calls the trust store; "" = ca.trust
	// Credentials log in once, and where that went well once more without channel
	// binding; without a user nobody logs in.
	Credentials msca.Credentials
	Enroll      bool // ask for a certificate of CN=ra-check
}

// caCheck is a check of a CA under way.
type caCheck struct {
	CAOptions
	url     *url.URL
	end     *endpoint
	report  *Report
	server  *server // nil where there was no handshake
	logins  int
	again   int           // of them, behind one that was taken
	tooSlow string        // the check of what takes longer than CES waits; "" = none
	spent   time.Duration // of an enrollment by CES: two log-ins, the list, the request
	stopped error         // why the account is not tried again; nil = it may be
	ces     error         // what CES would stumble over first; nil: nothing so far
	cesAt   string        // the finding that has told it
}

// CA checks a Microsoft CA's Web Enrollment. The error is of the options; what is wrong
// with the CA stands in the report.
func CA(ctx context.Context, o CAOptions, r *Report) error {
	o.Options = o.complete()
	r.hurry(o.Timeout)
	if o.Called == "" {
		o.Called = "ca.trust"
	}
	c := &caCheck{CAOptions: o, report: r}
	if _, err := c.client(c.asConfigured()); err != nil {
		return err // of the URL, the authentication
	}
	var err error
	if c.url, err = url.Parse(o.CA.URL); err != nil {
		return fmt.Errorf("the CA's URL: %w", err)
	}
	port := c.url.Port()
	if port == "" {
		port = "443"
	}
	c.end = &endpoint{o: c.Options, kind: kindCA, host: c.url.Hostname(), port: port, takesSHA1: o.CA.NameCheck == "curl"}
	if !c.end.reach(ctx, r) {
		c.unreached(c.end.silence(r))
		return nil
	}
	if c.server = c.end.look(ctx, r); c.server == nil {
		c.unreached("TLS fails")
		return nil
	}
	c.tls(ctx)
	c.anonymous(ctx)
	c.loggedIn(ctx)
	c.whatCESSays(ctx)
	return nil
}

// unreached says of all that needs a connection that there is none.
func (c *caCheck) unreached(why string) {
	c.report.skip(why, slices.Concat([]string{"ca.tls.chain", "ca.tls.name", "ca.tls.name.curl", "ca.tls.validity", "ca.clock", "ca.pages"}, waysIn[:], []string{"ca.login"}, behindLogin[:])...)
	if c.end.timedOut {
		c.report.Skip("ca.ces", fmt.Sprintf("nothing came in the %s of --timeout; CES waits ten seconds", c.Timeout))
		return
	}
	for _, f := range c.report.Findings {
		if f.State == Fail {
			c.report.Add(Finding{Name: "ca.ces", State: c.cesState(), Seen: "CES would have no chain, and start without one", Symptom: f.Symptom, Reason: "see " + f.Name, Fix: "see " + f.Name})
			return
		}
	}
}

// tls checks what the handshake showed.
func (c *caCheck) tls(ctx context.Context) {
	least, most := uint16(c.CA.TLS.Min), uint16(c.CA.TLS.Max)
	if least == 0 {
		least = tls.VersionTLS12
	}
	if most == 0 {
		most = tls.VersionTLS13
	}
	c.end.checkVersions(c.report, c.server, least, most)
	c.clientCertificate(ctx)
	c.end.checkChain(c.report, c.server, trust{c.Trust, c.Called})
	c.names()
	c.end.checkDates(c.report, c.server.certificates)
}

var noClientCertificate = remedy{"neither the RA nor CES has a certificate for the CA", "IIS Manager, CertSrv, SSL Settings: Client certificates Ignore; netsh http show sslcert for the binding"}

// clientCertificate reports whether IIS wants a certificate of its clients.
func (c *caCheck) clientCertificate(ctx context.Context) {
	const name = "ca.tls.client"
	if !c.server.asksClient {
		c.report.OK(name, "no client certificate is asked for in the handshake")
		return
	}
	f := Finding{Name: name, State: OK, Seen: "a client certificate is asked for in the handshake, and not demanded"}
	a, err := c.ask(ctx, request{method: "GET", target: c.url.Path})
	if err != nil || a.status == 403 {
		f.State, f.Seen = Fail, "a client certificate is demanded, and there is none to show"
		f.Symptom = c.end.handshakeSymptom(35, "error:14094410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure")
		f.Reason, f.Fix = noClientCertificate.reason, noClientCertificate.fix
	}
	c.report.Add(f)
}

// names reports whether the certificate names the host, by both rules.
func (c *caCheck) names() {
	leaf := c.server.leaf()
	shown := namesOf(leaf)
	for _, rule := range []struct {
		name, who string
		check     msca.NameCheck
		mine      bool
	}{
		{"ca.tls.name", "by Go's rule, an RA's in the profile modern", msca.NameCheckGo, c.CA.NameCheck != "curl"},
		{"ca.tls.name.curl", "by the rule of curl 7.61, CES's", msca.NameCheckCurl, c.CA.NameCheck == "curl"},
	} {
		f := Finding{Name: rule.name, State: OK, Seen: fmt.Sprintf("%s is among %s, %s", c.end.host, shown, rule.who)}
		if err := msca.VerifyName(leaf, c.end.host, rule.check); err != nil {
			f.State = Fail
			if !rule.mine {
				f.State = Warn
			}
			f.Seen = fmt.Sprintf("%s is not among %s, %s", c.end.host, shown, rule.who)
			f.Symptom = cesSays(asError(err))
			f.Reason = "the URL names the server otherwise than its certificate does"
			f.Fix = "write one of those names into the URL, or " + anew(c.end.host)
			if rule.check == msca.NameCheckGo && len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
				f.Reason = "the certificate has no subject alternative name, and Go looks at nothing else"
				f.Fix = anew(c.end.host)
			}
		}
		c.report.Add(f)
	}
}

// cesState is that of what goes wrong with CES alone: no failure of an RA that is
// configured otherwise.
func (c *caCheck) cesState() State {
	if c.Profile == config.ProfileCUCM {
		return Fail
	}
	return Warn
}

// manner is how a client of the CA behaves.
type manner struct {
	names       msca.NameCheck
	least, most uint16
	binding     bool
}

func (c *caCheck) asConfigured() manner {
	m := manner{least: uint16(c.CA.TLS.Min), most: uint16(c.CA.TLS.Max), binding: true}
	if c.CA.NameCheck == "curl" {
		m.names = msca.NameCheckCurl
	}
	return m
}

// asCES is the client of the profile cucm-12.5.
func asCES() manner {
	return manner{names: msca.NameCheckCurl, least: tls.VersionTLS10, most: tls.VersionTLS12}
}

func (c *caCheck) client(m manner) (*msca.Client, error) {
	t := trust{c.Trust, c.Called}
	least := m.least
	if least == 0 {
		least = tls.VersionTLS12
	}
	d := c.Timeout
	return msca.New(msca.Options{
		URL:            c.CA.URL,
		TLS:            &tls.Config{MinVersion: least, MaxVersion: m.most, Time: c.Now},
		NameCheck:      m.names,
		Trust:          func() (*x509.CertPool, []*x509.Certificate) { return t.pool(), t.anchors },
		Dial:           func(ctx context.Context, _, address string) (net.Conn, error) { return c.dialOpen(ctx, address) },
		Resolve:        func(context.Context, string) ([]netip.Addr, error) { return c.end.open, nil },
		Authentication: c.CA.Authentication,
		ChannelBinding: m.binding,
		Renewal:        int(c.CA.Renewal),
		Timeouts:       msca.Timeouts{Resolve: d, Connect: d, Handshake: d, Login: d, Chain: d, Template: d, Submit: max(d, 2*time.Minute), Fetch: d},
		Now:            c.Now,
		UserAgent:      probeAgent(ownAgent),
	})
}

func (c *caCheck) dialOpen(ctx context.Context, address string) (net.Conn, error) {
	return c.Dial(ctx, "tcp", address)
}
