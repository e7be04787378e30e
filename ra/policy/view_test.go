package policy_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"regexp"
	"strings"
	"testing"

	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"ciscora/internal/pattern"
	"ciscora/internal/x501"
	"ciscora/ra/policy"
)

// phones is what an operator writes down for phones.
func phones(t testing.TB) policy.Policy {
	return policy.Policy{
		Subject: []*pattern.Pattern{compiled(t, "CN=SEP[0-9A-F]{12}", 0)},
		SAN:     []*pattern.Pattern{compiled(t, "dns:[a-z0-9]+[.]example[.]com", 0)},
	}
}

const phone = "SEP001122334455"

// Each of these passed once: crypto/x509 does not see it, and the CA does.
func TestWhatCryptoX509DoesNotSeeIsRefused(t *testing.T) {
	good := []der{cn(phone)}
	for _, test := range []struct {
		name      string
		csr       der
		malformed bool
		says      string
	}{
		{"two common names", request([]der{cn("Administrator"), cn(phone)}), false, `its subject "CN=SEP001122334455,CN=Administrator" has 2 common names`},
		{"two common names in one RDN", request([]der{set(attribute(oidCN, value(x501.UTF8String, phone)), attribute(oidCN, value(x501.PrintableString, "dc")))}), false, "has 2 common names"},
		{"a VisibleString beside it", request([]der{set(attribute(oidCN, value(x501.VisibleString, "Administrator"))), cn(phone)}), false, "has 2 common names"},
		{"a VisibleString alone", request([]der{set(attribute(oidCN, value(x501.VisibleString, "Administrator")))}), false, `its subject "CN=Administrator" is not one`},
		{"a UniversalString", request([]der{set(attribute(oidCN, value(x501.UniversalString, "\x00\x00\x00d\x00\x00\x00c")))}), false, `its subject "CN=dc" is not one`},
		{"a common name that is no string", request([]der{set(attribute(oidCN, der{2, 1, 5}))}), true, "its attribute CN is no string: its value has the tag 2"},
		{"a common name that is a structure", request([]der{set(attribute(oidCN, sequence(value(x501.UTF8String, phone))))}), true, "its attribute CN is no string"},
		{"another attribute's structure", request([]der{set(attribute(asn1.ObjectIdentifier{2, 5, 4, 45}, der{3, 1, 0})), cn(phone)}), true, "its attribute 2.5.4.45 is no string"},
		{"a name in Microsoft's attribute", request(good, asks(oidMicrosoftExtensions, names(dns("dc.lab.test")))), false, `"dns:dc.lab.test" is not one`},
		{"a user principal name in Microsoft's attribute", request(good, asks(oidMicrosoftExtensions, names(upn("administrator@lab.test")))), false, "user principal name"},
		{"a security identifier in Microsoft's attribute", request(good, asks(oidMicrosoftExtensions, extension(oidSID, der{5, 0}))), false, "security identifier"},
		{"application policies", request(good, asks(oidExtensionRequest, extension(oidApplicationPolicies, sequence()))), false, "application policies"},
		{"application policies in Microsoft's attribute", request(good, asks(oidMicrosoftExtensions, extension(oidApplicationPolicies, sequence()))), false, "application policies"},
		{"a security identifier as a URI", request(good, asks(oidExtensionRequest, names(uri("TAG:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-500")))), false, "security identifier of a Windows account"},
		{"names that differ in the two attributes", request(good, asks(oidExtensionRequest, names(dns("a.example.com"))), asks(oidMicrosoftExtensions, names(dns("b.example.com")))), false, "ask for different extensions 2.5.29.17"},
		{"an extension twice in Microsoft's attribute", request(good, asks(oidMicrosoftExtensions, names(dns("a.example.com")), names(dns("a.example.com")))), false, "extension 2.5.29.17 twice"},
		{"an extension in two of Microsoft's attributes", request(good, asks(oidMicrosoftExtensions, names(dns("a.example.com"))), asks(oidMicrosoftExtensions, names(dns("b.example.com")))), false, "extension 2.5.29.17 twice"},
		{"two values of Microsoft's attribute", request(good, sequence(oid(oidMicrosoftExtensions), set(sequence(names(dns("a.example.com"))), sequence(names(dns("b.example.com")))))), false, "extension 2.5.29.17 twice"},
		{"two values of PKCS #9's attribute", request(good, sequence(oid(oidExtensionRequest), set(sequence(names(dns("a.example.com"))), sequence(names(dns("dc.lab.test")))))), false, "extension 2.5.29.17 twice"},
		{"Microsoft's attribute that cannot be read", request(good, sequence(oid(oidMicrosoftExtensions), set(value(x501.BMPString, "ab")))), true, "attribute 1.3.6.1.4.1.311.2.1.14 is no SEQUENCE of extensions"},
		{"an extension that goes on", request(good, asks(oidMicrosoftExtensions, sequence(oid(oidSubjectAltName), der{4, 0}, der{4, 0}))), true, "extension 2.5.29.17 cannot be read"},
		{"an extension of a long form of false", request(good, asks(oidMicrosoftExtensions, sequence(oid(oidSubjectAltName), der{1, 1, 7}, der{4, 0}))), true, "extension 2.5.29.17 cannot be read"},
		{"a name and value pair, which would be a request attribute", request(good, sequence(oid(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 13, 2, 1}), set(sequence()))), true, "attribute 1.3.6.1.4.1.311.13.2.1 is not taken here"},
		{"an attribute that nobody knows", request(good, sequence(oid(asn1.ObjectIdentifier{1, 2, 3, 4}), set())), true, "attribute 1.2.3.4 is not taken here: leave it out"},
		{"an attribute without values", request(good, sequence(oid(oidMicrosoftExtensions), set())), true, "attribute 1.3.6.1.4.1.311.2.1.14 has no value"},
		{"what stands behind the attributes", signed(info(sequence(good...), element(tagged(0).Constructed()), element(tagged(1).Constructed(), asks(oidMicrosoftExtensions, names(dns("dc.lab.test")))))), true, "and nothing more"},
		{"what stands behind the signature", signedAnd(info(sequence(good...), element(tagged(0).Constructed())), asks(oidMicrosoftExtensions, names(dns("dc.lab.test")))), true, "outer form is not that of RFC 2986"},
		{"an extension that is critical in one attribute alone", request(good, asks(oidExtensionRequest, names(dns("a.example.com"))), asks(oidMicrosoftExtensions, sequence(oid(oidSubjectAltName), der{1, 1, 0xff}, element(cryptobyte_asn1.OCTET_STRING, sequence(dns("a.example.com")))))), false, "ask for different extensions 2.5.29.17"},
		{"names in the extension of 1993", request(good, asks(oidExtensionRequest, extension(asn1.ObjectIdentifier{2, 5, 29, 7}, sequence(upn("administrator@lab.test"))))), true, "extension 2.5.29.7 is an old form of subjectAltName"},
		{"a directory name", request(good, asks(oidExtensionRequest, names(element(tagged(4).Constructed(), sequence(cn("dc")))))), false, `"dir:CN=dc" is not one`},
		{"a registered ID", request(good, asks(oidExtensionRequest, names(element(tagged(8), der{42, 3})))), false, `"oid:1.2.3" is not one`},
		{"another otherName", request(good, asks(oidExtensionRequest, names(element(tagged(0).Constructed(), oid(asn1.ObjectIdentifier{1, 2, 3}), element(tagged(0).Constructed(), der{5, 0}))))), false, `"other:1.2.3=#0500" is not one`},
		{"a NUL in the common name", request([]der{set(attribute(oidCN, value(x501.UTF8String, "dc\x00"+phone)))}), true, "subject has the control character U+0000"},
		{"a line end in the common name", request([]der{set(attribute(oidCN, value(x501.UTF8String, phone+"\n")))}), true, "subject has the control character U+000A"},
		{"a line end in a directory name", request(good, asks(oidExtensionRequest, names(directory(cn(phone+"\n"))))), true, "number 1 is a directory name that has the control character U+000A"},
		{"what turns the direction, in a directory name", request(good, asks(oidExtensionRequest, names(directory(cn("a\u202e"))))), true, "number 1 is a directory name that has the character U+202E"},
		{"two common names in a directory name", request(good, asks(oidExtensionRequest, names(directory(cn("dc"), cn("a"))))), false, "has several common names, and one is taken"},
		{"what has no width in the common name", request([]der{cn("d\u200bc")}), true, "subject has the character U+200B, which is not seen"},
		{"a line separator in the common name", request([]der{cn("dc\u2028")}), true, "subject has the character U+2028"},
		{"what turns the direction, in a user principal name", request(good, asks(oidExtensionRequest, names(upn("a\u202eb@lab.test")))), true, "user principal name that has the character U+202E"},
		{"a NUL in a name", request(good, asks(oidExtensionRequest, names(dns("dc.lab.test\x00.example.com")))), true, "number 1 (dns) has a byte 0x00"},
		{"a blank in a name", request(good, asks(oidExtensionRequest, names(dns("a.example.com ")))), true, "number 1 (dns) has a byte 0x20"},
		{"a name of no known kind", request(good, asks(oidExtensionRequest, names(dns("a.example.com"), element(tagged(9), der{0})))), true, "number 2 is of no known kind"},
		{"ten thousand names in Microsoft's attribute", request(good, asks(oidMicrosoftExtensions, manyNames(10_000))), false, "it has 10000 subject alternative names, and at most 100 are taken"},
		{"a hundred and one attributes of the subject", request(append(slicesRepeat(set(attribute(oidO, value(x501.UTF8String, "x"))), 100), cn(phone))), true, "more than 100 attributes"},
		{"too many attributes", request(good, slicesRepeat(sequence(oid(oidChallengePassword), set(value(x501.UTF8String, "x"))), 21)...), true, "attributes are more than 20"},
		{"too many extensions", request(good, asks(oidMicrosoftExtensions, slicesRepeat(extension(asn1.ObjectIdentifier{1, 2, 3}, nil), 51)...)), true, "extensions are more than 50"},
	} {
		t.Run(test.name, func(t *testing.T) {
			refusal := checked(t, phones(t), policy.Asker{}, test.csr)
			if refusal == nil {
				t.Fatalf("taken, want %s", test.says)
			}
			if refusal.Malformed != test.malformed || !strings.Contains(refusal.Text, test.says) {
				t.Errorf("%+v, want %s", refusal, test.says)
			}
		})
	}
}

