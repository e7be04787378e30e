package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"ciscora/est/capf"
)

// noCSR is base64 in lines, as libest sends a CSR, of what is none: it is never enrolled.
const noCSR = "cmEgY2hlY2s6IHRoaXMgaXMgbm8gQ1NSLCBub3RoaW5nIGlzIHRvIGJlIGVucm9s\nbGVkLgo=\n"

// statusesOfLibest are those that its client knows.
var statusesOfLibest = []int{200, 202, 204, 400, 401, 404, 423, 500, 502, 504}

// versionOfLibest is L7.
func (c *estCheck) versionOfLibest() {
	if c.speaks12() {
		c.report.OK("L7", "TLS 1.2 is spoken, beyond which libest does not go")
		return
	}
	if slices.Contains(c.server.silent, tls.VersionTLS12) {
		c.report.Skip("L7", "see est.tls.versions")
		return
	}
	c.report.Add(Finding{
		Name: "L7", State: Fail, Seen: "TLS 1.2 is not spoken; the server takes " + versionNames(c.server.takes), Symptom: "EST client: Enrollment rv = 38 (EST_ERR_SSL_CONNECT)",
		Reason: "libest's client speaks TLS 1.2 and nothing newer", Fix: "enable TLS 1.2 (est.tls of ra.yaml)",
	})
}

// challenge posts what is no CSR, as libest does: without credentials and without
// Content-Transfer-Encoding (L1, L3, L8, L10).
func (c *estCheck) challenge(ctx context.Context) {
	const name = "est.challenge"
	r := c.report
	a, err := c.fetch(ctx, asLibest, http.MethodPost, "simpleenroll", noCSR)
	if err != nil {
		c.silent(name, err)
		r.skip("see est.challenge", "L1", "L3", "L10")
		return
	}
	l1 := Finding{Name: "L1", State: OK, Seen: "a POST without Content-Transfer-Encoding is taken"}
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest:
	case http.StatusUnsupportedMediaType:
		l1.State, l1.Seen = Fail, "a POST without Content-Transfer-Encoding is answered with 415"
		l1.Symptom = "EST client: " + rvOf(a.status)
		l1.Reason, l1.Fix = "libest never sends that header, and RFC 8951 needs none", "have the server do without it"
	default:
		l1.State, l1.Seen = Skip, fmt.Sprintf("simpleenroll answers %d: the header is not looked at", a.status)
	}
	r.Add(l1)
	switch a.status {
	case http.StatusUnauthorized:
		c.forms(a)
	case http.StatusForbidden:
		r.OK(name, "403 without credentials: certificates of clients alone, perhaps")
		r.skip("there is no challenge", "L3", "L10")
	case http.StatusBadRequest:
		r.Add(Finding{
			Name: name, State: Warn, Seen: "a request without credentials is not challenged: 400 for a body that is no CSR", Symptom: "whoever reaches the port may enroll, if it is as it looks",
			Reason: "the server looks at the CSR before it asks who sends it, or asks nobody", Fix: "see whether enrollment without credentials is refused: ra enroll without --user",
		})
		r.skip("there is no challenge", "L3", "L10")
	default:
		r.Add(wrongStatus(name, "simpleenroll", a))
		r.skip("there is no challenge", "L3", "L10")
	}
}

// forms looks at a challenge byte for byte.
func (c *estCheck) forms(a *reply) {
	r := c.report
	schemes := a.schemes()
	if len(schemes) == 0 {
		r.Add(Finding{
			Name: "est.challenge", State: Fail, Seen: "401 without WWW-Authenticate", Symptom: "EST client: " + rvOf(http.StatusUnauthorized) + "; it never sends its credentials",
			Reason: "a client that is not asked does not tell", Fix: "have the server challenge (RFC 9110 section 15.5.2); with CES and in the profile cucm-12.5 a 401 without a challenge follows credentials that failed",
		})
		r.skip("there is no challenge", "L3", "L10")
		return
	}
	r.OK("est.challenge", "401, "+strings.Join(schemes, ", "))
	c.first = schemes[0]
	f := Finding{Name: "L3", State: OK, Seen: "the header is written WWW-Authenticate"}
	if i := slices.IndexFunc(a.head, func(h field) bool {
		return strings.EqualFold(h.name, "WWW-Authenticate") && h.name != "WWW-Authenticate"
	}); i >= 0 {
		f.State, f.Seen = Fail, "the header is written "+short(a.head[i].name)
		f.Symptom = "EST client: No WWW-Authenticate header found; " + rvOf(http.StatusUnauthorized)
		f.Reason, f.Fix = "libest looks for it byte by byte", "have the server, or the proxy before it (HTTP/2 to HTTP/1.1, Go's Header.Set), write it so"
	}
	r.Add(f)
	f = Finding{Name: "L10", State: OK, Seen: "the first challenge is " + schemes[0]}
	known := []string{"Basic", "Digest", "Bearer"}
	switch i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, schemes[0]) }); {
	case i < 0:
		f.State = Fail
		f.Symptom = "EST client: " + rvOf(http.StatusUnauthorized)
		f.Reason, f.Fix = "libest reads the first challenge alone, and knows Basic, Digest and Bearer", "put Basic first"
	case known[i] != schemes[0]:
		f.State = Fail
		f.Symptom = "EST client: " + rvOf(http.StatusUnauthorized) + "; it never sends its credentials"
		f.Reason, f.Fix = "libest compares it byte by byte with "+known[i]+", and so does ra's client", "have the server, or the proxy before it, write "+known[i]
	}
	r.Add(f)
}

