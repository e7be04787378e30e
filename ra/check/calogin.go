package check

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"ciscora/msca"
)

// slow is when a leg is warned of: CES waits 10 s for the whole of a request.
const slow = 5 * time.Second

// behindLogin are the checks that need a log-in.
var behindLogin = [...]string{"ca.binding", "ca.template", "ca.renewals", "ca.chain", "ca.crl", "ca.enroll"}

// loggedIn logs in once, and where that went well looks at the pages, and then once more
// without channel binding. A refusal ends it: each one counts towards the lock-out.
func (c *caCheck) loggedIn(ctx context.Context) {
	r := c.report
	behind := behindLogin[:]
	none := func(why string) {
		r.Skip("ca.login", why)
		r.skip("nobody is logged in", behind...)
	}
	if r.was("ca.tls.client", Fail) {
		r.skip("see ca.tls.client", append([]string{"ca.login"}, behind...)...)
		return
	}
	if r.was("ca.pages", Fail) { // no password goes where nobody asks for one
		r.skip("see ca.pages", append([]string{"ca.login"}, behind...)...)
		return
	}
	if c.Credentials.User == "" {
		none("there is no account: --user and --password-file, or --config, name one")
		return
	}
	if len(c.Trust) == 0 {
		none("no password goes to a server that is not verified, and there is no trust store")
		return
	}
	client, err := c.client(c.asConfigured())
	if err != nil {
		none(oneLine(err))
		return
	}
	if conn, err := client.Open(ctx); err != nil {
		// What is wrong with TLS has been said.
		none("no password goes to a server that is not verified: " + seenOf(asError(err)))
		return
	} else if err := conn.Close(); err != nil {
		none(oneLine(err))
		return
	}
	defer c.countLogins()
	start := c.Now()
	c.logins++
	session, err := client.Login(ctx, c.Credentials)
	if err != nil {
		c.ces, c.cesAt = err, "ca.login"
		m := remedyOf(asError(err))
		if asError(err).Kind == msca.KindAuthScheme {
			c.logins-- // nothing was sent
			if r.was("ca.auth", Fail) {
				m.fix = "see ca.auth"
			}
		}
		failedBy(r, "ca.login", err, m)
		r.skip("nobody is logged in", behind...)
		return
	}
	took := c.Now().Sub(start)
	c.timed("ca.login", fmt.Sprintf("%s is logged in (%s)", short(c.Credentials.User), took.Round(time.Millisecond)), took)
	session.SetGate(c.once)
	c.look(ctx, session)
	session.Close()
	if c.stopped != nil {
		r.Skip("ca.binding", c.stopped.Error())
		return
	}
	c.binding(ctx)
}

// once is asked before a session logs in anew, on another connection: not after a
// refusal, nor where nobody knows whether there was one.
func (c *caCheck) once(context.Context) (ended func(error), err error) {
	if c.stopped != nil {
		return nil, c.stopped
	}
	c.logins++
	c.again++
	return func(err error) {
		var e *msca.Error
		switch {
		case err == nil:
		case errors.As(err, &e) && e.Kind == msca.KindAuthRejected:
			c.stopped = errRefused
		default:
			c.stopped = errUnanswered
		}
	}, nil
}

// countLogins says how often the account's password went to the CA.
func (c *caCheck) countLogins() {
	seen := "one log-in was tried"
	switch {
	case c.logins == 0:
		c.report.OK("ca.logins", "none was tried: no password was sent")
		return
	case c.logins > 1:
		seen = fmt.Sprintf("%d log-ins were tried", c.logins)
	}
	if c.again > 0 {
		seen += fmt.Sprintf(", %d of them because the CA wanted another one for a page, behind one that it had taken (IIS: authPersistSingleRequest; or it ends connections)", c.again)
	}
	if c.CA.Authentication == "basic" {
		seen += "; with Basic the password goes with each request"
	}
	c.report.OK("ca.logins", seen)
}

// Why an account is not tried again.
var (
	errRefused    = errors.New("the account was refused before: it is not tried again")
	errUnanswered = errors.New("a log-in before had no answer, and may count as a refused one: the account is not tried again")
)