// [^,]+ is what everybody writes for one value.
func TestAPatternForOneValueTakesOneAttribute(t *testing.T) {
	oidTitle := asn1.ObjectIdentifier{2, 5, 4, 12}
	several := func(subject ...der) der { return request([]der{cn("x"), set(subject...)}) }
	for _, test := range []struct {
		name, pattern string
		csr           der
		taken         bool
	}{
		{"two attributes", "CN=[^,]+,O=Example", request([]der{set(attribute(oidO, value(x501.UTF8String, "Example"))), cn("a")}), true},
		{"one that looks like two", "CN=[^,]+,O=Example", request([]der{cn("Administrator,O=Example")}), false},
		{"one that ends with a backslash", `CN=[^,]+,O=Example`, request([]der{cn(`Administrator\,O=Example`)}), false},
		{"two in one RDN", "O=[^,]+,CN=x", several(attribute(oidO, value(x501.UTF8String, "a")), attribute(oidTitle, value(x501.UTF8String, "boss"))), false},
		{"two in one RDN, with a plus in the pattern", `O=[^,+]+\+2[.]5[.]4[.]12=#0c04626f7373,CN=x`, several(attribute(oidO, value(x501.UTF8String, "a")), attribute(oidTitle, value(x501.UTF8String, "boss"))), true},
		{"two in one RDN, whatever it is", ".*", several(attribute(oidO, value(x501.UTF8String, "a")), attribute(oidTitle, value(x501.UTF8String, "boss"))), true},
		{"a comma that is asked for", `CN=Example\\2C Inc[.]`, request([]der{cn("Example, Inc.")}), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := policy.Policy{Subject: []*pattern.Pattern{compiled(t, test.pattern, 0)}}
			if refusal := checked(t, p, policy.Asker{}, test.csr); (refusal == nil) != test.taken {
				t.Errorf("refused: %+v", refusal)
			}
		})
	}
}