// attributes checks /csrattrs.
func (c *estCheck) attributes(ctx context.Context) {
	const name = "est.csrattrs"
	r := c.report
	a, err := c.fetch(ctx, asLibest, http.MethodGet, "csrattrs", "")
	switch {
	case err != nil:
		c.silent(name, err)
		return
	case a.status == http.StatusNoContent, a.status == http.StatusNotFound:
		r.OK(name, fmt.Sprintf("none (%d)", a.status))
		return
	case a.status == http.StatusUnauthorized && len(a.challenges()) > 0:
		r.OK(name, "401: it wants a log-in, which RFC 7030 section 4.5 leaves to it")
		return
	case a.status != http.StatusOK:
		r.Add(wrongStatus(name, "/csrattrs", a))
		return
	}
	f := Finding{Name: name, State: Fail, Symptom: "EST client: Enrollment rv = 11 (EST_ERR_HTTP_UNSUPPORTED), or the parser's"}
	switch ended, count, err := attributesOf(a.body); {
	case !strings.HasPrefix(a.get("Content-Type"), "application/csrattrs"):
		f.Seen, f.Reason, f.Fix = "the Content-Type is "+quoted(a.get("Content-Type")), "RFC 7030 section 4.5.2 wants application/csrattrs", "correct it at the server"
	case a.chunked:
		f.Seen, f.Reason, f.Fix = "it comes in chunks", "libest reads none (L2)", "send Content-Length"
	case err != nil:
		f.Seen, f.Reason, f.Fix = "the body is no CsrAttrs: "+err.Error(), "RFC 7030 section 4.5.2 wants base64 of a SEQUENCE", "correct it at the server"
	case !ended:
		f.State, f.Seen = Warn, fmt.Sprintf("%d of them, and the last is an attribute, no object identifier", count)
		f.Symptom = "estclient -a -e: Error adding NID, without end"
		f.Reason = "libest's parser stops at object identifiers alone"
		f.Fix = "attributes first, object identifiers last; ra: est.csr_attributes classic or none"
	default:
		r.OK(name, fmt.Sprintf("%d of them", count))
		return
	}
	r.Add(f)
}

// attributesOf counts what a CsrAttrs holds; ended tells whether the last is an object
// identifier.
func attributesOf(body []byte) (ended bool, count int, err error) {
	const most = 1000
	der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(bytes.TrimRight(body, "\x00")), nil)))
	if err != nil {
		return false, 0, fmt.Errorf("it is not base64")
	}
	var all asn1.RawValue
	rest, err := asn1.Unmarshal(der, &all)
	if err != nil || len(rest) > 0 || all.Tag != asn1.TagSequence || !all.IsCompound {
		return false, 0, fmt.Errorf("it is no SEQUENCE")
	}
	ended = true // of an empty one
	for rest = all.Bytes; len(rest) > 0 && count < most; count++ {
		var one asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &one); err != nil {
			return false, count, fmt.Errorf("its element %d cannot be read", count+1)
		}
		ended = one.Class == asn1.ClassUniversal && one.Tag == asn1.TagOID
	}
	return ended, count, nil
}

