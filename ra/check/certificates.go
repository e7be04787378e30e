package check

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"ciscora/internal/printable"
	"ciscora/internal/x501"
	"ciscora/msca"
)

// soon is how long before a certificate's end it is warned of.
const soon = 30 * 24 * time.Hour

// EndsSoon tells whether a certificate ends within so long. One that never lasts longer
// than that, as those of ACME and of a lab, ends soon in its last third.
func EndsSoon(c *x509.Certificate, now time.Time, within time.Duration) bool {
	if lasts := c.NotAfter.Sub(c.NotBefore); lasts <= within {
		within = lasts / 3
	}
	return c.NotAfter.Sub(now) < within
}

// maxPath bounds a chain.
const maxPath = 16

// subject and issuer are a certificate's names, as they may be printed.
func subject(c *x509.Certificate) string { return printable.Line(x501.Text(c.RawSubject), 200) }
func issuer(c *x509.Certificate) string  { return printable.Line(x501.Text(c.RawIssuer), 200) }

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// pathOf goes from the first certificate to an anchor, by names and key identifiers,
// through the others that came with it and through the anchors. anchored is false where
// it does not get there; the last of the path is then the one whose issuer is missing,
// or a self-signed certificate that is no anchor. Where it is true, the last is an anchor:
// the root, or, where that is missing, the highest below it. borrowed are the steps that the server
// did not send.
func pathOf(certs, anchors []*x509.Certificate) (path, borrowed []*x509.Certificate, anchored bool) {
	path = certs[:1:1]
	for len(path) < maxPath {
		last := path[len(path)-1]
		trusted := slices.ContainsFunc(anchors, last.Equal) && (selfIssued(last) || len(path) > 1)
		if selfIssued(last) {
			return path, borrowed, trusted
		}
		issued := func(c *x509.Certificate) bool { return !slices.ContainsFunc(path, c.Equal) && msca.Issued(c, last) }
		// Above one that is trusted only those count that are, too.
		if i := slices.IndexFunc(certs, issued); i >= 0 && !trusted {
			path = append(path, certs[i])
			continue
		}
		i := slices.IndexFunc(anchors, issued)
		if i < 0 {
			return path, borrowed, trusted
		}
		path = append(path, anchors[i])
		if !selfIssued(anchors[i]) {
			borrowed = append(borrowed, anchors[i])
		}
	}
	return path, borrowed, false
}

// trust is a trust store.
type trust struct {
	anchors []*x509.Certificate
	called  string // how the user calls it: ca.trust, --cacert
}

func (t trust) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range t.anchors {
		pool.AddCert(c)
	}
	return pool
}

// checkChain reports whether a server's chain leads to the trust store, whatever the
// dates.
func (e *endpoint) checkChain(r *Report, s *server, t trust) {
	name := e.kind + ".tls.chain"
	if len(t.anchors) == 0 {
		sent, _, _ := pathOf(s.certificates, nil)
		last := sent[len(sent)-1]
		r.Skip(name, fmt.Sprintf("there is no trust store: %s names one; what came ends at %s, issued by %s", t.called, subject(last), issuer(last)))
		return
	}
	certs := s.certificates
	leaf := certs[0]
	path, borrowed, anchored := pathOf(certs, t.anchors)
	last := path[len(path)-1]
	f := Finding{Name: name, State: Fail, Seen: chainText(path)}
	switch {
	case selfIssued(leaf):
		words, reason := SelfSigned(leaf, anchored, t.called)
		f.Seen, f.Reason = fmt.Sprintf("the server's certificate is self-signed: %s", subject(leaf)), reason
		if f.Symptom = "clients that do not have this very certificate in their trust store refuse it"; words != "" {
			f.Symptom = e.chainSymptom(words)
		}
		f.Fix = "issue a certificate for the server from the CA (template Web Server), and bind it to port " + e.port
		if e.kind == kindEST {
			f.Fix = "have a CA that the clients trust issue a certificate for the server"
		}
		if !anchored {
			if !e.takesSHA1 || msca.MaySign(leaf) { // CES does not take it from there
				f.Fix += "; or, if it is the right one, add it to " + t.called
				if !msca.MaySign(leaf) {
					f.Fix += ", from where Go and OpenSSL 3 take it, and CES does not"
				}
			}
		}
		if anchored {
			f.State = Warn
		}
	case !anchored && selfIssued(last):
		f.Symptom = e.chainSymptom(rootWords(certs, last))
		f.Reason = fmt.Sprintf("its root %s is not in %s", named(last), t.called)
		f.Fix = fetch(e, t, last, last)
	case !anchored:
		f.Seen = "the chain ends at " + chainText(path)
		f.Symptom = e.chainSymptom("unable to get local issuer certificate")
		f.Reason = fmt.Sprintf("the issuer of %s is missing: %s, AKI %s; neither does the server send it, nor is it in %s", subject(last), issuer(last), keyID(last.AuthorityKeyId), t.called)
		f.Fix = fetch(e, t, last, nil)
	default:
		e.verified(&f, certs, t, path, borrowed)
	}
	r.Add(f)
}

