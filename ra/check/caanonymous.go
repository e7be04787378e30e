package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"ciscora/internal/printable"
	"ciscora/internal/spnego"
	"ciscora/msca/ntlm"
)

// How far a clock may be off: Kerberos takes five minutes, and a certificate that was
// just issued is not valid yet by a clock that is behind.
const (
	skewNoted = time.Minute
	skewWrong = 5 * time.Minute
)

// The mechanism Kerberos, as it is and as Windows has long written it.
var kerberos = []asn1.ObjectIdentifier{{1, 2, 840, 113554, 1, 2, 2}, {1, 2, 840, 48018, 1, 2, 2}}

// waysIn are the checks of how one may log in.
var waysIn = [...]string{"ca.auth", "ca.auth.ntlm", "ca.auth.negotiate", "ca.auth.kerberos", "ca.auth.basic"}

// ask sends one request on a connection of its own, on which nobody logs in.
func (c *caCheck) ask(ctx context.Context, req request) (*reply, error) {
	conn, err := c.end.unverified(ctx, tls.VersionTLS10, tls.VersionTLS13, nil)
	if err != nil {
		return nil, err
	}
	talk := converse(c.Options, conn)
	defer talk.close()
	req.head = append([]field{{"Host", strings.TrimSuffix(c.url.Host, ":443")}, {"User-Agent", probeAgent(ownAgent)}, {"Accept", "*/*"}}, req.head...)
	return talk.do(ctx, req)
}

// open asks what IIS offers with a first message in a scheme: no credentials are in it.
func (c *caCheck) opening(ctx context.Context, scheme string, token []byte) (*reply, error) {
	return c.ask(ctx, request{method: http.MethodGet, target: c.url.Path, head: []field{{"Authorization", scheme + " " + base64.StdEncoding.EncodeToString(token)}}})
}

// anonymous looks at what IIS shows to those who do not log in.
func (c *caCheck) anonymous(ctx context.Context) {
	r := c.report
	before := c.Now()
	a, err := c.ask(ctx, request{method: http.MethodGet, target: c.url.Path})
	if c.report.was("ca.tls.client", Fail) {
		r.skip("see ca.tls.client", append([]string{"ca.pages", "ca.clock"}, waysIn[:]...)...)
		return
	}
	if err != nil {
		r.Add(Finding{
			Name: "ca.pages", State: Fail, Seen: "a request without a log-in gets no answer: " + reasonOf(err), Symptom: c.silence(err),
			Reason: "IIS, or what stands before it, does not answer", Fix: "look at IIS's log and its application pool, and for a firewall that inspects",
		})
		r.skip("see ca.pages", append([]string{"ca.clock"}, waysIn[:]...)...)
		return
	}
	c.clock(a, before, c.Now())
	r.Add(c.pages(a))
	if a.status == http.StatusUnauthorized {
		c.offers(ctx, a)
	} else {
		r.skip("see ca.pages", waysIn[:]...)
	}
}

func (c *caCheck) silence(err error) string {
	if isTimeout(err) {
		return cesLogIn(28, fmt.Sprintf("Operation timed out after %d milliseconds with 0 bytes received", c.Timeout.Milliseconds()), c.CA.URL)
	}
	return cesLogIn(52, "Empty reply from server", c.CA.URL)
}

// pages judges the answer to an anonymous GET of the folder: a 401 says that it is there.
func (c *caCheck) pages(a *reply) Finding {
	f := Finding{Name: "ca.pages", State: Fail, Seen: fmt.Sprintf("%s answers %d to who does not log in", c.url.Path, a.status)}
	said := remedies
	switch {
	case a.status == http.StatusUnauthorized:
		f.State = OK
	case a.status == http.StatusOK, c.toItself(a):
		f.Reason = "no log-in is asked for: anonymous access is on, so that the pages would take every request as the same account and the RA refuses to relay passwords there; or host and port are another server's"
		f.Fix = "IIS Manager, CertSrv, Authentication: Anonymous off, Windows Authentication on; or correct the URL"
		f.Symptom = "nothing in CES's logs, if it is IIS: CES enrolls, as does whoever reaches the pages, with the rights of IIS's anonymous account"
		return f
	case a.status >= 300 && a.status < 400:
		f.Seen += ", to " + short(placeOf(a.get("Location")))
		f.Reason, f.Fix = said["redirect"].reason, said["redirect"].fix
	case a.status == http.StatusNotFound:
		f.Reason, f.Fix = said["not-found"].reason+", or host and port are another server's", said["not-found"].fix+"; or its host and port"
	case a.status == http.StatusForbidden:
		f.Reason, f.Fix = said["forbidden"].reason, said["forbidden"].fix
	case a.status == http.StatusBadRequest:
		f.Reason = "http.sys, or a proxy before IIS, refuses the request before any page: a header too long, a host name that is not bound, a client certificate that is missing"
		f.Fix = "look at C:\\Windows\\System32\\LogFiles\\HTTPERR on the CA's server, and at what stands before it"
	case a.status == http.StatusServiceUnavailable:
		f.Reason, f.Fix = poolStopped.reason, poolStopped.fix
	default:
		f.Reason, f.Fix = said["http"].reason, said["http"].fix
	}
	if f.State == Fail {
		f.Symptom = cesRefuses + "; IIS's log: GET " + c.url.Path + fmt.Sprintf(" ... %d", a.status)
		if a.status == http.StatusServiceUnavailable {
			f.Symptom = cesRefuses + "; no line in IIS's log, but one with 503 and AppOffline in http.sys's own (HTTPERR)"
		}
	}
	return f
}