func directory(rdns ...der) der { return element(tagged(4).Constructed(), sequence(rdns...)) }

func TestAPatternForADirectoryNameJudgesItAsASubject(t *testing.T) {
	several := directory(cn("x"), set(attribute(oidO, value(x501.UTF8String, "a")), attribute(asn1.ObjectIdentifier{2, 5, 4, 12}, value(x501.UTF8String, "boss"))))
	for _, test := range []struct {
		name, pattern string
		san           der
		taken         bool
	}{
		{"one attribute each", "dir:O=[^,]+,CN=x", directory(cn("x"), set(attribute(oidO, value(x501.UTF8String, "a")))), true},
		{"two in one RDN", "dir:O=[^,]+,CN=x", several, false},
		{"two in one RDN, with a plus in the pattern", `dir:O=[^,+]+\+2[.]5[.]4[.]12=#0c04626f7373,CN=x`, several, true},
		{"two in one RDN, whatever it is", ".*", several, true},
		{"a name with a plus of another kind", "dns:[^,]+", dns("a+b"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := policy.Policy{SAN: []*pattern.Pattern{compiled(t, test.pattern, 0)}}
			if refusal := checked(t, p, policy.Asker{}, request([]der{cn("x")}, asks(oidExtensionRequest, names(test.san)))); (refusal == nil) != test.taken {
				t.Errorf("refused: %+v", refusal)
			}
		})
	}
}

