package ra_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	globalest "github.com/globalsign/est"

	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra"
)

func large(o *certsrv.Options) {
	o.Templates = append(o.Templates, certsrv.Template{Name: "Supervised", SubjectFromRequest: true, MinKeySize: 4096})
}

func always(form ra.CSRAttributes) func(string) ra.CSRAttributes {
	return func(string) ra.CSRAttributes { return form }
}

// RFC 7030 §4.5.2: what the template behind the label wants.
func TestCSRAttributesComeFromTheTemplateBehindTheLabel(t *testing.T) {
	for name, p := range map[string]profile{"pooled": modern, "two log-ins": cucm} {
		f := newFixture(t, func(o *ra.Options) { p(o); o.CSRAttributes = always(ra.CSRAttributesClassic) }, large)
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
	f = newFixture(t, func(o *ra.Options) { o.CSRAttributes = always(ra.CSRAttributesClassic) })
	f.ca.Close()
	if attrs, err := f.CSRAttrs(t.Context(), "", nil); err != nil || len(attrs.Attributes) != 0 {
		t.Errorf("a CA that is away: %+v, %v; a client enrolls well without", attrs, err)
	}
}

// What is told passes the policy, too: the first of its kinds that the template takes.
// Who does as it is told gets a certificate, in either form.
func TestCSRAttributesAreThoseOfAKeyThatPolicyAndTemplateTake(t *testing.T) {
	const rsa, ec, p256, p384, ed25519 = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1", "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.101.112"
	for name, test := range map[string]struct {
		keys                 []string
		classic, oids        string // the attribute with its value, and the OIDs alone
		algorithm, parameter string // of the template's key
		bits                 int
	}{
		"the first of two":                     {[]string{"ec384", "rsa4096"}, ec + " " + p384, "1.2.840.10045.4.3.3", ec, p384, 0},
		"P-256":                                {[]string{"ec256"}, ec + " " + p256, "1.2.840.10045.4.3.2", ec, p256, 0},
		"RSA of more bits than the template's": {[]string{"rsa4096"}, rsa + " 4096", "1.2.840.113549.1.1.11", rsa, "", 4096},
		"RSA of fewer bits comes not first":    {[]string{"rsa2048", "rsa4096", "ec256"}, rsa + " 4096", "1.2.840.113549.1.1.11", rsa, "", 4096},
		"Ed25519":                              {[]string{"ed25519"}, "", ed25519, ed25519, "", 0},
		"no key that both take":                {[]string{"rsa2048"}, "", "", "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			tell := func(form ra.CSRAttributes) globalest.CSRAttrs {
				t.Helper()
				f := newFixture(t, func(o *ra.Options) {
					o.CSRAttributes, o.Policy = always(form), ra.Policy{Keys: test.keys}
				}, large)
				attrs, err := f.CSRAttrs(t.Context(), "supervised", nil)
				if err != nil {
					t.Fatal(err)
				}
				return attrs
			}
			var attributes, oids []string
			told := tell(ra.CSRAttributesClassic)
			for _, a := range told.Attributes {
				attributes = append(attributes, a.Type.String()+" "+fmt.Sprint(a.Values...))
			}
			for _, oid := range told.OIDs {
				oids = append(oids, oid.String())
			}
			if strings.Join(attributes, ",") != test.classic || strings.Join(oids, ",") != test.oids {
				t.Errorf("classic: %q and %q, want %q and %q", attributes, oids, test.classic, test.oids)
			}

			template := tell(ra.CSRAttributesTemplate)
			if test.algorithm == "" {
				if len(template.Attributes) != 0 {
					t.Errorf("template: %+v, want nothing", template)
				}
				return
			}
			info := readRequestInfoTemplate(t, template)
			var curve asn1.ObjectIdentifier
			if test.parameter != "" {
				if _, err := asn1.Unmarshal(info.Key.Algorithm.Parameters.FullBytes, &curve); err != nil {
					t.Errorf("the curve: %v", err)
				}
			}
			bits := 0
			if len(info.Key.Key.Bytes) > 0 {
				example, err := x509.ParsePKCS1PublicKey(info.Key.Key.Bytes)
				if err != nil {
					t.Fatal(err)
				}
				bits = example.N.BitLen()
			}
			if got := info.Key.Algorithm.Algorithm.String(); got != test.algorithm || curve.String() != test.parameter || bits != test.bits {
				t.Errorf("template: %s %s, %d bits, want %s %s, %d", got, curve, bits, test.algorithm, test.parameter, test.bits)
			}
		})
	}
}