// toItself tells whether an answer is the redirect to the folder with its final slash,
// which comes to those who are let in.
func (c *caCheck) toItself(a *reply) bool {
	to, err := c.url.Parse(a.get("Location"))
	return err == nil && a.status >= 300 && a.status < 400 && strings.EqualFold(to.Hostname(), c.url.Hostname()) &&
		strings.EqualFold(strings.TrimRight(to.Path, "/"), strings.TrimRight(c.url.Path, "/"))
}

// placeOf is a URL without what may be secret in it.
func placeOf(location string) string {
	location, _, _ = strings.Cut(location, "?")
	if _, after, ok := strings.Cut(location, "@"); ok {
		return after
	}
	return location
}

// clock compares the Date header with the clock here.
func (c *caCheck) clock(a *reply, from, to time.Time) {
	const name = "ca.clock"
	theirs, err := http.ParseTime(a.get("Date"))
	if err != nil {
		c.report.Skip(name, "the answer has no Date")
		return
	}
	var skew time.Duration // beyond what the answer's way explains, and the header's whole seconds
	switch {
	case theirs.After(to):
		skew = theirs.Sub(to)
	case theirs.Before(from.Add(-time.Second)):
		skew = theirs.Sub(from.Add(-time.Second))
	}
	f := Finding{Name: name, State: OK, Seen: fmt.Sprintf("the CA's clock is within %s of this one", max(skew.Abs(), time.Second).Round(time.Second))}
	if skew.Abs() >= skewNoted {
		f.State = Warn
		way := "ahead of"
		if skew < 0 {
			way = "behind"
		}
		f.Seen = fmt.Sprintf("the CA's clock is %s %s this one: %s there, %s here", skew.Abs().Round(time.Second), way, stamp(theirs), stamp(to))
		f.Symptom = "SSL certificate problem: certificate is not yet valid, with a certificate that was issued just now"
		f.Reason = "one of the two clocks is wrong"
		f.Fix = "set both by the domain's time (w32tm /resync; chronyc or ntpq here)"
		if skew.Abs() >= skewWrong {
			f.State = Fail
			f.Reason += "; Kerberos refuses from five minutes on"
		}
	}
	c.report.Add(f)
}

// offers reports the ways to log in, one by one.
func (c *caCheck) offers(ctx context.Context, a *reply) {
	r := c.report
	schemes := a.schemes()
	has := func(name string) bool {
		return slices.ContainsFunc(schemes, func(s string) bool { return strings.EqualFold(s, name) })
	}
	list := strings.Join(schemes, ", ")
	if len(schemes) == 0 {
		list = "nothing"
	}
	wanted := map[string]string{"": "NTLM", "ntlm": "NTLM", "negotiate": "Negotiate", "kerberos": "Negotiate", "basic": "Basic"}[c.CA.Authentication]
	byNTLM, taken := c.ntlm(ctx, has("NTLM"))
	byNegotiate, wrapped := c.negotiate(ctx, has("Negotiate"))
	f := Finding{Name: "ca.auth", State: OK, Seen: "offered: " + list}
	if !has(wanted) {
		f.State, f.Symptom = Fail, cesRefuses+"; CAPF: "+capfAuth
		f.Reason = fmt.Sprintf("%s is not offered, and the RA logs in by it (ca.authentication)", wanted)
		f.Fix = "IIS Manager, CertSrv, Authentication: install and enable what is missing"
		switch ntlmMissing := wanted == "NTLM" && has("Negotiate"); { // Windows Authentication is there
		case ntlmMissing && wrapped:
			f.Fix = addNTLM
		case ntlmMissing:
			f.Fix = "see ca.auth.kerberos"
		}
		var usable []string
		for _, way := range []struct {
			name string
			is   bool
		}{{"ntlm", taken}, {"negotiate", wrapped}, {"basic", has("Basic")}} {
			if way.is {
				usable = append(usable, way.name)
			}
		}
		if len(usable) > 0 {
			f.Fix += "; or set ca.authentication to " + strings.Join(usable, " or ")
		}
	}
	r.Add(f)
	r.Add(byNTLM)
	r.Add(byNegotiate)
	c.kerberos(ctx, has("Negotiate"), taken || wrapped)
	seen := "not offered: as a new Web Enrollment has it"
	if has("Basic") {
		seen = "offered: passwords cross TLS as they are"
	}
	r.OK("ca.auth.basic", seen)
}

