package certsrv

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"time"
)

// Decision is what the policy makes of a request.
type Decision struct {
	ReqID     int
	Requester string
	Template  string
	HRESULT   uint32 // 0 = not denied
	Reason    string // of a denial; "" = the text of HRESULT
	Pending   bool   // a manager has to approve
	OtherKey  bool   // the certificate is for another key than the CSR's
}

// AnswerAs answers in place of the page as IIS, or the CA behind it, does when
// something is wrong (docs/reference/certsrv.md 1.1, 1.3, 1.5): wrong-password,
// locked, no-dc, 403.4, 403.7, 404, 500, 503, asp-timeout, service-stopped,
// basic-only, kerberos-only, redirect, and in place of certcrl.crl stale and revoked. It
// returns false, and has not answered, for other kinds. What ASP says (asp-timeout,
// service-stopped) is said to who logs in with the request, or has; others get the 401
// that they would get without it.
func (s *Server) AnswerAs(w http.ResponseWriter, r *http.Request, kind string) bool {
	var a *answer
	switch kind {
	case "wrong-password", "locked": // told apart in the Security log alone
		a = unauthorized(1, win32LogonDenied)
	case "no-dc":
		a = unauthorized(1, win32NoAuthority)
	case "basic-only":
		a = unauthorized(2, win32AccessDenied)
		a.challenges = []string{`Basic realm="` + hostname(r) + `"`}
	case "kerberos-only":
		a = unauthorized(2, win32AccessDenied)
		a.challenges = []string{"Negotiate"}
	case "redirect":
		a = moved("https://other." + dnsDomain(s.opts.Domain) + "/certsrv/")
	case "stale":
		a = s.revocationList(call{Request: r, query: parseParams(r.URL.RawQuery)}, -time.Hour)
	case "revoked":
		a = s.revocationList(call{Request: r, query: parseParams(r.URL.RawQuery)}, crlValidity, s.certificate.Leaf.SerialNumber)
	case "403.4":
		a = staticError(http.StatusForbidden, 4, win32AccessDenied)
	case "403.7":
		a = staticError(http.StatusForbidden, 7, 64)
	case "404":
		a = staticError(http.StatusNotFound, 0, win32FileNotFound)
	case "500":
		a = staticError(http.StatusInternalServerError, 0, win32Fail)
	case "503":
		a = unavailable()
		entryOf(r.Context()).kernel = true
	case "asp-timeout":
		a = staticError(http.StatusInternalServerError, 100, win32Fail)
		a.body = []byte("Active Server Pages error 'ASP 0113'\r\n\r\nScript timed out\r\n\r\n" + r.URL.Path + "\r\n")
		entryOf(r.Context()).query = "|0|ASP_0113|Script_timed_out"
	case "service-stopped":
		a = s.failed(call{Request: r}, failed(modeOf(r), hrServerUnavailable))
	default:
		return false
	}
	switch kind {
	case "asp-timeout", "service-stopped":
		if _, refused := s.iis.logIn(w.Header(), r); refused != nil {
			a = refused
			entryOf(r.Context()).query = ""
		}
	}
	if c, _ := r.Context().Value(connectionKey{}).(*connection); c != nil {
		c.challenged = c.challenged && len(a.challenges) == 1
		if a.status != http.StatusUnauthorized && c.who != nil {
			entryOf(r.Context()).user = c.who.String()
		}
	}
	s.iis.write(w, r, a)
	return true
}

// LoggedIn tells whether somebody has logged in on r's connection.
func (s *Server) LoggedIn(r *http.Request) bool {
	c, ok := r.Context().Value(connectionKey{}).(*connection)
	return ok && c.who != nil
}

// RequestsBefore tells how many requests came before r on its connection.
func (s *Server) RequestsBefore(r *http.Request) int {
	c, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok {
		return 0
	}
	return c.requests - 1
}

func hostname(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return "localhost"
}

func modeOf(r *http.Request) requestMode {
	if r.Method == http.MethodPost {
		return modeNew
	}
	return modeFetch
}

type languageKey struct{}