// timedOutAtCES is what CES logs of the request of a check that has no answer in its ten
// seconds.
func (c *caCheck) timedOutAtCES(name string) string {
	phases := map[string]msca.Phase{"ca.template": msca.PhaseTemplate, "ca.chain": msca.PhaseChain, "ca.enroll": msca.PhaseSubmit}
	return cesSays(&msca.Error{
		Phase: cmp.Or(phases[name], msca.PhaseLogin), Kind: msca.KindTimeout,
		CurlCode: 28, CurlText: "Operation timed out after 10000 milliseconds with 0 bytes received", URL: c.CA.URL,
	})
}

// timed adds that something works, unless it is slow.
func (c *caCheck) timed(name, seen string, took time.Duration) {
	if took >= patienceOfCES {
		c.tooSlow = name
	}
	switch name {
	case "ca.login":
		c.spent += 2 * took
	case "ca.template", "ca.enroll":
		c.spent += took
	}
	if took < slow {
		c.report.OK(name, seen)
		return
	}
	if name != "ca.login" {
		seen += fmt.Sprintf(" (%s)", took.Round(time.Millisecond))
	}
	c.report.Add(Finding{
		Name: name, State: Warn, Seen: seen, Symptom: c.timedOutAtCES(name),
		Reason: "CES waits ten seconds for a request, CAPF for its answer: what takes half of that here fails under load",
		Fix:    remedies[msca.KindTimeout].fix,
	})
}

// binding logs in as CES does, without channel binding, now that the password is known
// to be right: what differs is Extended Protection.
func (c *caCheck) binding(ctx context.Context) {
	const name = "ca.binding"
	if c.CA.Authentication == "basic" {
		c.report.OK(name, "Basic has none")
		return
	}
	m := c.asConfigured()
	m.binding = false
	client, err := c.client(m)
	if err != nil {
		c.report.Skip(name, oneLine(err))
		return
	}
	c.logins++
	session, err := client.Login(ctx, c.Credentials)
	var e *msca.Error
	switch {
	case err == nil:
		session.Close()
		c.report.OK(name, "log-ins with channel binding are taken, and without one, too: Extended Protection is off or Accept")
	case errors.As(err, &e) && e.Kind == msca.KindAuthRejected:
		c.ces = err
		const required = "Extended Protection is Required: the same password is taken with channel binding and refused without"
		if c.CA.ChannelBinding {
			c.report.OK(name, required+"; this RA sends one, CES does not")
			return
		}
		c.report.Add(Finding{
			Name: name, State: Fail, Seen: required,
			Symptom: cesRefuses + "; CAPF: " + capfAuth + "; IIS's log: 401 1 2148074310, as with a wrong password",
			Reason:  "CES, and every client of that age, sends no channel binding",
			Fix:     "ca.channel_binding: true (ra serve reads it at its start), or " + extendedProtection,
		})
	default:
		failed(c.report, name, err)
	}
}

const extendedProtection = "IIS Manager, CertSrv, Windows Authentication, Advanced Settings, Extended Protection Accept"

func asError(err error) *msca.Error {
	var e *msca.Error
	if errors.As(err, &e) {
		return e
	}
	return &msca.Error{Err: err}
}

