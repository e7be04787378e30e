package ra_test

import (
	"net/http"
	"strings"
	"testing"

	"ciscora/internal/pattern"
	"ciscora/ra"
	"ciscora/ra/access"
	"ciscora/ra/policy"
)

func compiled(t testing.TB, text string) *pattern.Pattern {
	t.Helper()
	p, err := pattern.Compile(text, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestThePolicyOfTheLabelRefusesBeforeTheCASeesTheCSR(t *testing.T) {
	for name, test := range map[string]struct {
		profile
		rsaOnly, another int // the status of a CSR with another key, and with another subject
		says             string
	}{
		"modern":    {modern, http.StatusBadRequest, http.StatusForbidden, "is not one for this service"},
		"cucm-12.5": {cucm, http.StatusBadRequest, http.StatusBadRequest, "Invalid or corrupted pkcs10 request."},
	} {
		f := newFixture(t, func(o *ra.Options) {
			test.profile(o)
			o.Policy = policy.Policy{Subject: []*pattern.Pattern{compiled(t, "nobody")}} // the label's own counts
			o.Labels["strict"] = ra.Label{Policy: &policy.Policy{Subject: []*pattern.Pattern{compiled(t, "CN=SEP[0-9A-F]{12}")}}}
			o.Labels["rsa"] = ra.Label{Policy: &policy.Policy{Keys: []string{"rsa2048"}}}
		})
		ask := func(label, cn string) error {
			_, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, label, newCSR(t, cn))
			return err
		}
		if err := ask("strict", "administrator"); status(err) != test.another || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %d", name, err, test.another)
		}
		if err := ask("rsa", "phone"); status(err) != test.rsaOnly {
			t.Errorf("%s: %v, want %d", name, err, test.rsaOnly)
		}
		if n := len(f.ca.Server.Requests()); n != 0 {
			t.Errorf("%s: the CA has seen %d CSRs", name, n)
		}
		if err := ask("strict", "SEP001122334455"); err != nil {
			t.Errorf("%s: a good one: %v", name, err)
		}
	}
}

func TestALabelMayHaveAnAuthenticationOfItsOwn(t *testing.T) {
	f := newFixture(t, func(o *ra.Options) {
		o.Labels["machines"] = ra.Label{Methods: []access.Method{access.MethodCertificate}}
	})
	if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", newCSR(t, "phone")); err != nil {
		t.Errorf("without a label: %v", err)
	}
	if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "machines", newCSR(t, "phone")); status(err) != http.StatusUnauthorized {
		t.Errorf("a password under a label that wants a certificate: %v", err)
	}
}

// The phone's certificate says who it is, and its CSR may say nothing else.
func TestAPolicyTiesTheCSRToTheClientsCertificate(t *testing.T) {
	f := newFixture(t, func(o *ra.Options) {
		o.Labels["own"] = ra.Label{Policy: &policy.Policy{Subject: []*pattern.Pattern{compiled(t, "CN={cn}")}}}
		o.Labels["user"] = ra.Label{Policy: &policy.Policy{Subject: []*pattern.Pattern{compiled(t, "CN={user}")}}}
	})
	phone := f.enrollOne(t) // SEP001122334455
	renew := func(cn string) error {
		req := requestWithCertificate(t, phone)
		ctx, err := f.Authenticate(req, "own")
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Enroll(ctx, newCSR(t, cn), "own", req)
		return err
	}
	if err := renew("SEP001122334455"); err != nil {
		t.Errorf("its own name: %v", err)
	}
	if err := renew("SEPAABBCCDDEEFF"); status(err) != http.StatusForbidden {
		t.Errorf("another phone's name: %v", err)
	}
	if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "own", newCSR(t, "SEP001122334455")); status(err) != http.StatusForbidden {
		t.Errorf("an account, where the name of a certificate is wanted: %v", err)
	}
	if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "user", newCSR(t, "ciscora")); err != nil { // LAB\ciscora
		t.Errorf("the account's name: %v", err)
	}
	if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "user", newCSR(t, "alice")); status(err) != http.StatusForbidden {
		t.Errorf("another account's name: %v", err)
	}
}
