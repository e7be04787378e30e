package check

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ciscora/internal/p7b"
)

// Words that may stand in a recording. What a CA says is never copied: it is looked up
// here, or counted.

// harmless are heads whose value is written where it is made of such words.
var harmless = map[string]*regexp.Regexp{
	"server":            regexp.MustCompile(`^Microsoft-(IIS|HTTPAPI)/\d{1,2}\.\d$`),
	"x-powered-by":      regexp.MustCompile(`^ASP\.NET$`),
	"content-type":      regexp.MustCompile(`^(?i)(text/html|text/plain|application/(pkix-cert|pkix-crl|x-x509-ca-cert|x-pkcs7-certificates|x-pkcs7-crl|octet-stream))(; ?charset=(utf-8|us-ascii|iso-8859-\d{1,2}|windows-125\d|shift_jis|gb2312|big5))?$`),
	"connection":        regexp.MustCompile(`^(?i)(close|keep-alive)$`),
	"transfer-encoding": regexp.MustCompile(`^(?i)chunked$`),
	"content-encoding":  regexp.MustCompile(`^(?i)(gzip|deflate)$`),
	"cache-control":     regexp.MustCompile(`^(?i)(private|no-cache|no-store|public)$`),
	"pragma":            regexp.MustCompile(`^(?i)no-cache$`),
	"persistent-auth":   regexp.MustCompile(`^(?i)(true|false)$`),
	"vary":              regexp.MustCompile(`^(?i)accept-encoding$`),
	"accept-ranges":     regexp.MustCompile(`^(?i)(bytes|none)$`),
	"allow":             regexp.MustCompile(`^[A-Z, ]{1,80}$`),
	"x-aspnet-version":  regexp.MustCompile(`^[0-9.]{1,20}$`),
}

// counted are heads of which only that they are there is written.
var counted = []string{"date", "content-length", "expires", "last-modified", "etag", "strict-transport-security", "x-frame-options", "x-content-type-options"}

var aspCookie = regexp.MustCompile(`^ASPSESSIONID([A-Z]+)=([A-Z]+)(.*)$`)

// headWords are the lines of a head in such words, in order.
func headWords(a *reply, host string) (lines []string) {
	for _, f := range a.head {
		name := strings.ToLower(f.name)
		allowed := harmless[name]
		switch {
		case allowed != nil && allowed.MatchString(f.value):
			lines = append(lines, f.name+": "+f.value)
		case allowed != nil:
			lines = append(lines, f.name+": (something else)")
		case slices.Contains(counted, name):
			lines = append(lines, f.name+": (...)")
		case name == "www-authenticate":
			lines = append(lines, f.name+": "+challengeWords(f.value))
		case name == "location":
			lines = append(lines, f.name+": "+locationWords(f.value, host))
		case name == "set-cookie":
			lines = append(lines, f.name+": "+cookieWords(f.value))
		default:
			lines = append(lines, "(another head)")
		}
	}
	return lines
}

func challengeWords(value string) string {
	scheme, rest, _ := strings.Cut(value, " ")
	known := []string{"Negotiate", "NTLM", "Basic", "Digest", "Kerberos", "Bearer"}
	if i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, scheme) }); i < 0 {
		scheme = "(another scheme)"
	} else if scheme != known[i] {
		scheme = known[i] + " (in another case)"
	}
	switch {
	case rest == "":
		return scheme
	case strings.Contains(rest, "realm="):
		return scheme + ` realm="..."`
	case strings.Contains(rest, ","):
		return scheme + " (and others in one head)"
	}
	token, err := base64.StdEncoding.DecodeString(rest)
	switch {
	case err != nil:
		return scheme + " (what is no base64)"
	case bytes.HasPrefix(token, []byte("NTLMSSP\x00\x02")):
		return scheme + " (a challenge)"
	case len(token) > 0 && token[0] == 0xa1:
		return scheme + " (SPNEGO)"
	}
	return scheme + " (a token)"
}

// locationWords are those of a redirect to the pages themselves.
func locationWords(value, host string) string {
	for _, scheme := range []string{"https://", "http://"} {
		for _, port := range []string{"", ":443"} {
			if rest, ok := strings.CutPrefix(strings.ToLower(value), scheme+strings.ToLower(host)+port); ok && (rest == "/certsrv/" || rest == "/certsrv") {
				return scheme + "HOST" + port + rest
			}
		}
	}
	if value == "/certsrv/" {
		return value
	}
	return "(elsewhere)"
}

func cookieWords(value string) string {
	m := aspCookie.FindStringSubmatch(value)
	if m == nil {
		return "(another cookie)"
	}
	words := fmt.Sprintf("ASPSESSIONID and %d letters=%d letters", len(m[1]), len(m[2]))
	for part := range strings.SplitSeq(m[3], ";") {
		if part = strings.TrimSpace(part); slices.Contains([]string{"secure", "path=/", "httponly"}, strings.ToLower(part)) {
			words += "; " + part
		}
	}
	return words
}

// The marks of a page.
var (
	markID     = regexp.MustCompile(`(?i)\bid\s*=\s*["']?(loc[A-Za-z]{1,30})\b`)
	markError  = regexp.MustCompile(`\b0x[0-9a-fA-F]{8}\b`)
	markIssued = regexp.MustCompile(`certnew\.cer\?ReqID=\d+&`)
	markReqID  = regexp.MustCompile(`certnew\.cer\?ReqID=(\d{1,10})&|locInfoReqID[A-Za-z]*[^0-9]{1,60}(\d{1,10})\b`)
	markRenew  = regexp.MustCompile(`\bnRenewals\s*=\s*\d+`)
	markOption = regexp.MustCompile(`(?i)<option\s+value\s*=\s*["']?([OE];[^"'>]*)`)
	markScript = regexp.MustCompile(`(?i)<script\b`)
	markTabs   = regexp.MustCompile(`:[^\t]{1,300}\t\t[^\t\r\n]`)
)