type typeAlone struct{ Type asn1.ObjectIdentifier }

type namesSET []typeAlone // encoding/asn1 reads a SET where the type's name ends so

type infoTemplate struct {
	Version int
	Subject []namesSET `asn1:"optional"`
	Key     struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString `asn1:"optional"`
	} `asn1:"tag:0"`
	Attributes asn1.RawValue `asn1:"tag:1"`
}

func readRequestInfoTemplate(t *testing.T, attrs globalest.CSRAttrs) (info infoTemplate) {
	t.Helper()
	if len(attrs.OIDs) != 0 || len(attrs.Attributes) != 1 || attrs.Attributes[0].Type.String() != "1.2.840.113549.1.9.16.2.61" || len(attrs.Attributes[0].Values) != 1 {
		t.Fatalf("%+v", attrs)
	}
	rest, err := asn1.Unmarshal(attrs.Attributes[0].Values[0].(asn1.RawValue).FullBytes, &info)
	if err != nil || len(rest) != 0 {
		t.Fatalf("%v, %d bytes more", err, len(rest))
	}
	return info
}

// RFC 9908: one attribute with one CertificationRequestInfoTemplate.
func TestCSRAttributesAsATemplateOfTheRequest(t *testing.T) {
	f := newFixture(t, func(o *ra.Options) { o.CSRAttributes = always(ra.CSRAttributesTemplate) }, large)
	attrs, err := f.CSRAttrs(t.Context(), "supervised", nil)
	if err != nil {
		t.Fatal(err)
	}
	info := readRequestInfoTemplate(t, attrs)
	if info.Version != 0 || len(info.Subject) != 1 || info.Subject[0][0].Type.String() != "2.5.4.3" {
		t.Errorf("version %d, subject %v", info.Version, info.Subject)
	}
	key, err := x509.ParsePKCS1PublicKey(info.Key.Key.Bytes)
	if err != nil || key.N.BitLen() != 4096 {
		t.Errorf("the key: %v", err)
	}
	der, err := attrs.Marshal()
	if err != nil || len(der) == 0 {
		t.Errorf("marshal: %v", err)
	}
}

// Anybody may ask for /csrattrs (RFC 7030 §4.5): however often that is, the CA sees
// one log-in.
func TestTheCAIsAskedOnceForAllWhoAskForCSRAttributes(t *testing.T) {
	for name, p := range map[string]profile{"pooled": modern, "two log-ins": cucm} {
		clock := time.Now()
		f := newFixture(t, func(o *ra.Options) {
			p(o)
			o.CSRAttributes, o.Refresh, o.Now = always(ra.CSRAttributesClassic), time.Hour, func() time.Time { return clock }
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

// A wrong password of the RA's own is tried once: every further try, which anybody
// could cause, would bring the account nearer to its lock-out (design, section 4).
func TestCSRAttributesDoNotTryAWrongPasswordOfTheRAAgain(t *testing.T) {
	for name, p := range map[string]profile{"pooled": modern, "two log-ins": cucm} {
		f := newFixture(t, modern)
		password, clock := "wrong", time.Now()
		r := newRA(t, f.ca.URL, f.ca.Roots, f.ca.User, "", f.events, func(o *ra.Options) {
			p(o)
			o.CSRAttributes, o.Now = always(ra.CSRAttributesClassic), func() time.Time { return clock }
			o.Credentials = func() (msca.Credentials, error) {
				return msca.Credentials{User: f.ca.User, Password: password}, nil
			}
		})
		for range 5 {
			clock = clock.Add(time.Hour)
			if attrs, err := r.CSRAttrs(t.Context(), "", nil); err != nil || len(attrs.Attributes) != 0 {
				t.Errorf("%s: %+v, %v", name, attrs, err)
			}
		}
		wrongPassword := func(e certsrv.AccessEntry) bool { return e.Status == http.StatusUnauthorized && e.Win32 == 0x8009030C } // SEC_E_LOGON_DENIED (certsrv.md)
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
		o.CSRAttributes, o.Now = always(ra.CSRAttributesClassic), func() time.Time { return clock }
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