// verified fills in what Go says of a chain that is whole by its names.
func (e *endpoint) verified(f *Finding, certs []*x509.Certificate, t trust, path, borrowed []*x509.Certificate) {
	last := path[len(path)-1]
	intermediates := x509.NewCertPool()
	for _, c := range certs[1:] {
		intermediates.AddCert(c)
	}
	_, err := certs[0].Verify(x509.VerifyOptions{Roots: t.pool(), Intermediates: intermediates, CurrentTime: commonTime(certs)})
	var weak x509.InsecureAlgorithmError
	switch {
	case errors.As(err, &weak) || err != nil && slices.ContainsFunc(certs, signedWithSHA1):
		if e.takesSHA1 {
			f.State = Warn
		}
		f.Symptom = "OpenSSL 1.0.2, and so CES, takes it; newer ones say: CA signature digest algorithm too weak"
		f.Reason = "a certificate of the chain is signed with SHA-1, which the profile cucm-12.5 takes and no other"
		f.Fix = "issue it anew, with SHA-256 (certutil -setreg ca\\csp\\CNGHashAlgorithm SHA256 on the CA)"
	case err != nil:
		words, fix := unfit(err, path)
		f.Symptom = e.chainSymptom(words)
		f.Reason, f.Fix = printable.Line(err.Error(), 300), fix
	case !selfIssued(last):
		f.State = Warn
		words := "unable to get issuer certificate"
		var sent *x509.Certificate
		if i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return msca.Issued(c, last) }); i >= 0 {
			sent = certs[i]
			words = rootWords(certs, sent)
		}
		f.Symptom = "works where the issuing CA is enough, as for this program; else " + e.chainSymptom(words)
		f.Reason = fmt.Sprintf("its root %s is not in %s: CES, and OpenSSL where partial chains are not allowed, want a self-signed certificate at the end", issuer(last), t.called)
		f.Fix = fetch(e, t, last, sent)
	case len(borrowed) > 0:
		f.State = Warn
		f.Symptom = "works here; at a client whose trust store has the root alone: unable to get local issuer certificate"
		f.Reason = fmt.Sprintf("the server does not send %s, which happens to be in %s", subject(borrowed[0]), t.called)
		f.Fix = "put the intermediate into the server's own store (certlm.msc, Intermediate Certification Authorities) so that it is sent"
		if e.kind == kindEST {
			f.Fix = "append the intermediate to the server's certificate file (est.certificate)"
		}
	default:
		f.State = OK
		if i := slices.IndexFunc(certs, shortKey); i >= 0 {
			f.State = Warn
			which := "EE"
			if certs[i].IsCA {
				which = "CA"
			}
			f.Symptom = "OpenSSL 1.0.2, and so CES, takes it; newer ones at security level 2 (Debian's, Ubuntu's) say: " + which + " certificate key too weak"
			f.Reason = fmt.Sprintf("the RSA key of %s has %d bits", subject(certs[i]), certs[i].PublicKey.(*rsa.PublicKey).N.BitLen())
			f.Fix = "issue it anew, with a key of 2048 bits or more"
		}
	}
}

