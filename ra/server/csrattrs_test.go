package server_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	globalest "github.com/globalsign/est"

	"ciscora/config"
)

// RFC 9908 §4: a client that knows the template reads nothing besides it. So where
// proof of possession is demanded, which the template has no words for, the classic
// form asks for it (RFC 7030 §4.5.2: the challengePassword OID MUST be told).
func TestProofOfPossessionIsAskedForInTheFormThatEveryClientReads(t *testing.T) {
	const rsa, template, challengePassword = "1.2.840.113549.1.1.1", "1.2.840.113549.1.9.16.2.61", "1.2.840.113549.1.9.7"
	s := newSite(t)
	cfg := s.load("profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\n")
	cfg.EST.CSRAttributes = "template"
	bound := cfg.EST.Labels["bound"]
	bound.Template, bound.ProofOfPossession = "CiscoRA", true
	cfg.EST.Labels = map[string]config.Label{"bound": bound}
	srv := s.run(cfg)
	settled(t, srv)
	base := "https://" + srv.ESTAddr().String() + "/.well-known/est/"
	for label, want := range map[string][]string{"": {template}, "bound/": {rsa, challengePassword}} {
		status, body := s.get(base + label + "csrattrs")
		if status != http.StatusOK {
			t.Fatalf("label %q: %d %s", label, status, body)
		}
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
		if err != nil {
			t.Fatal(err)
		}
		var attrs globalest.CSRAttrs
		if err := attrs.Unmarshal(der); err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, a := range attrs.Attributes {
			told = append(told, a.Type.String())
		}
		for _, oid := range attrs.OIDs {
			told = append(told, oid.String())
		}
		for _, oid := range want {
			if !slices.Contains(told, oid) {
				t.Errorf("label %q: %s is not told in %v", label, oid, told)
			}
		}
		if slices.Contains(told, template) && slices.Contains(told, challengePassword) {
			t.Errorf("label %q: challengePassword stands besides the template, where nobody reads it: %v", label, told)
		}
	}
}