func slicesRepeat(one der, n int) []der {
	all := make([]der, n)
	for i := range all {
		all[i] = one
	}
	return all
}

func checked(t testing.TB, p policy.Policy, who policy.Asker, der der) *policy.Refusal {
	t.Helper()
	view, refusal := policy.Read(parsed(t, der))
	if refusal == nil {
		refusal = p.Check(view, who)
	}
	return refusal
}

// What clients send and means no harm: openssl, certreq, a phone with its proof of
// possession, libest's example that puts into its CSR whatever /csrattrs names.
func TestAttributesOfHonestClientsAreTaken(t *testing.T) {
	attributes := []der{asks(oidExtensionRequest, names(dns("a.example.com")))}
	for _, id := range []asn1.ObjectIdentifier{
		oidChallengePassword,
		{1, 2, 840, 113549, 1, 9, 2},
		{1, 3, 6, 1, 4, 1, 311, 13, 2, 2},
		{1, 3, 6, 1, 4, 1, 311, 13, 2, 3},
		{1, 3, 6, 1, 4, 1, 311, 21, 20},
		{1, 2, 840, 113549, 1, 9, 16, 2, 37},
		{1, 2, 840, 113549, 1, 9, 16, 2, 54},
		{1, 3, 6, 1, 5, 5, 7, 7, 36},
		{1, 2, 840, 113549, 1, 1, 1},
		{1, 2, 840, 113549, 1, 1, 11},
	} {
		attributes = append(attributes, sequence(oid(id), set(value(x501.UTF8String, "x"))))
	}
	// The same extension in both attributes says one thing.
	attributes = append(attributes, asks(oidMicrosoftExtensions, names(dns("a.example.com"))))
	view, refusal := policy.Read(parsed(t, request([]der{cn(phone)}, attributes...)))
	if refusal != nil {
		t.Fatal(refusal)
	}
	if refusal := phones(t).Check(view, policy.Asker{}); refusal != nil {
		t.Error(refusal)
	}
	if len(view.Extensions) != 1 || len(view.Names) != 1 || view.Names[0].String() != "dns:a.example.com" || view.CN() != phone {
		t.Errorf("%+v", view)
	}
}

func TestASubjectIsShownWithEachAttributeInOrder(t *testing.T) {
	email := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	view, refusal := policy.Read(parsed(t, request([]der{
		set(attribute(asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, value(x501.IA5String, "test"))),
		set(attribute(asn1.ObjectIdentifier{2, 5, 4, 6}, value(x501.PrintableString, "DE"))),
		set(attribute(oidO, value(x501.T61String, "M\xfcller, S"))),
		set(attribute(oidCN, value(x501.BMPString, "\x00#\x00a\x20\xac")), attribute(email, value(x501.IA5String, "a@b"))),
	})))
	if refusal != nil {
		t.Fatal(refusal)
	}
	if want := `CN=\#a€+1.2.840.113549.1.9.1=#1603614062,O=Müller\2C S,C=DE,DC=test`; view.Subject.String() != want {
		t.Errorf("%s, want %s", view.Subject, want)
	}
	if a := view.Subject[3][0]; a.Kind != x501.BMPString || a.Text != "#a€" || view.CN() != "#a€" {
		t.Errorf("%+v", a)
	}
}

func TestAPolicyMayTakeACSRThatSaysTwoThings(t *testing.T) {
	ambiguous := policy.Policy{
		Ambiguous: true, Subject: []*pattern.Pattern{compiled(t, "CN=SEP[0-9A-F]{12},CN=x", 0)}, SAN: []*pattern.Pattern{compiled(t, "dns:[ab]", 0)},
	}
	two := []der{cn("x"), cn(phone)}
	if refusal := checked(t, ambiguous, policy.Asker{}, request(two)); refusal != nil {
		t.Error(refusal)
	}
	if refusal := checked(t, policy.Policy{}, policy.Asker{}, request(two)); refusal == nil {
		t.Error("without a policy two common names are taken")
	}
	// All that it says is held against the patterns.
	for names, want := range map[[2]string]bool{{"a", "b"}: true, {"a", "c"}: false, {"c", "a"}: false} {
		refusal := checked(t, ambiguous, policy.Asker{}, request(two, asks(oidExtensionRequest, namesOf(names[0])), asks(oidMicrosoftExtensions, namesOf(names[1]))))
		if (refusal == nil) != want {
			t.Errorf("%v: %v", names, refusal)
		}
	}
}

