package check

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"ciscora/internal/p7b"
	"ciscora/msca"
)

// What of a body libest's base64 reader takes: lines, and not one alone where it is long.
const (
	maxColumns   = 76
	shortEnough  = 1000 // a single line that it still reads
	closesWithin = 3 * time.Second
)

// ofCACerts are the checks that need an answer of /cacerts.
var ofCACerts = [...]string{"L2", "L4", "L6", "L12", "strongswan.base64"}

// chain checks /cacerts, as libest and as strongSwan ask for it. It returns false where no
// EST server answers.
func (c *estCheck) chain(ctx context.Context) bool {
	const name = "est.cacerts"
	r := c.report
	talk, a, err := c.ask(ctx, asLibest, http.MethodGet, "cacerts", "")
	if err != nil {
		c.silent(name, err)
		r.skip("see est.cacerts", ofCACerts[:]...)
		return true
	}
	defer talk.close()
	if c.absent(ctx, a) {
		return false
	}
	if a.status != http.StatusOK {
		r.Add(wrongStatus(name, "/cacerts", a))
		r.skip("see est.cacerts", ofCACerts[:]...)
		return true
	}
	c.length(a)
	c.lines(a)
	c.closes(ctx, talk)
	rest := ofCACerts[3:]
	if kind := mediaType(a); kind != "application/pkcs7-mime" {
		r.Add(Finding{
			Name: name, State: Fail, Seen: "the Content-Type is " + quoted(a.get("Content-Type")), Symptom: "EST client: Enrollment rv = 11 (EST_ERR_HTTP_UNSUPPORTED)",
			Reason: "RFC 7030 section 4.1.3 wants application/pkcs7-mime", Fix: "correct it at the server, or see what answers in its place",
		})
		r.skip("see est.cacerts", rest...)
		return true
	}
	if written := a.written("Content-Type"); written != "Content-Type" {
		r.Add(Finding{
			Name: name, State: Fail, Seen: "the header Content-Type is written " + short(written), Symptom: "EST client: Enrollment rv = 11 (EST_ERR_HTTP_UNSUPPORTED)",
			Reason: "libest looks for it byte by byte", Fix: writeSo,
		})
	}
	if c.cacerts, err = certsOf(a.body); err != nil {
		r.Add(Finding{
			Name: name, State: Fail, Seen: "the body is no certs-only PKCS #7: " + oneLine(err), Symptom: "EST client: Enrollment rv = 6 (EST_ERR_LOAD_CACERTS)",
			Reason: "the server has no chain, or sends something else", Fix: "see what answers: curl -s --cacert FILE " + c.URL + c.path() + "cacerts | openssl base64 -d | openssl pkcs7 -inform der -print_certs",
		})
		r.skip("see est.cacerts", rest...)
		return true
	}
	c.against()
	c.whole()
	c.strongSwan(ctx)
	return true
}

