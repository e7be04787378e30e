package check

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ciscora/internal/nearest"
	"ciscora/msca"
)

// look reads the pages of a CA on a session.
func (c *caCheck) look(ctx context.Context, s *msca.Session) {
	c.template(ctx, s)
	newest := c.renewals(ctx, s)
	chain := c.chain(ctx, s)
	c.crl(ctx, s, newest, chain)
	if c.Enroll {
		c.enroll(ctx, s)
	} else {
		c.report.Skip("ca.enroll", "ra check ca --enroll hands in a request")
	}
}

// fieldRASignature is the place of a template's signatures in the page's list
// (docs/reference/certsrv.md 3).
const fieldRASignature = 7

func (c *caCheck) template(ctx context.Context, s *msca.Session) {
	const name = "ca.template"
	r, wanted := c.report, c.CA.Template
	start := c.Now()
	list, err := s.Templates(ctx)
	took := c.Now().Sub(start)
	if err != nil {
		c.ces, c.cesAt = err, name
		failed(r, name, err)
		return
	}
	if wanted == "" {
		r.OK(name, fmt.Sprintf("the list has %s", templatesText(list)))
		return
	}
	if t, ok := list.Find(wanted); ok {
		c.listed(t, took)
		return
	}
	c.ces = &msca.Error{Phase: msca.PhaseTemplate, Kind: msca.KindTemplateNotListed}
	f := Finding{Name: name, State: Warn, Seen: fmt.Sprintf("%s is not in the list: %s", quoted(wanted), templatesText(list)), Symptom: cesRefuses + "; CAPF: " + capfAuth + "; no POST in IIS's log"}
	if c.CA.TemplateCheck == "list" {
		f.State = Fail
	}
	f.Reason, f.Fix = whyAbsent(list, wanted)
	r.Add(f)
}

// whyAbsent is why a template may be missing from the list, the likeliest first.
func whyAbsent(list msca.TemplateList, wanted string) (reason, fix string) {
	for _, t := range list {
		if strings.EqualFold(t.FriendlyName, wanted) {
			return "that is its display name; requests name a template by its name (CN)", "ca.template: " + short(t.Name)
		}
	}
	if len(list) == 0 {
		return "the list is empty: the account has Enroll on no published template, or the CA is a stand-alone one, which has none",
			"give the account Read and Enroll on the template, and publish it: certsrv.msc, Certificate Templates, New, Certificate Template to Issue"
	}
	names := make([]string, len(list))
	for i, t := range list {
		names[i] = t.Name
	}
	reason = "it is misspelled; or not published on this CA; or the account lacks Read and Enroll; or it is of version 3 or 4, or one for machines, which this page never lists"
	fix = "certutil -CATemplates on the CA lists what is published; the template's Security tab, who may enroll; its Compatibility tab, its version (Windows Server 2003 is version 2)"
	if near := nearest.Name(strings.ToLower(wanted), lower(names)); near != "" {
		i := slices.Index(lower(names), near)
		reason = fmt.Sprintf("did you mean %s? Else: %s", quoted(names[i]), reason)
	}
	return reason, fix
}

func lower(names []string) []string {
	low := make([]string, len(names))
	for i, n := range names {
		low[i] = strings.ToLower(n)
	}
	return low
}

// listed judges what the list says of the template.
func (c *caCheck) listed(t msca.Template, took time.Duration) {
	const name = "ca.template"
	f := Finding{Name: name, State: Warn, Seen: fmt.Sprintf("%s is listed, as %s", quoted(t.Name), quoted(t.FriendlyName))}
	if t.Name != c.CA.Template {
		f.Seen += fmt.Sprintf("; asked for is %s: write it as the list does", quoted(c.CA.Template))
	}
	switch {
	case len(t.Fields) > fieldRASignature && t.Fields[fieldRASignature] != "" && t.Fields[fieldRASignature] != "0":
		f.State = Fail
		f.Symptom = "0x80094809 CERTSRV_E_SIGNATURE_POLICY_REQUIRED"
		f.Reason = fmt.Sprintf("it wants %s signatures of registration agents, which neither RA nor CES adds", short(t.Fields[fieldRASignature]))
		f.Fix = "the template's Issuance Requirements tab: no authorized signatures"
	case !t.SubjectFromRequest:
		f.Symptom = "all certificates have the account's name, and none the phone's"
		f.Reason = "the template builds the subject from the directory: of who asks, which is the RA's account"
		f.Fix = "the template's Subject Name tab: Supply in the request"
	default:
		c.timed(name, f.Seen, took)
		return
	}
	c.report.Add(f)
}

// templatesText names some of a list.
func templatesText(list msca.TemplateList) string {
	const shown = 8
	if len(list) == 0 {
		return "no template at all"
	}
	var names []string
	for _, t := range list[:min(len(list), shown)] {
		names = append(names, short(t.Name))
	}
	text := strings.Join(names, ", ")
	if len(list) > shown {
		text += fmt.Sprintf(" and %d more", len(list)-shown)
	}
	return text
}

