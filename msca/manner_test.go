package msca_test

import (
	"crypto/tls"
	"testing"

	"ciscora/msca"
	"ciscora/msca/certsrv"
)

// atManner logs in at a CA of that manner.
func atManner(t *testing.T, m certsrv.Manner, options ...func(*certsrv.Options)) (*msca.Session, *certsrv.TestServer) {
	t.Helper()
	ca := certsrv.NewTestServer(append(options, func(o *certsrv.Options) {
		o.Manner = m
		o.Templates = append(o.Templates, certsrv.Template{Name: "Supervised", SubjectFromRequest: true, ManagerApproval: true})
	})...)
	t.Cleanup(ca.Close)
	session, err := newClient(t, msca.Options{URL: ca.URL, Renewal: msca.RenewalNewest, TLS: &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12}}).
		Login(t.Context(), msca.Credentials{User: ca.User, Password: ca.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session, ca
}

// What the seeds of ra's TestVarying have found, a case each.
func TestADispositionIsReadWhateverElseItsElementHas(t *testing.T) {
	for _, quotes := range []string{"", "double", "single", "spaced"} {
		s, _ := atManner(t, certsrv.Manner{Quotes: quotes})
		p := newPKI(t)
		_, err := s.Submit(t.Context(), p.csr, "Supervised", nil)
		pending := asError(t, err, msca.KindPending)
		_, err = s.Fetch(t.Context(), pending.ReqID, p.csr)
		if e := asError(t, err, msca.KindPending); pending.ReqID != 1 || e.Disposition != 5 {
			t.Errorf("quotes %q: request %d, disposition %d", quotes, pending.ReqID, e.Disposition)
		}
	}
}

func TestTheReqIDOfADenialIsNoNumberOfItsMessage(t *testing.T) {
	for name, m := range map[string]certsrv.Manner{
		"the message first":                     {ReasonFirst: true},
		"the message first, in German":          {ReasonFirst: true, Language: "de"},
		"a code page that nobody names":         {Language: "ja", Charset: "shift_jis", Declare: "nowhere"},
		"a code page that nobody names, in one": {Language: "ja", Charset: "shift_jis", Declare: "nowhere", ReasonFirst: true},
		"Russian, likewise":                     {Language: "ru", Charset: "windows-1251", Declare: "nowhere", ReasonFirst: true},
		"without an HRESULT":                    {Language: "fr", BareDenial: true},
	} {
		s, _ := atManner(t, m, func(o *certsrv.Options) { o.FirstReqID = 4711 })
		_, err := s.Submit(t.Context(), newPKI(t).csr, "No 12 such", nil)
		if e := asError(t, err, msca.KindDenied); e.ReqID != 4711 || !m.BareDenial && e.HRESULT != 0x80094800 {
			t.Errorf("%s: request %d, 0x%08x", name, e.ReqID, e.HRESULT)
		}
	}
}

func TestTheNewestRenewalIsFoundAtACAThatDoesNotTell(t *testing.T) {
	for name, m := range map[string]certsrv.Manner{
		"with Renewal=-1":   {Browsers: "none", NoLinks: true, Renewals: 3},
		"one after another": {Browsers: "none", NoLinks: true, Renewals: 3, NoNewest: true},
		"never renewed":     {Browsers: "none", NoLinks: true, NoNewest: true},
	} {
		s, ca := atManner(t, m)
		chain, err := s.Chain(t.Context())
		if err != nil {
			t.Fatal(name, err)
		}
		if !chain[0].Equal(ca.Server.Chain()[0]) || !chain[1].Equal(ca.Server.Root()) {
			t.Errorf("%s: the chain begins with %s, %s", name, chain[0].Subject, chain[1].Subject)
		}
		if m.NoNewest && len(chain) != 2+m.Renewals {
			t.Errorf("%s: %d certificates", name, len(chain))
		}
	}
}

func TestBasicIsFoundInAListOfChallenges(t *testing.T) {
	for _, providers := range []string{"", "reversed", "one-header"} {
		ca := certsrv.NewTestServer(func(o *certsrv.Options) { o.Basic, o.Manner.Providers = true, providers })
		client := newClient(t, msca.Options{URL: ca.URL, Authentication: "basic", TLS: &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12}})
		s, err := client.Login(t.Context(), msca.Credentials{User: ca.User, Password: ca.Password})
		if err != nil {
			t.Fatalf("%q: %v", providers, err)
		}
		if _, err := s.Templates(t.Context()); err != nil {
			t.Errorf("%q: %v", providers, err)
		}
		s.Close()
		_, err = client.Login(t.Context(), msca.Credentials{User: ca.User, Password: "wrong"})
		_ = asError(t, err, msca.KindAuthRejected)
		ca.Close()
	}
}