const addNTLM = "IIS Manager, CertSrv, Authentication, Windows Authentication, Providers: add NTLM"

func (c *caCheck) ntlm(ctx context.Context, offered bool) (f Finding, taken bool) {
	const name = "ca.auth.ntlm"
	if !offered {
		return Finding{
			Name: name, State: Warn, Seen: "not offered", Symptom: cesRefuses,
			Reason: "CES logs in by NTLM alone", Fix: addNTLM,
		}, false
	}
	a, err := c.opening(ctx, "NTLM", ntlm.NegotiateMessage())
	if err != nil {
		return Finding{
			Name: name, State: Fail, Seen: "the first message gets no answer: " + reasonOf(err), Symptom: c.silence(err), Reason: "NTLM does not come through",
			Fix: "look at IIS's log of this moment, and for a proxy or a firewall that inspects",
		}, false
	}
	if token := tokenOf(a, "NTLM"); a.status == http.StatusUnauthorized && len(token) > 12 && strings.HasPrefix(string(token), "NTLMSSP\x00") {
		return Finding{Name: name, State: OK, Seen: "the first message is answered with a challenge"}, true
	}
	return Finding{
		Name: name, State: Fail, Seen: fmt.Sprintf("offered, and the first message is answered with %d and no challenge", a.status), Symptom: cesRefuses,
		Reason: "NTLM is restricted on this host, or a proxy takes the header away",
		Fix:    "policy Network security: Restrict NTLM: Incoming NTLM traffic; events 4002 and 8002 of NTLM/Operational tell of it",
	}, false
}

func (c *caCheck) negotiate(ctx context.Context, offered bool) (f Finding, takesNTLM bool) {
	const name = "ca.auth.negotiate"
	if !offered {
		return Finding{Name: name, State: OK, Seen: "not offered"}, false
	}
	a, err := c.opening(ctx, "Negotiate", ntlm.NegotiateInit())
	if err != nil {
		return Finding{Name: name, State: Skip, Seen: "the first message gets no answer: " + reasonOf(err)}, false
	}
	answer, err := spnego.ParseResponse(tokenOf(a, "Negotiate"))
	if a.status == http.StatusUnauthorized && err == nil && answer.State != spnego.Reject && len(answer.Token) > 0 {
		return Finding{Name: name, State: OK, Seen: "takes NTLM in SPNEGO"}, true
	}
	f = Finding{Name: name, State: Warn, Seen: "offered, and takes no NTLM in it", Symptom: "who speaks Negotiate and has no ticket (curl --negotiate, .NET outside the domain) gets 401", Reason: "NTLM is off, or another program answers", Fix: "see ca.auth.kerberos"}
	if c.CA.Authentication == "negotiate" {
		f.State, f.Symptom = Fail, cesRefuses+"; CAPF: "+capfAuth
	}
	return f, false
}

// kerberos asks whether Kerberos is spoken, by naming it alone, without a ticket.
func (c *caCheck) kerberos(ctx context.Context, offered, otherwise bool) {
	const name = "ca.auth.kerberos"
	spoken := false
	if offered {
		init, err := spnego.Init{Mechanisms: kerberos}.Marshal()
		if err != nil {
			c.report.Skip(name, oneLine(err))
			return
		}
		if a, err := c.opening(ctx, "Negotiate", init); err == nil {
			answer, err := spnego.ParseResponse(tokenOf(a, "Negotiate"))
			spoken = err == nil && answer.State != spnego.Reject && slices.ContainsFunc(kerberos, answer.Mechanism.Equal)
		}
	}
	switch {
	case offered && !otherwise:
		seen := "Negotiate is offered and NTLM is not taken: Kerberos alone"
		c.report.Add(Finding{
			Name: name, State: Fail, Seen: seen, Symptom: cesRefuses + "; CAPF: " + capfAuth,
			Reason: "NTLM is off on the host or in the domain, and neither this RA nor CES speaks Kerberos",
			Fix:    "allow NTLM for this one server (policy Restrict NTLM: Add server exceptions), and list the provider NTLM in IIS",
		})
	case spoken:
		c.report.OK(name, "not needed; it is spoken besides")
	default:
		c.report.OK(name, "not needed; whether it is spoken cannot be seen without a ticket")
	}
}

// tokenOf is what stands behind a scheme's name in an answer; nil where nothing does.
func tokenOf(a *reply, scheme string) []byte {
	for _, value := range a.challenges() {
		name, rest, _ := strings.Cut(value, " ")
		if strings.EqualFold(name, scheme) {
			token, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
			if err == nil {
				return token
			}
		}
	}
	return nil
}

// namesOf are a certificate's, as a person compares them.
func namesOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return printable.Line(fmt.Sprintf("its names (CN %q, no subject alternative name)", c.Subject.CommonName), 200)
	}
	return printable.Line("its names ("+strings.Join(names[:min(len(names), 20)], ", ")+")", 400)
}