// unfit is what OpenSSL says of a chain that is whole, and that Go does not take, and what
// helps.
func unfit(err error, path []*x509.Certificate) (words, fix string) {
	const noCA, another = "invalid CA certificate", "have a CA issue the server's certificate: what has issued this one is none by its basic constraints"
	var invalid x509.CertificateInvalidError
	var critical x509.UnhandledCriticalExtension
	switch {
	case errors.As(err, &critical):
		return "unhandled critical extension", "issue the certificate anew, without an extension that is critical and that its clients do not know"
	case slices.ContainsFunc(path[1:], func(c *x509.Certificate) bool { return c.Version == 3 && !c.IsCA }):
		return noCA, another // Go says that its signature cannot be verified
	case !errors.As(err, &invalid):
		return "unable to get local issuer certificate", "issue the certificate that is named there anew: SHA-256, RSA of 2048 bits or more, with server authentication among its purposes"
	}
	switch invalid.Reason {
	case x509.NotAuthorizedToSign:
		return noCA, another
	case x509.TooManyIntermediates:
		return "path length constraint exceeded", "have a CA issue the server's certificate that may have so many below it"
	case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.TooManyConstraints, x509.UnconstrainedName:
		return "permitted subtree violation", "have a CA issue the server's certificate that may do so for its name: the name constraints of this one do not allow it"
	}
	return "unsupported certificate purpose", "issue the certificate anew, with server authentication among its purposes (template Web Server)"
}

// shortKey tells an RSA key that newer clients do not take; a root's is not looked at.
func shortKey(c *x509.Certificate) bool {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && key.N.BitLen() < 2048 && !selfIssued(c)
}

// signedWithSHA1 is not true of a root, whose signature nobody looks at.
func signedWithSHA1(c *x509.Certificate) bool {
	return !selfIssued(c) && (c.SignatureAlgorithm == x509.SHA1WithRSA || c.SignatureAlgorithm == x509.ECDSAWithSHA1)
}

// commonTime is a moment at which all certificates are valid, if there is one: dates are
// looked at by themselves.
func commonTime(certs []*x509.Certificate) time.Time {
	latest := certs[0].NotBefore
	for _, c := range certs {
		if c.NotBefore.After(latest) {
			latest = c.NotBefore
		}
	}
	return latest.Add(time.Second)
}

// rootWords are OpenSSL 1.0.2's for a chain whose root is unknown.
func rootWords(certs []*x509.Certificate, root *x509.Certificate) string {
	if slices.ContainsFunc(certs, root.Equal) {
		return "self signed certificate in certificate chain"
	}
	return "unable to get local issuer certificate"
}

func (e *endpoint) chainSymptom(words string) string {
	if e.kind == kindEST {
		return "EST client: Enrollment rv = 38 (EST_ERR_SSL_CONNECT); SSL certificate problem: " + words
	}
	return cesLogIn(60, "SSL certificate problem: "+words, "")
}

// anew is what a new certificate needs to be good for a host.
func anew(host string) string {
	if net.ParseIP(host) != nil {
		return "issue the certificate anew with the IP address " + host + " (as an address, which a DNS name of those digits is not)"
	}
	return "issue the certificate anew with the DNS name " + host
}

func chainText(path []*x509.Certificate) string {
	words := make([]string, len(path))
	for i, c := range path {
		words[i] = subject(c)
	}
	return strings.Join(words, " <- ")
}