// renewals reports how often the CA was renewed; it returns the newest one's number, -1
// where that is not known.
func (c *caCheck) renewals(ctx context.Context, s *msca.Session) int {
	const name = "ca.renewals"
	n, known, err := s.Renewals(ctx)
	switch {
	case err != nil:
		failed(c.report, name, err)
		return -1
	case !known:
		c.report.Skip(name, "certcarc.asp does not tell")
		return -1
	}
	f := Finding{Name: name, State: OK, Seen: "the CA's certificate has never been renewed"}
	if n > 0 {
		f.Seen = fmt.Sprintf("the CA's certificate has been renewed, the newest is number %d", n)
	}
	asked := int(c.CA.Renewal)
	switch {
	case asked > n:
		f.State = Fail
		f.Symptom = "retrieve_cacerts: no chain; /cacerts answers with an error"
		f.Reason = fmt.Sprintf("ca.renewal is %d, and there is none of that number", asked)
		f.Fix = "ca.renewal: newest"
	case asked >= 0 && asked < n:
		f.State = Warn
		f.Symptom = "new certificates do not verify under what /cacerts serves; phones fail after a renewal of the CA"
		f.Reason = fmt.Sprintf("Renewal=%d is asked for, which is an older certificate of the CA, as CES always asks for the first", asked)
		f.Fix = "ca.renewal: newest; for CES, add the newer certificate to CAPF-trust by hand"
	case n > 0 && asked < 0:
		f.Seen += "; this RA reads that, CES would read number 0"
	}
	c.report.Add(f)
	return n
}

// chain reads certnew.p7b and holds it against the chain of the TLS server.
func (c *caCheck) chain(ctx context.Context, s *msca.Session) []*x509.Certificate {
	const name = "ca.chain"
	start := c.Now()
	chain, err := s.Chain(ctx)
	took := c.Now().Sub(start)
	if err != nil {
		if c.ces == nil {
			c.ces, c.cesAt = err, name
		}
		failed(c.report, name, err)
		return nil
	}
	f := datesOf(name, chain, c.Now())
	_, _, rooted := pathOf(chain, chain)
	leaf := c.server.leaf()
	by := slices.IndexFunc(chain, func(ca *x509.Certificate) bool { return msca.Issued(ca, leaf) })
	switch {
	case f.State == Fail:
		f.Symptom = "the CA issues nothing, or what it issues is not valid: 0x800b0101 CERT_E_EXPIRED"
	case !rooted:
		f.State = Warn
		f.Seen = "certnew.p7b: " + chainText(chain)
		f.Symptom = "EST client: Enrollment rv = 6 (EST_ERR_LOAD_CACERTS)"
		f.Reason = "the root is not in it, so that /cacerts cannot be verified by itself"
		f.Fix = "publish the root on the CA: certutil -dspublish -f root.cer RootCA, and restart the CA"
	case f.State == OK:
		f.Seen = "certnew.p7b: " + chainText(chain)
		if by >= 0 {
			f.Seen += "; the same CA has issued IIS's certificate"
		} else {
			f.Seen += fmt.Sprintf("; IIS's certificate is of another one, %s: two trust anchors", issuer(leaf))
		}
	}
	if f.State == OK {
		c.timed(name, f.Seen, took)
	} else {
		c.report.Add(f)
	}
	return chain
}

// patienceOfCES is how long CES waits for the CA's answer to a request, and CAPF for CES's.
const patienceOfCES = 10 * time.Second

// enroll asks for a certificate, and waits for it for longer than CES would: what the CA is
// asked to issue is not left to itself.
func (c *caCheck) enroll(ctx context.Context, s *msca.Session) {
	const name = "ca.enroll"
	csr, err := newCSR()
	if err != nil {
		c.report.Skip(name, oneLine(err))
		return
	}
	start := c.Now()
	id, err := s.Submit(ctx, csr, c.CA.Template, nil)
	submitted := c.Now().Sub(start)
	if err == nil {
		var certificate *x509.Certificate
		if certificate, err = s.Fetch(ctx, id, csr); err == nil {
			took := c.Now().Sub(start)
			seen := fmt.Sprintf("request %d: a certificate for %s until %s; revoke it if you like", id, subject(certificate), day(certificate.NotAfter))
			if max(submitted, took-submitted) < patienceOfCES {
				c.timed(name, seen, took)
				return
			}
			c.tooSlow = name
			c.report.Add(Finding{
				Name: name, State: c.cesState(), Seen: seen + fmt.Sprintf("; but the CA took %s to issue it, and %s to give it", submitted.Round(100*time.Millisecond), (took-submitted).Round(100*time.Millisecond)),
				Symptom: c.timedOutAtCES(name) + "; CAPF: Enrollment rv = 35 (EST_ERR_SSL_READ)",
				Reason:  "CAPF and CES wait ten seconds: the phone gets nothing, and the certificate that is issued after them is nobody's",
				Fix:     remedies[msca.KindTimeout].fix,
			})
			return
		}
	}
	if e := asError(err); e.Kind == msca.KindPending { // as the template may have it
		m := remedyOf(e)
		c.report.Add(Finding{Name: name, State: Warn, Seen: seenOf(e), Symptom: cesSays(e), Reason: m.reason, Fix: m.fix})
		return
	}
	if c.ces == nil {
		c.ces, c.cesAt = err, name
	}
	failed(c.report, name, err)
}

// newCSR is a request that a template for phones takes.
func newCSR() (*x509.CertificateRequest, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, requestFor("ra-check"), key)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, errors.New("the request that was made cannot be read")
	}
	return csr, nil
}

func requestFor(cn string) *x509.CertificateRequest {
	return &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}}
}