// mediaType is an answer's, in small letters and without parameters.
func mediaType(a *reply) string {
	kind, _, _ := strings.Cut(a.get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// certsOf reads base64 of a certs-only PKCS #7.
func certsOf(body []byte) ([]*x509.Certificate, error) {
	const most = 64
	text := strings.Join(strings.Fields(string(body)), "")
	if text == "" {
		return nil, errors.New("it is empty")
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("it is not base64")
	}
	p7, err := p7b.Parse(der)
	switch {
	case err != nil:
		return nil, errors.New("the base64 holds no PKCS #7")
	case len(p7.Certificates) == 0:
		return nil, errors.New("it holds no certificate")
	case len(p7.Certificates) > most:
		return nil, fmt.Errorf("it holds %d certificates, at most %d are looked at", len(p7.Certificates), most)
	}
	return p7.Certificates, nil
}

// against holds the chain against the server's own.
func (c *estCheck) against() {
	const name = "est.cacerts"
	f := datesOf(name, c.cacerts, c.Now())
	leaf := c.server.leaf()
	_, _, vouches := pathOf(append([]*x509.Certificate{leaf}, c.server.certificates[1:]...), c.cacerts)
	switch f.State {
	case Fail:
		f.Symptom = "what is issued under it is not taken: certificate has expired"
	case OK:
		f.Seen = fmt.Sprintf("%d in it: %s", len(c.cacerts), listText(c.cacerts))
		f.Seen += "; the server's own certificate stands under them"
		if !vouches {
			f.Seen = strings.TrimSuffix(f.Seen, "the server's own certificate stands under them") +
				fmt.Sprintf("the server's own certificate is of another CA, %s: clients need two trust anchors, one for TLS and one for this answer", issuer(leaf))
		}
	}
	c.report.Add(f)
}

// whole is libest's rule that the answer verifies by itself (L12).
func (c *estCheck) whole() {
	for _, certificate := range c.cacerts {
		if _, _, ok := pathOf([]*x509.Certificate{certificate}, c.cacerts); ok || selfIssued(certificate) {
			continue
		}
		c.report.Add(Finding{
			Name: "L12", State: Fail, Seen: fmt.Sprintf("/cacerts has %s, and not its issuer %s", subject(certificate), issuer(certificate)),
			Symptom: "EST client: Enrollment rv = 6 (EST_ERR_LOAD_CACERTS), or EST_ERR_CACERT_VERIFICATION",
			Reason:  "libest verifies the answer by what is in it", Fix: "have the CA's chain end in its root, and nothing besides in it",
		})
		return
	}
	if i := slices.IndexFunc(c.cacerts, func(x *x509.Certificate) bool {
		return !x.IsCA && !slices.ContainsFunc(c.cacerts, func(y *x509.Certificate) bool { return y != x && msca.Issued(x, y) })
	}); i >= 0 {
		c.report.Add(Finding{
			Name: "L12", State: Warn, Seen: "/cacerts has a certificate that is no CA's: " + subject(c.cacerts[i]),
			Symptom: "EST client: Enrollment rv = 6 (EST_ERR_LOAD_CACERTS)", Reason: "libest wants the chain and no more", Fix: "take it out",
		})
		return
	}
	if stranger := strangerIn(c.cacerts); stranger != nil {
		c.report.Add(Finding{
			Name: "L12", State: Warn, Seen: "/cacerts has a root that none of its other certificates stands under: " + named(stranger),
			Symptom: "every client that takes the answer for its trust anchors trusts whatever that root issues", Reason: "RFC 7030 section 4.1.3 has the CA's chain in it; a root of its own is there at most while the CA's is being replaced",
			Fix: "see whether it is yours, and else where it has come from",
		})
		return
	}
	c.report.OK("L12", "/cacerts can be verified by what is in it")
}

// strangerIn is a root under which none of the others stands, nil = none: of one certificate,
// or of roots alone, nobody can tell.
func strangerIn(certs []*x509.Certificate) *x509.Certificate {
	i := slices.IndexFunc(certs, func(root *x509.Certificate) bool {
		return selfIssued(root) && !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return !c.Equal(root) && msca.Issued(root, c) })
	})
	if i < 0 || !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return !selfIssued(c) }) {
		return nil
	}
	return certs[i]
}

// listText names the first of some certificates.
func listText(certs []*x509.Certificate) string {
	const shown = 6
	var names []string
	for _, c := range certs[:min(len(certs), shown)] {
		names = append(names, subject(c))
	}
	if len(certs) > shown {
		names = append(names, fmt.Sprintf("%d more", len(certs)-shown))
	}
	return strings.Join(names, "; ")
}

// writeSo mends a header's name that libest does not find.
const writeSo = "have the server, or the proxy before it (HTTP/2 to HTTP/1.1), write it in just that case"

// length is L2.
func (c *estCheck) length(a *reply) {
	f := Finding{Name: "L2", State: OK, Seen: fmt.Sprintf("Content-Length: %d, no chunks", a.length)}
	switch written := a.written("Content-Length"); {
	case a.length == 0:
		f.State, f.Seen = Fail, "/cacerts is answered with nothing: Content-Length: 0"
		f.Symptom = "EST client: Enrollment rv = 11 (EST_ERR_HTTP_UNSUPPORTED)"
		f.Reason, f.Fix = "the server has no chain, or what stands before it has lost the body", "see est.cacerts"
	case a.length > 0 && written != "Content-Length":
		f.State, f.Seen = Fail, "the header is written "+short(written)
		f.Symptom = "EST client: Enrollment rv = 11 (EST_ERR_HTTP_UNSUPPORTED)"
		f.Reason, f.Fix = "libest looks for it byte by byte", writeSo
	case a.chunked || a.length < 0:
		f.State = Fail
		f.Seen = "the answer has no Content-Length"
		if a.chunked {
			f.Seen = "the answer comes in chunks"
		}
		f.Symptom = "EST client: Enrollment rv = 11 (EST_ERR_HTTP_UNSUPPORTED)"
		f.Reason = "libest reads no chunks, and needs the length"
		f.Fix = "have the server, or the proxy before it, send Content-Length (NGINX: proxy_buffering on, chunked_transfer_encoding off)"
	}
	c.report.Add(f)
}