func named(c *x509.Certificate) string {
	return fmt.Sprintf("%s (SKI %s)", subject(c), keyID(c.SubjectKeyId))
}

func keyID(id []byte) string {
	if len(id) == 0 {
		return "unknown"
	}
	return hex.EncodeToString(id[:min(len(id), 32)])
}

// fetch is the command that gets a missing certificate: where it has come itself,
// that, else from where the one below it says, or from the CA's own pages.
func fetch(e *endpoint, t trust, below, sent *x509.Certificate) string {
	const lab = "the CA of ra lab is in trust.pem of its folder"
	switch {
	case sent != nil && len(t.anchors) > 0 && e.kind == kindCA:
		return fmt.Sprintf("if it is yours, add it to %s: openssl s_client -showcerts -connect %s </dev/null prints it; compare its fingerprint with the CA's own (certutil -ca.cert); %s", t.called, e.address(), lab)
	case sent != nil:
		return fmt.Sprintf("if it is yours, add it to %s; openssl s_client -showcerts -connect %s </dev/null prints it; %s", t.called, e.address(), lab)
	}
	for _, u := range below.IssuingCertificateURL {
		if strings.HasPrefix(u, "http://") && !strings.ContainsAny(u, "'\\\r\n ") {
			return fmt.Sprintf("add it to %s: curl -s '%s' | openssl x509 -inform der >> trust.pem, after a look at it", t.called, short(u))
		}
	}
	if e.kind == kindCA {
		return fmt.Sprintf("add it to %s: on the CA certutil -ca.chain chain.p7b, then openssl pkcs7 -inform der -in chain.p7b -print_certs >> trust.pem; or, if it is an intermediate, have IIS send it to everybody: "+
			"import it on IIS's machine, certutil -addstore CA FILE.cer, and bind the certificate anew", t.called)
	}
	return fmt.Sprintf("add it to %s, or, if it is an intermediate, have the server send it behind its own certificate", t.called)
}

// checkDates reports the dates of what a server sent.
func (e *endpoint) checkDates(r *Report, certs []*x509.Certificate) {
	now := e.o.Now()
	f := datesOf(e.kind+".tls.validity", certs, now)
	if f.State == Fail {
		words := "certificate has expired"
		if slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return now.Before(c.NotBefore) }) {
			words = "certificate is not yet valid"
		}
		f.Symptom = e.chainSymptom(words)
	}
	r.Add(f)
}

// datesOf finds the worst of certificates' dates.
func datesOf(name string, certs []*x509.Certificate, now time.Time) Finding {
	first := certs[0]
	for _, c := range certs {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	f := Finding{Name: name, State: OK, Seen: fmt.Sprintf("%s ends first, %s, in %s", subject(first), day(first.NotAfter), days(first.NotAfter.Sub(now)))}
	for _, c := range certs {
		switch {
		case now.Before(c.NotBefore):
			f.State, f.Seen = Fail, fmt.Sprintf("%s is not valid before %s; here it is %s", subject(c), stamp(c.NotBefore), stamp(now))
			f.Reason = "one of the clocks is wrong, or the certificate was made with such dates"
			f.Fix = "set the clocks of both machines (w32tm /resync, ntpq -p); issue the certificate anew where they are right"
			return f
		case now.After(c.NotAfter):
			f.State, f.Seen = Fail, fmt.Sprintf("%s has expired, %s; here it is %s", subject(c), stamp(c.NotAfter), stamp(now))
			f.Reason = "nobody has renewed it, or this machine's clock is wrong"
			f.Fix = "renew it and bind the new one; look at the clock of this machine"
			return f
		}
	}
	if EndsSoon(first, now, soon) {
		f.State = Warn
		f.Symptom = "from then on: SSL certificate problem: certificate has expired"
		f.Reason = "it ends soon"
		f.Fix = "renew it before"
	}
	return f
}

func day(t time.Time) string   { return t.UTC().Format(time.DateOnly) }
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
