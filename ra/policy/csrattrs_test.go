package policy_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"

	globalest "github.com/globalsign/est"
	"pgregory.net/rapid"

	"ciscora/ra/policy"
)

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
		"without a policy, RSA of its bits":    {nil, rsa + " 4096", "1.2.840.113549.1.1.11", rsa, "", 4096},
		"no key that both take":                {[]string{"rsa2048"}, "", "", "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			tell := func(form policy.Form) globalest.CSRAttrs {
				t.Helper()
				attrs, err := policy.Policy{Keys: test.keys}.CSRAttrs(form, policy.Template{MinKeySize: 4096, SubjectFromRequest: true})
				if err != nil {
					t.Fatal(err)
				}
				return attrs
			}
			var attributes, oids []string
			told := tell(policy.FormClassic)
			for _, a := range told.Attributes {
				attributes = append(attributes, a.Type.String()+" "+fmt.Sprint(a.Values...))
			}
			for _, oid := range told.OIDs {
				oids = append(oids, oid.String())
			}
			if strings.Join(attributes, ",") != test.classic || strings.Join(oids, ",") != test.oids {
				t.Errorf("classic: %q and %q, want %q and %q", attributes, oids, test.classic, test.oids)
			}

			template := tell(policy.FormTemplate)
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
	attrs, err := policy.Policy{}.CSRAttrs(policy.FormTemplate, policy.Template{MinKeySize: 4096, SubjectFromRequest: true})
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

// libest's client never comes to the end of CSR attributes that end in another thing
// than an OID. The front end puts plain OIDs last; so whatever the policy and the
// template, there is one where anything is told.
func TestCSRAttributesInTheClassicFormHaveAPlainOIDForTheirEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policy.Policy{Keys: rapid.SliceOfDistinct(rapid.SampledFrom([]string{
			"rsa2048", "rsa3072", "rsa4096", "ec256", "ec384", "ec521", "ed25519",
		}), rapid.ID[string]).Draw(t, "keys")}
		bits := rapid.SampledFrom([]int{0, 1024, 2048, 3072, 4096, 16384}).Draw(t, "bits")
		told, err := p.CSRAttrs(policy.FormClassic, policy.Template{MinKeySize: bits, SubjectFromRequest: rapid.Bool().Draw(t, "named")})
		if err != nil {
			t.Fatal(err)
		}
		if len(told.Attributes) > 0 && len(told.OIDs) == 0 {
			t.Fatalf("%+v has attributes alone", told)
		}
	})
}
