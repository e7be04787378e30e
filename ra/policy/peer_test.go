package policy_test

import (
	"bytes"
	"crypto/x509"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ciscora/internal/peertest"
	"ciscora/internal/x501"
	"ciscora/ra/policy"
)

// OpenSSL reads the same CSRs, and shows what we show: each attribute of the subject, and
// each name that stands where it looks for names.
func TestTheViewShowsWhatOpenSSLShows(t *testing.T) {
	peertest.Program(t, "openssl")
	compared := 0
	for _, recipe := range recipes {
		der := cook(recipe)
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			continue
		}
		view, refusal := policy.Read(csr)
		if refusal != nil {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "openssl", "req", "-inform", "DER", "-noout", "-text", "-nameopt", "RFC2253,utf8,-esc_msb,-esc_ctrl", "-config", "/dev/null")
		cmd.Stdin = bytes.NewReader(der)
		out, err := cmd.CombinedOutput()
		text := string(out)
		if err != nil {
			if !strings.Contains(text, "mstring wrong tag") { // a VisibleString, which it does not read at all
				t.Errorf("%q: openssl: %v\n%s", recipe, err, out)
			}
			continue
		}
		compared++
		subject := regexp.MustCompile(`(?m)^ *Subject: ?(.*)$`).FindStringSubmatch(text)
		// The one type of the recipes that has a name with OpenSSL and none in RFC 4514.
		ours := regexp.MustCompile(`1\.2\.840\.113549\.1\.9\.1=#[0-9a-f]*`).ReplaceAllStringFunc(view.Subject.String(), func(string) string {
			return "emailAddress=" + x501.Escape(textOf(view, "1.2.840.113549.1.9.1"))
		})
		if subject == nil || !slices.Equal(attributes(subject[1]), attributes(ours)) {
			t.Errorf("%q: OpenSSL shows the subject %q, we %q", recipe, subject, ours)
		}
		for _, name := range view.Names {
			shown := map[string]string{"dns": "DNS:" + name.Text, "uri": "URI:" + name.Text, "email": "email:" + name.Text, "ip": "IP Address:" + name.Text, "upn": "othername: UPN::" + name.Text}[name.Kind]
			// Of two attributes with extensions it shows the first alone.
			if shown != "" && !strings.Contains(text, shown) && !bytes.Contains(der, oid(oidMicrosoftExtensions)) {
				t.Errorf("%q: OpenSSL does not show %s:\n%s", recipe, shown, text)
			}
		}
		if count := strings.Count(text, "DNS:") + strings.Count(text, "URI:") + strings.Count(text, "email:"); count > len(view.Names) {
			t.Errorf("%q: OpenSSL shows %d names, we %v", recipe, count, view.Names)
		}
		if view.CN() != "" && !slices.ContainsFunc(strings.Split(view.CN(), " + "), func(cn string) bool {
			return slices.ContainsFunc(attributes(text), func(shown string) bool { return strings.Contains(shown, attributes(x501.Escape(cn))[0]) })
		}) {
			t.Errorf("%q: OpenSSL does not show the common name %q", recipe, view.CN())
		}
	}
	if compared < 8 {
		t.Errorf("%d CSRs were compared", compared)
	}
}

// attributes are those of a subject, sorted: OpenSSL turns the order within an RDN.
func attributes(subject string) []string {
	// It writes a backslash before what we write as a number.
	subject = strings.NewReplacer(`\2C`, `\,`, `\2B`, `\+`, `\5C`, `\\`).Replace(subject)
	all := regexp.MustCompile(`(?:\\.|[^,+\\])+`).FindAllString(subject, -1)
	slices.Sort(all)
	return all
}

func textOf(view *policy.CSR, oid string) string {
	for _, rdn := range view.Subject {
		for _, a := range rdn {
			if a.Type.String() == oid {
				return a.Text
			}
		}
	}
	return ""
}