// statuses are L8, L9 and L11: of all answers that have come.
func (c *estCheck) statuses() {
	r := c.report
	f := Finding{Name: "L8", State: OK, Seen: "libest knows the statuses that came"}
	if c.old {
		f.State, f.Seen = Fail, "the answers are HTTP/1.0"
		f.Symptom = "EST client: Enrollment rv = 94 (EST_ERR_UNKNOWN)"
		f.Reason, f.Fix = "libest's client reads a status behind HTTP/1.1 alone", "have the server, or the proxy before it, answer by HTTP/1.1"
	}
	for _, s := range c.seen {
		if !slices.Contains(statusesOfLibest, s) {
			f.State, f.Seen = Fail, fmt.Sprintf("status %d came", s)
			f.Symptom = "EST client: " + rvOf(s)
			f.Reason, f.Fix = "libest's client knows 200 202 204 400 401 404 423 500 502 504", "answer with one of those; ra: est.dialect libest"
			break
		}
	}
	r.Add(f)
	f = Finding{Name: "L11", State: OK, Seen: "no interim answers came"}
	if len(c.interim) > 0 {
		f.State, f.Seen = Fail, fmt.Sprintf("an interim answer came: %d", c.interim[0])
		f.Symptom = "EST client: " + rvOf(c.interim[0])
		f.Reason, f.Fix = "libest takes the first status for the last", "have the server send none (103 Early Hints, 100 Continue)"
	}
	r.Add(f)
}