func namesOf(name string) der { return names(dns(name)) }

func TestWhatIsDangerousIsTakenWhereAPolicyAllowsIt(t *testing.T) {
	for name, test := range map[string]struct {
		allow asn1.ObjectIdentifier
		asked der
	}{
		"a user principal name":           {oidUPN, names(upn("alice@lab.test"))},
		"a security identifier":           {oidSID, extension(oidSID, der{5, 0})},
		"a security identifier, as a URI": {oidSID, names(uri("tag:microsoft.com,2022-09-14:sid:S-1-5-21-1"))},
		"application policies":            {oidApplicationPolicies, extension(oidApplicationPolicies, sequence())},
	} {
		for _, home := range []asn1.ObjectIdentifier{oidExtensionRequest, oidMicrosoftExtensions} {
			csr := request([]der{cn("x")}, asks(home, test.asked))
			if refusal := checked(t, policy.Policy{}, policy.Asker{}, csr); refusal == nil || refusal.Malformed {
				t.Errorf("%s in %s: %v, want a refusal", name, home, refusal)
			}
			if refusal := checked(t, policy.Policy{Allow: []asn1.ObjectIdentifier{test.allow}}, policy.Asker{}, csr); refusal != nil {
				t.Errorf("%s in %s: %v", name, home, refusal)
			}
		}
	}
	tied := policy.Policy{Allow: []asn1.ObjectIdentifier{oidUPN}, SAN: []*pattern.Pattern{compiled(t, "upn:{user}@lab[.]test", 0)}}
	csr := request([]der{cn("x")}, asks(oidExtensionRequest, names(upn("alice@lab.test"))))
	if refusal := checked(t, tied, policy.Asker{User: "alice"}, csr); refusal != nil {
		t.Error(refusal)
	}
	if refusal := checked(t, tied, policy.Asker{User: "bob"}, csr); refusal == nil {
		t.Error("bob got a certificate by which alice logs in")
	}
}

