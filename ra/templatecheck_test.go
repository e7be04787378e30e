package ra_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ciscora/msca/certsrv"
	"ciscora/ra"
)

// docs/reference/certsrv.md 3: machine templates and newer versions are not in the page's list, and a
// stand-alone CA lists none; a POST for them is issued all the same.
func TestATemplateThatThePageDoesNotListIsTheCAsToDecide(t *testing.T) {
	none := func(o *certsrv.Options) {
		o.Offer = func(context.Context, []string) []string { return nil }
	}
	for name, p := range map[string]profile{"kept connections": modern, "two log-ins": func(o *ra.Options) { o.Sessions = ra.SessionsPerEnrollment }} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, p, none)
			f.enrollOne(t)
			if lines := f.access.take(); slices.Contains(lines, "GET /certsrv/certrqxt.asp") {
				t.Errorf("the list was asked for: %q", lines)
			}
			// The log-in is what proves the password.
			if _, err := f.enroll(t.Context(), f.ca.User, "wrong", "", newCSR(t, "phone")); status(err) != http.StatusUnauthorized {
				t.Errorf("a wrong password: %v", err)
			}
			_, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "typo", newCSR(t, "phone"))
			if status(err) != http.StatusForbidden || !strings.Contains(err.Error(), "0x80094800") || !strings.Contains(err.Error(), "CiscoRAA") {
				t.Errorf("a template that is not there: %d %v, want 403 with the CA's words", status(err), err)
			}
			if err.(interface{ Challenge() bool }).Challenge() {
				t.Error("other credentials are asked for")
			}
		})
	}
	if _, err := newFixture(t, listing, none).enroll(t.Context(), `LAB\ciscora`, "", "", newCSR(t, "phone")); err == nil {
		t.Error("template_check: list lets somebody in")
	}
}