const maxMarks = 40

// bodyWords are what a body is, and the marks in it.
func bodyWords(a *reply) map[string]string {
	words := map[string]string{"size": strconv.Itoa(len(a.body))}
	if len(a.body) == 0 {
		return words
	}
	if location := a.get("Location"); location != "" && len(a.body) > len(location) {
		words["size without the location"] = strconv.Itoa(len(a.body) - len(location))
	}
	if kind := fileWords(a.body); kind != "" {
		words["kind"] = kind
		return words
	}
	text := string(a.body)
	words["kind"] = "text"
	if strings.Contains(text, "<") {
		words["kind"] = "page"
	}
	words["line ends"] = lineEnds(text)
	set := func(name, value string) {
		if value != "" {
			words[name] = value
		}
	}
	set("marks", list(markID.FindAllStringSubmatch(text, 500)))
	set("codes", list(markError.FindAllStringSubmatch(text, 100)))
	if markIssued.MatchString(text) {
		words["issued"] = "a link to certnew.cer"
	}
	if markRenew.MatchString(text) {
		words["renewals"] = "nRenewals in a script"
	}
	if markScript.MatchString(text) {
		words["scripts"] = "yes"
	}
	if markTabs.MatchString(text) {
		words["tabs"] = "two, before a value"
	}
	set("templates", optionWords(markOption.FindAllStringSubmatch(text, 2000)))
	return words
}

// list is the first group of each match, or the whole of it, each once and in order.
func list(matches [][]string) string {
	var all []string
	for _, m := range matches {
		word := m[len(m)-1]
		if !slices.Contains(all, word) && len(all) < maxMarks {
			all = append(all, word)
		}
	}
	return strings.Join(all, " ")
}

// optionWords are how many templates are listed, and how.
func optionWords(options [][]string) string {
	if len(options) == 0 {
		return ""
	}
	offline := 0
	var fields []string
	for _, o := range options {
		if strings.HasPrefix(o[1], "O") {
			offline++
		}
		if n := strconv.Itoa(strings.Count(o[1], ";") + 1); !slices.Contains(fields, n) && len(fields) < 10 {
			fields = append(fields, n)
		}
	}
	slices.Sort(fields)
	return fmt.Sprintf("%d, of them %d take the subject from the request; fields: %s", len(options), offline, strings.Join(fields, " "))
}

func lineEnds(text string) string {
	crlf := strings.Count(text, "\r\n")
	lf := strings.Count(text, "\n") - crlf
	switch {
	case crlf > 0 && lf > 0:
		return "both"
	case crlf > 0:
		return "crlf"
	case lf > 0:
		return "lf"
	}
	return "none"
}

// fileWords tell what a file is that is no page; "" where it is none.
func fileWords(body []byte) string {
	der, form := body, "DER"
	if block, _ := pem.Decode(body); block != nil {
		der, form = block.Bytes, "PEM"
		if slices.Contains([]string{"CERTIFICATE", "X509 CERTIFICATE", "X509 CRL", "PKCS7", "CMS"}, block.Type) {
			form += " labelled " + block.Type
		}
		form += ", " + lineEnds(string(body))
		if line, _, ok := bytes.Cut(body[bytes.IndexByte(body, '\n')+1:], []byte("\n")); ok {
			form += fmt.Sprintf(", lines of %d", len(bytes.TrimRight(line, "\r")))
		}
	} else if decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), "")); err == nil && len(decoded) > 0 {
		der, form = decoded, "base64 without a label, "+lineEnds(string(body))
	}
	if c, err := x509.ParseCertificate(der); err == nil {
		return "certificate, " + form + ", " + certificateWords(c)
	}
	if _, err := x509.ParseRevocationList(der); err == nil {
		return "revocation list, " + form
	}
	if p7, err := p7b.Parse(der); err == nil {
		order := "in another order"
		if slices.IsSortedFunc(p7.Certificates, func(a, b *x509.Certificate) int { return bytes.Compare(a.Raw, b.Raw) }) {
			order = "sorted as a SET OF"
		}
		words := fmt.Sprintf("PKCS #7 of %d, %s, %s", len(p7.Certificates), form, order)
		for _, c := range p7.Certificates[:min(len(p7.Certificates), 8)] {
			words += "; " + certificateWords(c)
		}
		return words
	}
	return ""
}

// certificateWords are what of a CA's certificate names nobody.
func certificateWords(c *x509.Certificate) string {
	words := c.PublicKeyAlgorithm.String() + " signed " + c.SignatureAlgorithm.String()
	switch {
	case selfIssued(c):
		words += ", a root"
	case c.IsCA && c.MaxPathLenZero:
		words += ", a CA, path length 0"
	case c.IsCA && c.MaxPathLen > 0:
		words += fmt.Sprintf(", a CA, path length %d", c.MaxPathLen)
	case c.IsCA:
		words += ", a CA, no path length"
	}
	return words
}

// requestID is the number on a page of certfnsh.asp; "" where there is none.
func requestID(a *reply) string {
	if a.status != http.StatusOK {
		return ""
	}
	if m := markReqID.FindSubmatch(a.body); m != nil {
		return string(m[1]) + string(m[2])
	}
	return ""
}