// enrolled asks for a certificate, where that is wanted, as CAPF does (L5, L9).
func (c *estCheck) enrolled(ctx context.Context) {
	r := c.report
	skip := func(why string) {
		r.Skip("L5", why)
		r.Skip("L9", why)
	}
	switch {
	case c.Enroll == "":
		skip("seen in the answer to an enrollment alone: ra check est --enroll")
		return
	case len(c.Trust) == 0 || c.User == "":
		skip("an enrollment needs --cacert, --user and --password-file")
		return
	}
	for _, name := range []string{"est.tls.chain", "est.tls.name", "est.tls.validity", "L7"} {
		if r.was(name, Fail) { // the client ends there
			skip("see " + name)
			r.Skip("est.enroll", "see "+name+"; no password was sent")
			return
		}
	}
	roots := trust{c.Trust, c.Called}.pool()
	client, err := capf.New(capf.Options{URL: c.URL, Label: c.Label, Roots: roots, User: c.User, Password: string(c.Password), Timeout: c.Timeout, Now: c.Now, Dial: c.end.dialName})
	if err != nil {
		skip(oneLine(err))
		return
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	var csr []byte
	if err == nil {
		csr, err = x509.CreateCertificateRequest(rand.Reader, requestFor(c.Enroll), key)
	}
	if err != nil {
		skip(oneLine(err))
		return
	}
	// The client's time is that of each read, as libest's is: a byte now and then would keep it.
	ctx, cancel := context.WithTimeout(ctx, enrollTimeouts*c.Timeout)
	defer cancel()
	c.judge(client.Enroll(ctx, c.Enroll, csr), key)
}

// enrollTimeouts is how many times --timeout an enrollment may take in all: /cacerts, the
// request without a password, and the one with it.
const enrollTimeouts = 3

// worthless tells whether the certificate that was given is good for nothing, and fills in
// why: no client of libest looks at more than its key.
func (c *estCheck) worthless(leaf *x509.Certificate, f *Finding) bool {
	by := slices.IndexFunc(c.cacerts, func(ca *x509.Certificate) bool { return bytes.Equal(ca.RawSubject, leaf.RawIssuer) })
	f.Symptom = "no EST client that was tried notices; whoever the certificate is shown to refuses it"
	switch now := c.Now(); {
	case now.After(leaf.NotAfter), now.Before(leaf.NotBefore):
		f.Seen = fmt.Sprintf("a certificate that is not valid now: from %s until %s", stamp(leaf.NotBefore), stamp(leaf.NotAfter))
		f.Reason, f.Fix = "the CA's clock, or that of this machine, is wrong, or the template's validity", "compare the clocks; see the template"
	case len(c.cacerts) == 0: // nothing to hold it against
		return false
	case by < 0:
		f.Seen = fmt.Sprintf("a certificate of %s, which is not among /cacerts", issuer(leaf))
		f.Reason, f.Fix = "another CA has issued it, or /cacerts has an older certificate of it", "see est.cacerts, and ca.renewals of ra check ca"
	case !slices.ContainsFunc(c.cacerts, func(ca *x509.Certificate) bool { return leaf.CheckSignatureFrom(ca) == nil }):
		f.Seen = fmt.Sprintf("a certificate whose signature is not that of %s in /cacerts", issuer(leaf))
		f.Reason, f.Fix = "the CA was renewed, and /cacerts has the older certificate; or it was changed on its way", "see ca.renewals of ra check ca"
	default:
		return false
	}
	return true
}

// judge reports how an enrollment ended.
func (c *estCheck) judge(result capf.Result, key *rsa.PrivateKey) {
	r := c.report
	f := Finding{Name: "est.enroll", State: Fail, Symptom: fmt.Sprintf("EST client: Enrollment rv = %d (%s)", result.RV, result.RV)}
	if result.Err != nil {
		f.Seen = oneLine(result.Err)
	}
	f.Reason, f.Fix = "see the server's log of this enrollment", "ra explain reads it; ra check ca --enroll asks the CA itself"
	switch {
	case result.RV != capf.StatusNone && r.was("est.challenge", Fail):
		f.Reason, f.Fix = "simpleenroll fails before anybody has logged in", "see est.challenge"
	case result.HTTPStatus == http.StatusUnauthorized && (c.first != "" && c.first != "Basic" || r.was("L3", Fail)):
		f.Reason = "the first challenge is not Basic, written so, and this check's client answers no other; no password was sent"
		f.Fix = "see L3 and L10; where the server wants " + c.first + ", enroll with a client that speaks it"
	case result.HTTPStatus == http.StatusUnauthorized:
		f.Reason = "the name or the password is wrong, or the account is locked, or the CA behind the server fails within the log-in, which some servers answer so, too"
		f.Fix = "correct the file of the password first: each try counts towards the account's lock-out; then ra explain reads the server's log, and ra check ca looks at the CA"
	case result.RV == capf.StatusHTTPUnsupported:
		f.Reason, f.Fix = "the answer's head is not as libest wants it", "see L5"
	case result.RV == capf.StatusNone && len(result.Certificates) > 0:
		leaf := result.Certificates[0]
		switch {
		case !key.PublicKey.Equal(leaf.PublicKey):
			f.Seen = "the certificate is for another key: " + subject(leaf)
			f.Symptom = "no client that was tried notices; what is signed with the key fails later"
			f.Reason, f.Fix = "server or CA mixes up requests", "do not use it"
		case c.worthless(leaf, &f):
		case len(result.Certificates) > 1:
			f.State, f.Seen = Warn, fmt.Sprintf("the answer has %d certificates", len(result.Certificates))
			f.Symptom = "globalsign/est's client: a single certificate is wanted"
			f.Reason, f.Fix = "RFC 7030 section 4.2.3 lets only the one that was asked for into it", "send that alone"
		default:
			f = Finding{Name: "est.enroll", State: OK, Seen: fmt.Sprintf("a certificate for %s until %s, at %ssimpleenroll; revoke it if you like", subject(leaf), day(leaf.NotAfter), c.path())}
		}
	case result.RV == capf.StatusEnrollRetry:
		f.State, f.Seen = Warn, fmt.Sprintf("202, to be asked for again in %s", result.RetryAfter)
		f.Reason, f.Fix = "a manager has to approve, or the CA is slow", "approve it in certsrv.msc, Pending Requests"
	}
	r.Add(f)
	l5 := Finding{Name: "L5", State: OK, Seen: "application/pkcs7-mime; smime-type=certs-only, as libest compares it"}
	switch result.RV {
	case capf.StatusHTTPUnsupported:
		l5.State, l5.Seen = Fail, "the head of the answer is not as libest wants it: "+oneLine(result.Err)
		l5.Symptom = f.Symptom
		l5.Reason = "libest compares by bytes the names of these headers, and of Content-Type the value: one blank, lower case, no quotes; and it wants a length over 0"
		l5.Fix = "send Content-Type: application/pkcs7-mime; smime-type=certs-only, and Content-Length"
		r.Add(l5)
	case capf.StatusNone:
		r.Add(l5)
	default:
		r.Skip("L5", "there was no certificate")
	}
	switch result.RV {
	case capf.StatusEnrollRetry:
		r.OK("L9", "202 comes with Retry-After in seconds")
	case capf.StatusInvalidRetryValue:
		r.Add(Finding{Name: "L9", State: Fail, Seen: "202 without seconds in Retry-After", Symptom: f.Symptom, Reason: "libest reads digits alone, and needs them", Fix: "send Retry-After: SECONDS"})
	default:
		r.Skip("L9", "no 202 came")
	}
}
