package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"strings"
	"testing"

	"ciscora/config"
)

// behaviour is what tells the profiles apart from outside.
type behaviour struct {
	Joins      bool // the same CSR gets the same certificate again
	Challenges bool // a wrong password gets a new challenge
	CESWords   bool // a garbled CSR is refused in libest's words
}

func (s *site) behaviour(base string) (b behaviour) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "SEP001122334455"}}, key)
	if err != nil {
		s.t.Fatal(err)
	}
	var answers [2]string
	for i := range answers {
		status, _, body := s.post(base+"simpleenroll", csr)
		if status != http.StatusOK {
			s.t.Fatalf("%s: %d %s", base, status, body)
		}
		answers[i] = body
	}
	b.Joins = answers[0] == answers[1]

	_, _, text := s.post(base+"simpleenroll", []byte("garbage"))
	b.CESWords = strings.Contains(text, "Invalid or corrupted pkcs10 request.")

	right := s.ca.Password
	defer func() { s.ca.Password = right }()
	s.ca.Password = "wrong"
	status, header, _ := s.post(base+"simpleenroll", csr)
	if status != http.StatusUnauthorized {
		s.t.Errorf("%s: a wrong password got %d", base, status)
	}
	b.Challenges = header.Get("WWW-Authenticate") != ""
	return b
}

// One RA serves clients of CES and others: a label has the profile that it names, and
// the RA's own where it names none.
func TestALabelBehavesAsItsProfileSays(t *testing.T) {
	asModern, asCES := behaviour{Joins: true, Challenges: true}, behaviour{CESWords: true}
	for _, test := range []struct {
		of   config.Profile
		want map[string]behaviour
	}{
		{config.ProfileModern, map[string]behaviour{"": asModern, "same/": asModern, "modern/": asModern, "ces/": asCES}},
		{config.ProfileCUCM, map[string]behaviour{"": asCES, "same/": asCES, "modern/": asModern, "ces/": asCES}},
	} {
		t.Run(string(test.of), func(t *testing.T) {
			s := newSite(t)
			cfg := s.load("profile: " + string(test.of) + "\nadmin: {listen: \"\"}\n")
			cfg.EST.Lockout.Failures = 0
			cfg.EST.Labels = map[string]config.Label{
				"same":   {Template: "CiscoRA"},
				"modern": {Template: "CiscoRA", Profile: config.ProfileModern},
				"ces":    {Template: "CiscoRA", Profile: config.ProfileCUCM},
			}
			srv := s.run(cfg)
			settled(t, srv)
			for label, want := range test.want {
				if got := s.behaviour("https://" + srv.ESTAddr().String() + "/.well-known/est/" + label); got != want {
					t.Errorf("label %q: %+v, want %+v", label, got, want)
				}
			}
			if status, _ := s.get("https://" + srv.ESTAddr().String() + "/.well-known/est/modern/csrattrs"); status != http.StatusOK {
				t.Errorf("/csrattrs of modern: %d", status)
			}
			if status, _ := s.get("https://" + srv.ESTAddr().String() + "/.well-known/est/ces/csrattrs"); status != http.StatusNoContent {
				t.Errorf("/csrattrs of cucm-12.5: %d", status)
			}
		})
	}
}
