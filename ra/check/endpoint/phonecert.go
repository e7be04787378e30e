package endpoint

import (
	"crypto/x509"
	"regexp"
	"strings"

	"ciscora/ra/check"
)

// phoneName is in the CN of a phone's certificate: CP-7962G-SEP8CB64F576113.
var phoneName = regexp.MustCompile(`(?i)SEP[0-9A-F]{12}`)

// phoneCertificate tells whose certificate a phone's is: its maker's or its owner's. It
// goes by the issuer's name, as whoever imports the CA must.
func phoneCertificate(c *x509.Certificate) (check.Finding, bool) {
	by := c.Issuer.CommonName
	manufacturing := strings.Contains(strings.ToLower(by), "cisco manufacturing ca")
	if !manufacturing && !phoneName.MatchString(c.Subject.CommonName) {
		return check.Finding{}, false
	}
	f := check.Finding{Name: "certificate.phone", State: check.OK}
	switch {
	case manufacturing && strings.Contains(strings.ToUpper(by), "SHA2"):
		f.State = check.Warn
		f.Seen = "a MIC, issued by " + issuer(c) + ", as 8811, 8841, 8851, 8861 and later phones have"
		f.Symptom = "newer phones fail to connect with their MIC while older ones do not"
		f.Reason = "a server that knows the Cisco Manufacturing CA alone does not know the SHA2 one"
		f.Fix = "Import the Cisco Manufacturing CA SHA2 and its root into the ASA; better, install an LSC, which a phone uses first"
	case manufacturing:
		f.State = check.Warn
		f.Seen = "a MIC, issued by " + issuer(c) + ", as phones before the 8811 have"
		f.Symptom = "a phone is let in whose maker's certificate anybody with such a phone has"
		f.Reason = "Cisco means MICs for the installation of an LSC alone: their root may be compromised"
		f.Fix = "Install an LSC, which a phone uses first, and import its CA into the ASA"
	case strings.HasPrefix(by, "CAPF-"):
		f.Seen = "an LSC, issued by " + issuer(c) + ": CAPF's own certificate is what the ASA must trust"
	default:
		f.Seen = "an LSC, issued by " + issuer(c) + ": this CA is what the ASA must trust (CAPF with an Online or an offline CA)"
	}
	return f, true
}
