package endpoint

import (
	"crypto/x509"
	"fmt"
	"net"
	"strings"

	"ciscora/ra/check"
)

// hostID judges a certificate by the host-ID check of a VPN phone, as its console tells
// it ("DNS has wildcard, starting checks..."): the URL's host must be among the SANs, or
// the subject's CN; a wildcard above only two labels is refused. That deeper ones match
// one label is inferred.
func hostID(name, host string, c *x509.Certificate) check.Finding {
	f := check.Finding{
		Name: name, State: check.Fail, Seen: fmt.Sprintf("%s is not taken for one of %s", shown(host), amongNames(c)),
		Symptom: "the phone's console says hostIDCheck failed!!",
		Fix: "Use a name of the certificate in the URL, have the certificate issued with the URL's, " +
			"or disable the host-ID check in the VPN profile (Advanced Features > VPN > VPN Profile)",
	}
	ok := func(how string) check.Finding {
		return check.Finding{Name: name, State: check.OK, Seen: fmt.Sprintf("%s is %s", shown(host), how)}
	}
	cn := c.Subject.CommonName
	if ip := net.ParseIP(host); ip != nil {
		for _, san := range c.IPAddresses {
			if san.Equal(ip) {
				return ok("an IP address among the SANs")
			}
		}
		f.Reason = "the URL has an IP address, and the certificate has no SAN with it"
		if cn == host {
			f.State = check.Warn
			f.Reason += "; some firmware finds it in the subject's CN"
		}
		return f
	}
	patterns := append([]string{cn}, c.DNSNames...)
	var refused string
	for _, pattern := range patterns {
		switch matched, third := hostIDMatch(host, pattern); {
		case matched && pattern == cn && len(c.DNSNames) == 0:
			return ok("the subject's CN")
		case matched:
			return ok("in the certificate: " + shown(pattern))
		case third:
			refused = pattern
		}
	}
	f.Reason = "the URL's name is in no SAN and is not the CN"
	if refused != "" {
		f.Symptom = fmt.Sprintf("the phone's console says Generic third level wildcards are not allowed, stopping checks on host=(%s) and dns=(%s), then hostIDCheck failed!!",
			shown(host), shown(refused))
		f.Reason = "a phone takes no wildcard of the third level, though browsers do"
	}
	return f
}

// hostIDMatch tells whether a pattern is the host's, and whether it would be, were
// wildcards of the third level taken.
func hostIDMatch(host, pattern string) (matched, thirdLevel bool) {
	host, pattern = strings.ToLower(strings.TrimSuffix(host, ".")), strings.ToLower(strings.TrimSuffix(pattern, "."))
	parent, wild := strings.CutPrefix(pattern, "*.")
	if !wild {
		return host != "" && host == pattern, false
	}
	first, rest, ok := strings.Cut(host, ".")
	if !ok || first == "" || rest != parent {
		return false, false
	}
	if strings.Count(parent, ".") < 2 {
		return false, true
	}
	return true, false
}