func TestAPolicyTiesTheCSRToWhoAsks(t *testing.T) {
	certificate := func(subject der, names ...string) policy.Asker {
		c := &x509.Certificate{RawSubject: subject}
		if len(names) > 0 {
			var all []der
			for _, name := range names {
				all = append(all, dns(name))
			}
			c.Extensions = []pkix.Extension{{Id: oidSubjectAltName, Value: sequence(all...)}}
		}
		return policy.AskerOf(c)
	}
	mic := policy.Policy{
		Identity: regexp.MustCompile(`\ACP-8841-(SEP[0-9A-F]{12})\z`),
		Subject:  []*pattern.Pattern{compiled(t, "CN={1}", 1)}, SAN: []*pattern.Pattern{compiled(t, "dns:(?i:{1})[.]test", 1), compiled(t, "dns:{1}[.]test", 1)},
	}
	for _, test := range []struct {
		name    string
		subject string // a pattern; "" = mic's policy
		san     string
		who     policy.Asker
		csr     der
		taken   bool
	}{
		{"the account's own name", "CN={user}", "", policy.Asker{User: "alice"}, request([]der{cn("alice")}), true},
		{"another account's", "CN={user}", "", policy.Asker{User: "alice"}, request([]der{cn("bob")}), false},
		{"an account's where there is none", "CN={user}", "", policy.Asker{CN: "alice"}, request([]der{cn("alice")}), false},
		{"an account by the name of everybody", "CN={user}", "", policy.Asker{User: ".*"}, request([]der{cn("bob")}), false},
		{"an account whose name has a comma", "CN={user}", "", policy.Asker{User: "a,CN=b"}, request([]der{cn("a,CN=b")}), true},
		{"an account whose name would be two attributes", "CN={user}", "", policy.Asker{User: "a,O=b"}, request([]der{set(attribute(oidO, value(x501.UTF8String, "b"))), cn("a")}), false},
		{"the certificate's own name", "CN={cn}", "", certificate(sequence(cn(phone))), request([]der{cn(phone)}), true},
		{"another certificate's", "CN={cn}", "", certificate(sequence(cn(phone))), request([]der{cn("SEPAABBCCDDEEFF")}), false},
		{"one of a certificate's two names", "CN={cn}", "", certificate(sequence(cn(phone), cn("x"))), request([]der{cn(phone)}), false},
		{"a name of the certificate", ".*", "{san}", certificate(sequence(), "a.test", "b.test"), request(nil, asks(oidExtensionRequest, names(dns("b.test"), dns("a.test")))), true},
		{"a name that the certificate has not", ".*", "{san}", certificate(sequence(), "a.test", "b.test"), request(nil, asks(oidExtensionRequest, names(dns("b.test"), dns("c.test")))), false},
		{"one in Microsoft's attribute", ".*", "{san}", certificate(sequence(), "a.test"), request(nil, asks(oidMicrosoftExtensions, names(dns("c.test")))), false},
		{"the certificate's name as subject", "CN={san}", "", certificate(sequence(), "a.test"), request([]der{cn("a.test")}), true},
		{"a phone with its MIC", "", "", certificate(sequence(cn("CP-8841-" + phone))), request([]der{cn(phone)}, asks(oidExtensionRequest, names(dns(phone+".test")))), true},
		{"another phone's name", "", "", certificate(sequence(cn("CP-8841-" + phone))), request([]der{cn("SEPAABBCCDDEEFF")}), false},
		{"a MIC of another kind", "", "", certificate(sequence(cn("CP-7945-" + phone))), request([]der{cn(phone)}), false},
		{"an account where a MIC is wanted", "", "", policy.Asker{User: "CP-8841-" + phone}, request([]der{cn(phone)}), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := mic
			if test.subject != "" {
				p = policy.Policy{Subject: []*pattern.Pattern{compiled(t, test.subject, 0)}}
			}
			if test.san != "" {
				p.SAN = []*pattern.Pattern{compiled(t, test.san, 0)}
			}
			if refusal := checked(t, p, test.who, test.csr); (refusal == nil) != test.taken || refusal != nil && refusal.Malformed {
				t.Errorf("%v, want taken: %v", refusal, test.taken)
			}
		})
	}
}

func TestNamesForAReenrollmentAreThoseOfBothAttributes(t *testing.T) {
	_, alternative, err := policy.Names(parsed(t, request([]der{cn(phone)}, asks(oidMicrosoftExtensions, names(dns("a.test"))))))
	if err != nil || string(alternative) != string(sequence(dns("a.test"))) {
		t.Errorf("%x %v", alternative, err)
	}
	for name, csr := range map[string]der{
		"two different lists": request([]der{cn(phone)}, asks(oidExtensionRequest, namesOf("a")), asks(oidMicrosoftExtensions, namesOf("b"))),
		"two common names":    request([]der{cn(phone), cn("x")}),
		"what is not read":    request([]der{set(attribute(oidCN, der{2, 1, 5}))}),
	} {
		if _, _, err := policy.Names(parsed(t, csr)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A request is the same whoever signs it and whatever its proof of possession is, and
// another as soon as it asks for something else.
func TestWhatIsAskedForHasADigest(t *testing.T) {
	what := func(attributes ...der) [32]byte {
		t.Helper()
		view, refusal := policy.Read(parsed(t, request([]der{cn(phone)}, attributes...)))
		if refusal != nil {
			t.Fatal(refusal)
		}
		return view.What
	}
	password := func(text string) der { return sequence(oid(oidChallengePassword), set(value(x501.UTF8String, text))) }
	a, b := asks(oidExtensionRequest, namesOf("a")), asks(oidMicrosoftExtensions, extension(asn1.ObjectIdentifier{1, 2, 3}, nil))
	if what(password("x"), a, b) != what(b, a, password("y")) || what(a, b) != what(b, password("x"), a) {
		t.Error("the proof of possession or the order counts")
	}
	if what(a) == what(a, b) || what(a) == what() {
		t.Error("an attribute does not count")
	}
}

func BenchmarkRead(b *testing.B) {
	for name, csr := range map[string]der{
		"a phone's":          request([]der{cn(phone)}, asks(oidExtensionRequest, namesOf("a.example.com"))),
		"ten thousand names": request([]der{cn(phone)}, asks(oidMicrosoftExtensions, manyNames(10_000))),
	} {
		b.Run(name, func(b *testing.B) {
			csr := parsed(b, csr)
			for b.Loop() {
				_, _ = policy.Read(csr)
			}
		})
	}
}
