package ra

import (
	"fmt"
	"net/http"
	"strings"

	"ciscora/internal/printable"
	"ciscora/msca"
)

// legNames says in an EST client's words which leg failed.
var legNames = map[msca.Phase]string{
	msca.PhaseResolve:   "finding the CA's address",
	msca.PhaseConnect:   "connecting to the CA",
	msca.PhaseHandshake: "the TLS handshake with the CA",
	msca.PhaseLogin:     "logging in to the CA",
	msca.PhaseChain:     "reading the CA's chain",
	msca.PhaseTemplate:  "reading the CA's template list",
	msca.PhaseSubmit:    "submitting the CSR to the CA",
	msca.PhaseFetch:     "fetching the certificate from the CA",
}

var reasons = map[msca.Kind]string{
	msca.KindResolve:           "its name does not resolve",
	msca.KindConnect:           "it cannot be reached",
	msca.KindTLSUntrusted:      "the RA does not trust its server certificate",
	msca.KindTLSName:           "its server certificate is for another name",
	msca.KindTLSValidity:       "its server certificate is not valid at this time",
	msca.KindTLSHandshake:      "TLS could not be agreed on",
	msca.KindTimeout:           "it did not answer in time",
	msca.KindAuthRejected:      "it refused the credentials",
	msca.KindAuthScheme:        "it does not offer the configured authentication",
	msca.KindForbidden:         "it forbids the access",
	msca.KindNotFound:          "there is no such page",
	msca.KindHTTP:              "it answered with an HTTP error",
	msca.KindServiceDown:       "its certificate service does not run",
	msca.KindTemplateNotListed: "the template is not offered to this account",
	msca.KindDenied:            "it denied the request",
	msca.KindPending:           "the request waits for a manager's approval",
	msca.KindBadCSR:            "it refused the CSR",
	msca.KindUnknownRequest:    "it does not know the request",
	msca.KindRevoked:           "the certificate is revoked",
	msca.KindParse:             "its answer could not be understood",
	msca.KindWrongCertificate:  "it returned a certificate for another key",
	msca.KindRedirect:          "it redirects to another place",
	msca.KindClosed:            "it closed the connection",
	msca.KindCanceled:          "the request was canceled",
	msca.KindUnclear:           "it failed without telling what became of the request",
	msca.KindFenced:            "the RA no longer holds the request, nothing was sent",
	msca.KindInput:             "the RA's configuration was refused before anything was sent",
}

// withoutTags keeps the CA's words from being HTML to whoever shows an answer.
var withoutTags = strings.NewReplacer("<", " ", ">", " ")

const maxPublicMessage = 300 // bytes of the CA's own words that a client is shown

// publicText words an error of the CA's side for an EST client: one line that
// names the leg, the reason and what the CA said, and neither addresses nor
// HTML (design, section 6).
func publicText(e *msca.Error) string {
	var b strings.Builder
	leg, reason := legNames[e.Phase], reasons[e.Kind]
	if e.Kind == msca.KindServiceDown && e.Status == http.StatusServiceUnavailable { // http.sys's own, in place of the pages
		reason = "its Web pages are not available (503: the application pool is stopped)"
	}
	if leg == "" {
		leg = "talking to the CA"
	}
	if reason == "" {
		reason = "it failed"
	}
	fmt.Fprintf(&b, "%s: %s", leg, reason)
	if e.ReqID != 0 {
		fmt.Fprintf(&b, " (request id %d)", e.ReqID)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", printable.Line(withoutTags.Replace(e.Message), maxPublicMessage))
	}
	if e.HRESULT != 0 && !strings.Contains(strings.ToLower(e.Message), fmt.Sprintf("0x%08x", e.HRESULT)) {
		fmt.Fprintf(&b, " (0x%08x", e.HRESULT)
		if e.Symbol != "" {
			fmt.Fprintf(&b, " %s", e.Symbol)
		}
		b.WriteByte(')')
	}
	return b.String()
}