// InLanguage returns a request whose pages come in a language: fr, de, ja or ru.
// Their words are others, their element ids and codes are not (see
// docs/reference/certsrv.md 5.4).
func (s *Server) InLanguage(r *http.Request, language string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), languageKey{}, language))
}

// OtherCertificate makes a certificate of this CA for a key that nobody asked
// with, in DER.
func (s *Server) OtherCertificate() ([]byte, error) {
	key, err := ecKey()
	if err != nil {
		return nil, fmt.Errorf("certsrv: make another key: %w", err)
	}
	c, err := s.authority.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "another key"}}, key.Public(), defaultValidity, 0)
	if err != nil {
		return nil, err
	}
	return c.Raw, nil
}

// Shape makes IIS's certificate as something is wrong with it: self-signed,
// self-signed-ca, missing-intermediate, unknown-root, wrong-name, wrong-name-cn
// (value: the CN, lab-dc without one), expired, not-yet-valid; or a front end's: revoked, key, signature, cn-only,
// san, dns, eku, critical-extension, issuer, extra-certificates, rotate. hosts are those that
// it should have.
func (s *Server) Shape(kind, value string, hosts []string) (tls.Certificate, error) {
	now := s.opts.Now()
	a := s.authority
	issuing := a.newest()
	from, to := now.Add(-clockSkew), now.Add(serverValidity)
	switch kind {
	case "self-signed":
		return a.selfSigned(hosts, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment)
	case "self-signed-ca":
		return a.selfSigned(hosts, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign)
	case "missing-intermediate":
		c, err := a.serverBetween(issuing, hosts, from, to)
		c.Certificate = c.Certificate[:min(1, len(c.Certificate))]
		return c, err
	case "unknown-root":
		root, err := a.makeCA(s.opts, "Unknown Root CA", nil)
		if err != nil {
			return tls.Certificate{}, err
		}
		c, err := a.serverBetween(root, hosts, from, to)
		c.Certificate = c.Certificate[:min(1, len(c.Certificate))]
		return c, err
	case "wrong-name":
		return a.serverBetween(issuing, []string{"other." + dnsDomain(s.opts.Domain)}, from, to)
	case "wrong-name-cn":
		if value == "" {
			value = "lab-dc"
		}
		return a.serverNamed(issuing, value, nil, from, to)
	case "expired":
		return a.serverBetween(issuing, hosts, issuing.certificate.NotBefore.Add(-time.Hour), now.Add(-time.Minute))
	case "not-yet-valid":
		return a.serverBetween(issuing, hosts, now.Add(24*time.Hour), to)
	}
	if c, ok, err := s.shapeOther(kind, value, hosts); ok {
		return c, err
	}
	return tls.Certificate{}, fmt.Errorf("certsrv: there is no certificate of the kind %q", kind)
}

// serverBetween is a server certificate with dates of its own choice.
func (a *authority) serverBetween(issuer *pair, hosts []string, from, to time.Time) (tls.Certificate, error) {
	return a.serverNamed(issuer, hosts[0], hosts, from, to)
}

func (a *authority) serverNamed(issuer *pair, cn string, hosts []string, from, to time.Time) (tls.Certificate, error) {
	template := serverTemplate(hosts)
	template.Subject.CommonName = cn
	template.NotBefore, template.NotAfter, template.BasicConstraintsValid = from, to, true
	key, err := a.newKey()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certsrv: make the key of %s: %w", cn, err)
	}
	if template.SerialNumber, err = a.serial(0); err != nil {
		return tls.Certificate{}, err
	}
	return a.certify(template, issuer, key)
}

func (a *authority) selfSigned(hosts []string, usage x509.KeyUsage) (tls.Certificate, error) {
	template := serverTemplate(hosts)
	template.KeyUsage = usage
	template.BasicConstraintsValid, template.IsCA = usage&x509.KeyUsageCertSign != 0, usage&x509.KeyUsageCertSign != 0
	template.Subject.CommonName = hosts[0]
	template.NotBefore, template.NotAfter = a.now().Add(-clockSkew), a.now().Add(serverValidity)
	template.SerialNumber = big.NewInt(1)
	key, err := a.newKey()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certsrv: make the key of %s: %w", hosts[0], err)
	}
	return a.certify(template, &pair{certificate: template, key: key}, key)
}
