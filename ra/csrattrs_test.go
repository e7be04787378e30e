package ra_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra"
	"ciscora/ra/policy"
)

func large(o *certsrv.Options) {
	o.Templates = append(o.Templates, certsrv.Template{Name: "Supervised", SubjectFromRequest: true, MinKeySize: 4096})
}

func always(form policy.Form) func(string) policy.Form {
	return func(string) policy.Form { return form }
}

// RFC 7030 §4.5.2: what the template behind the label wants.
func TestCSRAttributesComeFromTheTemplateBehindTheLabel(t *testing.T) {
	for name, p := range map[string]profile{"pooled": modern, "two log-ins": cucm} {
		f := newFixture(t, func(o *ra.Options) { p(o); o.CSRAttributes = always(policy.FormClassic) }, large)
		for label, bits := range map[string]int{"": 2048, "supervised": 4096} {
			attrs, err := f.CSRAttrs(t.Context(), label, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(attrs.Attributes) != 1 || len(attrs.Attributes[0].Values) != 1 || attrs.Attributes[0].Values[0] != bits {
				t.Errorf("%s, label %q: %+v, want an RSA key of %d bits", name, label, attrs, bits)
			}
		}
		if attrs, err := f.CSRAttrs(t.Context(), "typo", nil); err != nil || len(attrs.Attributes) != 0 {
			t.Errorf("%s: a template that is not listed: %+v, %v", name, attrs, err)
		}
	}
	f := newFixture(t, modern)
	if attrs, err := f.CSRAttrs(t.Context(), "", nil); err != nil || len(attrs.Attributes)+len(attrs.OIDs) != 0 {
		t.Errorf("switched off: %+v, %v", attrs, err)
	}
	f = newFixture(t, func(o *ra.Options) { o.CSRAttributes = always(policy.FormClassic) })
	f.ca.Close()
	if attrs, err := f.CSRAttrs(t.Context(), "", nil); err != nil || len(attrs.Attributes) != 0 {
		t.Errorf("a CA that is away: %+v, %v; a client enrolls well without", attrs, err)
	}
}

// What is told passes the label's policy, too.
func TestCSRAttributesFollowThePolicyOfTheLabel(t *testing.T) {
	for form, want := range map[policy.Form]string{policy.FormClassic: "1.2.840.10045.2.1", policy.FormTemplate: "1.2.840.113549.1.9.16.2.61"} {
		f := newFixture(t, func(o *ra.Options) {
			o.CSRAttributes = always(form)
			o.Labels["supervised"] = ra.Label{Template: "Supervised", Policy: &policy.Policy{Keys: []string{"rsa2048", "ec384"}}}
		}, large)
		attrs, err := f.CSRAttrs(t.Context(), "supervised", nil)
		if err != nil || len(attrs.Attributes) != 1 || attrs.Attributes[0].Type.String() != want {
			t.Errorf("form %d: %+v, %v, want one attribute %s", form, attrs, err, want)
		}
	}
}

// Anybody may ask for /csrattrs (RFC 7030 §4.5): however often that is, the CA sees
// one log-in.
func TestTheCAIsAskedOnceForAllWhoAskForCSRAttributes(t *testing.T) {
	for name, p := range map[string]profile{"pooled": modern, "two log-ins": cucm} {
		clock := time.Now()
		f := newFixture(t, func(o *ra.Options) {
			p(o)
			o.CSRAttributes, o.Refresh, o.Now = always(policy.FormClassic), time.Hour, func() time.Time { return clock }
		}, large)
		ask := func() int {
			t.Helper()
			for _, label := range []string{"", "supervised", "typo", "", "supervised"} {
				clock = clock.Add(5 * time.Minute)
				if attrs, err := f.CSRAttrs(t.Context(), label, nil); err != nil || (len(attrs.Attributes) == 1) == (label == "typo") {
					t.Errorf("%s, label %q: %+v, %v", name, label, attrs, err)
				}
			}
			return f.access.count(func(e certsrv.AccessEntry) bool {
				return e.URIStem == "/certsrv/certrqxt.asp" && e.Status == http.StatusOK
			})
		}
		if asked := ask(); asked != 1 {
			t.Errorf("%s: the CA was asked %d times for 5 clients, want once", name, asked)
		}
		clock = clock.Add(time.Hour)
		if asked := ask(); asked != 1 {
			t.Errorf("%s: the CA was asked %d times after Refresh, want once", name, asked)
		}
	}
}

// A wrong password of the RA's own is tried once an hour: every further try, which anybody
// could cause, would bring the account nearer to its lock-out (design, section 4).
func TestCSRAttributesDoNotTryAWrongPasswordOfTheRAAgain(t *testing.T) {
	for name, p := range map[string]profile{"pooled": modern, "two log-ins": cucm} {
		f := newFixture(t, modern)
		password, clock := "wrong", time.Now()
		r := newRA(t, f.ca.URL, f.ca.Roots, f.ca.User, "", f.events, func(o *ra.Options) {
			p(o)
			o.CSRAttributes, o.Now = always(policy.FormClassic), func() time.Time { return clock }
			o.Access.Credentials = func() (msca.Credentials, error) {
				return msca.Credentials{User: f.ca.User, Password: password}, nil
			}
		})
		for range 5 {
			clock = clock.Add(10 * time.Minute)
			if attrs, err := r.CSRAttrs(t.Context(), "", nil); err != nil || len(attrs.Attributes) != 0 {
				t.Errorf("%s: %+v, %v", name, attrs, err)
			}
		}
		wrongPassword := func(e certsrv.AccessEntry) bool { return e.Status == http.StatusUnauthorized && e.Win32 == 0x8009030C } // SEC_E_LOGON_DENIED (docs/reference/certsrv.md)
		if refused := f.access.count(wrongPassword); refused != 1 {
			t.Errorf("%s: the CA refused %d log-ins, want one", name, refused)
		}
		password = f.ca.Password
		if attrs, err := r.CSRAttrs(t.Context(), "", nil); err != nil || len(attrs.Attributes) != 1 {
			t.Errorf("%s: with other credentials: %+v, %v", name, attrs, err)
		}
	}
}

// A CA that is away is not asked by every client in turn.
func TestCSRAttributesLeaveACAInPeaceThatIsAway(t *testing.T) {
	f := newFixture(t, modern)
	clock, dialed := time.Now(), 0
	r := newRA(t, f.ca.URL, f.ca.Roots, f.ca.User, f.ca.Password, f.events, func(o *ra.Options) {
		o.CSRAttributes, o.Now = always(policy.FormClassic), func() time.Time { return clock }
		o.CA.Dial = func(context.Context, string, string) (net.Conn, error) {
			dialed++
			return nil, errors.New("away")
		}
	})
	for range 5 {
		if attrs, err := r.CSRAttrs(t.Context(), "", nil); err != nil || len(attrs.Attributes) != 0 {
			t.Errorf("%+v, %v", attrs, err)
		}
	}
	if dialed != 1 {
		t.Errorf("%d connections for 5 clients, want one", dialed)
	}
	clock = clock.Add(time.Hour)
	if _, _ = r.CSRAttrs(t.Context(), "", nil); dialed != 2 {
		t.Errorf("%d connections after an hour, want one more", dialed)
	}
}

// count counts the requests for which want holds, and forgets all of them.
func (l *accessLog) count(want func(certsrv.AccessEntry) bool) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if want(e) {
			n++
		}
	}
	l.entries = nil
	return n
}
