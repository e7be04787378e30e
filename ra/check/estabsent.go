package check

import (
	"context"
	"fmt"
	"net/http"
)

// ofESTAlone are the checks that say something of an EST server alone.
var ofESTAlone = [...]string{
	"L1", "L2", "L3", "L4", "L5", "L6", "L8", "L9", "L10", "L11", "L12", "strongswan.base64",
	"est.challenge", "est.csrattrs", "est.simplereenroll", "est.serverkeygen", "est.labels",
}

// absent reports, of an answer to /cacerts, that no EST server has given it: to neither of the operations that each of
// them has (RFC 7030 section 3.2.2) comes an answer that would be one's. A server that fails
// alone is not told by that.
func (c *estCheck) absent(ctx context.Context, a *reply) bool {
	if !elsewhere(a) && (a.status != http.StatusOK || mediaType(a) == "application/pkcs7-mime") {
		return false
	}
	if a.status == http.StatusOK {
		if _, err := certsOf(a.body); err == nil {
			return false // under a wrong name
		}
	}
	posted, err := c.fetch(ctx, asLibest, http.MethodPost, "simpleenroll", noCSR)
	switch {
	case err != nil && a.status != http.StatusOK:
		return false // it may be one that hangs there
	case err == nil && !elsewhere(posted) && posted.status != http.StatusOK:
		return false
	}
	f := wrongStatus("est.cacerts", "/cacerts", a)
	if a.status == http.StatusOK {
		f = Finding{
			Name: f.Name, State: Fail, Seen: fmt.Sprintf("/cacerts is answered with %s, and simpleenroll as by no EST server", quoted(a.get("Content-Type"))),
			Symptom: "EST client: Enrollment rv = 11 (EST_ERR_HTTP_UNSUPPORTED)",
			Reason:  "no EST server is at this address, but a Web server, or a proxy's page", Fix: "see that host and port are the EST server's (CES: 8084), and what stands before it",
		}
	}
	c.report.Add(f)
	return true
}

// elsewhere tells an answer that says that nothing is here, or that it is elsewhere.
func elsewhere(a *reply) bool {
	return a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed || a.status >= 300 && a.status < 400
}