// whatCESSays is what CES of CUCM 12.5 would log of this CA.
func (c *caCheck) whatCESSays(ctx context.Context) {
	const name = "ca.ces"
	r := c.report
	if len(c.Trust) == 0 {
		r.Skip(name, "there is no trust store")
		return
	}
	client, err := c.client(asCES())
	if err != nil {
		r.Skip(name, oneLine(err))
		return
	}
	conn, err := client.Open(ctx)
	if err != nil {
		older := slices.ContainsFunc(c.server.takes, func(v uint16) bool { return v <= tls.VersionTLS12 })
		if e := asError(err); e.Kind == msca.KindTLSHandshake && older && !r.was("ca.tls.client", Fail) {
			r.Skip(name, "Go, in which this is written, cannot agree on TLS with it; whether CES can: ra check tls "+c.end.address()+" --as ces")
			return
		}
		c.cesFails(asError(err))
		return
	}
	conn.Close()
	for _, f := range r.Findings {
		if f.Name == "ca.pages" && f.State == Fail {
			r.Add(Finding{Name: name, State: c.cesState(), Seen: "CES of CUCM 12.5 gets what ca.pages says", Symptom: f.Symptom, Reason: "see ca.pages", Fix: "see ca.pages"})
			return
		}
	}
	switch {
	case c.ces != nil && c.Timeout < patienceOfCES && asError(c.ces).Kind == msca.KindTimeout:
		r.Skip(name, fmt.Sprintf("nothing came in the %s of --timeout; CES waits ten seconds", c.Timeout))
	case c.ces != nil:
		c.cesFails(asError(c.ces))
	case c.tooSlow != "":
		r.Add(Finding{
			Name: name, State: c.cesState(), Seen: "CES of CUCM 12.5 fails here: it gives each request ten seconds", Symptom: c.timedOutAtCES(c.tooSlow),
			Reason: "see " + c.tooSlow, Fix: "see " + c.tooSlow,
		})
	case c.spent >= patienceOfCES:
		r.Add(Finding{
			Name: name, State: c.cesState(), Seen: fmt.Sprintf("with CES of CUCM 12.5 an enrollment takes some %s: it logs in twice, and CAPF waits ten seconds for all of it", c.spent.Round(time.Second)),
			Symptom: "CAPF: Enrollment rv = 35 (EST_ERR_SSL_READ)", Reason: "the CA answers each request in time, and all together too late", Fix: remedies[msca.KindTimeout].fix,
		})
	case !r.was("ca.auth.ntlm", OK):
		c.cesFails(&msca.Error{Phase: msca.PhaseLogin, Kind: msca.KindAuthScheme})
	case c.logins == 0:
		r.Skip(name, "TLS would do for CES; whether its log-in would cannot be told without one")
	case r.was("ca.tls.chain", Warn):
		r.OK(name, "with each CA of the trust store in CAPF-trust, too (see ca.tls.chain), CES would log: login_to_certsrv_ca: Secure connection to MS CertServ completed successfully using the following URL "+c.CA.URL)
	default:
		r.OK(name, "CES would log: login_to_certsrv_ca: Secure connection to MS CertServ completed successfully using the following URL "+c.CA.URL)
	}
}

// remedyOfCES points at what this check has found out already.
func (c *caCheck) remedyOfCES(e *msca.Error) remedy {
	switch {
	case c.report.was("ca.tls.client", Fail):
		return remedy{noClientCertificate.reason, "see ca.tls.client"}
	case e.Kind == msca.KindAuthRejected && c.report.was("ca.login", OK):
		m := remedy{"the account is good, but CES logs in without channel binding, and Extended Protection refuses that", "see ca.binding"}
		if c.report.was("ca.binding", OK) {
			m.fix = "none where this RA stands in for CES: it sends one"
			if c.cesState() == Fail {
				m.fix += ", and with profile modern this line is a warn"
			}
			m.fix += ". For CES itself: " + extendedProtection
		}
		return m
	case e.Kind == msca.KindAuthScheme && !c.report.was("ca.auth.ntlm", OK):
		return remedy{"CES logs in by NTLM alone, and IIS does not take it", "see ca.auth.ntlm"}
	case c.cesAt != "" && errors.Is(c.ces, e):
		return remedy{"CES asks the same", "see " + c.cesAt}
	case e.Kind == msca.KindTLSName:
		return remedy{remedies[e.Kind].reason, "see ca.tls.name.curl"}
	case e.Kind == msca.KindTLSUntrusted && !selfIssued(c.server.leaf()):
		return remedy{remedies[e.Kind].reason, "see ca.tls.chain; for CES itself import the CAs of the CA's chain into CAPF-trust, and restart the CAPF service"}
	}
	return remedyOf(e)
}

func (c *caCheck) cesFails(e *msca.Error) {
	m := c.remedyOfCES(e)
	symptom := cesSays(e)
	if symptom == "" {
		symptom = cesRefuses
	}
	seen := seenOf(e)
	if e.Kind == msca.KindTemplateNotListed {
		seen = "the list lacks the template"
	}
	c.report.Add(Finding{Name: "ca.ces", State: c.cesState(), Seen: "CES of CUCM 12.5 fails here: " + seen, Symptom: symptom, Reason: m.reason, Fix: m.fix})
}
