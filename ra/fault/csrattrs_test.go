package fault_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"strings"
	"testing"

	"ciscora/ra/fault"
	"ciscora/ra/policy"
)

// attributesOf is the DER of /csrattrs under a fault.
func attributesOf(t *testing.T, which string) []byte {
	t.Helper()
	registry := fault.NewRegistry(fault.Options{})
	if _, err := registry.Order("est.csrattrs:attributes=" + which); err != nil {
		t.Fatal(err)
	}
	all, err := raw(t, answering(t, registry, ""), "csrattrs")
	_, body, ok := strings.Cut(all, "\r\n\r\n")
	if err != nil || !ok {
		t.Fatalf("%v: %q", err, all)
	}
	der, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAttributesThatAskForAKeyAreThoseOfAPolicy(t *testing.T) {
	for which, test := range map[string]struct {
		form policy.Form
		key  string
	}{
		"template": {policy.FormTemplate, "ec384"},
		"p384":     {policy.FormClassic, "ec384"},
		"rsa3072":  {policy.FormClassic, "rsa3072"},
	} {
		attrs, err := policy.Policy{Keys: []string{test.key}}.CSRAttrs(test.form, policy.Template{})
		if err != nil {
			t.Fatal(err)
		}
		attrs.OIDs = nil // of the signature
		want, err := attrs.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got := attributesOf(t, which); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, and a policy of %s says %x", which, got, test.key, want)
		}
	}
}

func TestAttributesAreWholeUnlessTheyAreToBeBroken(t *testing.T) {
	for _, which := range []string{"empty", "unknown", "challenge", "sha384", "extensions", "empty-values", "100kB", "deep"} {
		var list []asn1.RawValue
		if rest, err := asn1.Unmarshal(attributesOf(t, which), &list); err != nil || len(rest) > 0 {
			t.Errorf("%s: %v, %d bytes more", which, err, len(rest))
		}
	}
	var list []asn1.RawValue
	if _, err := asn1.Unmarshal(attributesOf(t, "truncated"), &list); err == nil {
		t.Error("what is cut off can be read")
	}
}