const base64Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

// lines is L4 as libest wants it.
func (c *estCheck) lines(a *reply) {
	switch text := bytes.Join(bytes.Fields(a.body), nil); {
	case len(text) == 0:
		c.report.Skip("L4", "the body of /cacerts is empty")
		return
	case strings.Trim(string(text), base64Letters) != "":
		c.report.Skip("L4", "the body of /cacerts is no base64")
		return
	}
	f := Finding{Name: "L4", State: OK, Seen: "to libest the base64 of /cacerts comes in lines"}
	text := strings.TrimSuffix(string(a.body), "\n")
	ended := len(text) < len(a.body)
	longest := 0
	for line := range strings.Lines(text) {
		longest = max(longest, len(strings.TrimRight(line, "\r\n")))
	}
	switch {
	case longest > maxColumns && len(text) > shortEnough:
		f.Seen = fmt.Sprintf("to libest the base64 of /cacerts comes in a line of %d", longest)
	case !ended:
		f.Seen = "to libest the base64 of /cacerts comes without an end of line"
	default:
		c.report.Add(f)
		return
	}
	f.State = Fail
	f.Symptom = "EST client: Enrollment rv = 6 (EST_ERR_LOAD_CACERTS)"
	f.Reason = "libest's reader of base64 takes lines of up to 76, with an end of line at the end (cisco/libest #100)"
	f.Fix = "wrap it; ra: est.base64 auto or wrapped"
	c.report.Add(f)
}

// closes is L6.
func (c *estCheck) closes(ctx context.Context, talk *conversation) {
	if talk.ends(ctx, min(closesWithin, c.Timeout)) {
		c.report.OK("L6", "the connection ends with the answer")
		return
	}
	c.report.Add(Finding{
		Name: "L6", State: Fail, Seen: fmt.Sprintf("the connection stays open %s after a complete answer to a request with Connection: close", min(closesWithin, c.Timeout)),
		Symptom: "EST client: Enrollment rv = 35 (EST_ERR_SSL_READ), ten seconds after the answer came",
		Reason:  "libest reads until the server closes", Fix: "have the server, or the proxy before it, close where the client asks for it",
	})
}

// strongSwan looks at what its pki would get: one line of base64.
func (c *estCheck) strongSwan(ctx context.Context) {
	r := c.report
	a, err := c.fetch(ctx, asStrongSwan, http.MethodGet, "cacerts", "")
	switch {
	case err != nil:
		c.silent("strongswan.base64", err)
	case bytes.Count(bytes.TrimRight(a.body, "\r\n"), []byte("\n")) > 0:
		r.Add(Finding{
			Name: "strongswan.base64", State: Warn, Seen: "to a client that does not name itself the base64 of /cacerts comes in lines",
			Symptom: "pki --estca: parsing PKCS#7 failed", Reason: "strongSwan 5.9 parses base64 in one line alone", Fix: "ra: est.base64 auto or single",
		})
	default:
		r.OK("strongswan.base64", "to a client that does not name itself, as strongSwan's, it comes in one line")
	}
}

// strongSwanName looks for the name that its pki wants.
func (c *estCheck) strongSwanName() {
	f := Finding{Name: "strongswan.san", State: OK, Seen: "the server's certificate has a subject alternative name"}
	if leaf := c.server.leaf(); len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		f.State, f.Seen = Warn, "the server's certificate has no subject alternative name"
		f.Symptom, f.Reason, f.Fix = "pki --est: no trusted certificate for the server's name", "strongSwan does not look at the CN", "issue it anew, with the DNS name"
	}
	c.report.Add(f)
}
