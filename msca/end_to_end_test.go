package msca_test

import (
	"crypto/tls"
	"testing"

	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/msca/ntlm"
)

func TestEnrollmentAtTheBuiltInCA(t *testing.T) {
	p := newPKI(t)
	for _, c := range []struct {
		name    string
		binding ntlm.Binding
		change  func(*msca.Options)
		want    msca.Kind // of the log-in, "" = all goes well
	}{
		{"as CES", ntlm.BindingNone, func(o *msca.Options) { o.NameCheck = msca.NameCheckCurl }, ""},
		{"modern", ntlm.BindingRequire, func(o *msca.Options) { o.ChannelBinding, o.Renewal = true, msca.RenewalNewest }, ""},
		{"NTLM within Negotiate", ntlm.BindingAccept, func(o *msca.Options) { o.Authentication = "negotiate" }, ""},
		{"without the binding it requires", ntlm.BindingRequire, func(*msca.Options) {}, msca.KindAuthRejected},
	} {
		t.Run(c.name, func(t *testing.T) {
			ca := certsrv.NewTestServer(func(o *certsrv.Options) { o.Binding = c.binding })
			defer ca.Close()
			o := msca.Options{URL: ca.URL, TLS: &tls.Config{}, Trust: trust(ca.Server.Root())}
			c.change(&o)
			client := newClient(t, o)
			s, err := client.Login(t.Context(), msca.Credentials{User: ca.User, Password: ca.Password})
			if c.want != "" {
				_ = asError(t, err, c.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			chain, err := s.Chain(t.Context())
			if err != nil || len(chain) != 2 || !chain[1].Equal(ca.Server.Root()) {
				t.Fatalf("chain of %d, %v", len(chain), err)
			}
			list, err := s.Templates(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := list.Find("CiscoRA"); !ok || !e.SubjectFromRequest {
				t.Errorf("CiscoRA: %+v, %v", e, ok)
			}
			id, err := s.Submit(t.Context(), p.csr, "CiscoRA", nil)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := s.Fetch(t.Context(), id, p.csr)
			if err != nil {
				t.Fatal(err)
			}
			if err := cert.CheckSignatureFrom(chain[0]); err != nil {
				t.Error(err)
			}
			_, err = s.Submit(t.Context(), p.csr, "CiscoRa typo", nil)
			if e := asError(t, err, msca.KindDenied); e.HRESULT != 0x80094800 || e.ReqID == 0 {
				t.Errorf("%v", e)
			}
			_, err = s.Fetch(t.Context(), 99999, p.csr)
			_ = asError(t, err, msca.KindUnknownRequest)
		})
	}
	t.Run("a wrong password is refused", func(t *testing.T) {
		ca := certsrv.NewTestServer()
		defer ca.Close()
		client := newClient(t, msca.Options{URL: ca.URL, TLS: &tls.Config{RootCAs: ca.Roots}})
		_, err := client.Login(t.Context(), msca.Credentials{User: ca.User, Password: "wrong"})
		if e := asError(t, err, msca.KindAuthRejected); e.CurlCode != 0 {
			t.Errorf("curl %d: a refused password is no error of curl's", e.CurlCode)
		}
	})
}

// RFC 7030 §4.1.3: after a renewal old and new certificates are told.
func TestTheChainOfARenewedCAHasItsEarlierCertificatesToo(t *testing.T) {
	ca := certsrv.NewTestServer()
	defer ca.Close()
	first := ca.Server.Chain()[0]
	if err := ca.Server.Renew(2); err != nil {
		t.Fatal(err)
	}
	for renewal, want := range map[int]int{msca.RenewalNewest: 4, 0: 2, 1: 2} {
		client, err := msca.New(msca.Options{URL: ca.URL, TLS: &tls.Config{RootCAs: ca.Roots}, Renewal: renewal, ChannelBinding: true})
		if err != nil {
			t.Fatal(err)
		}
		session, err := client.Login(t.Context(), msca.Credentials{User: ca.User, Password: ca.Password})
		if err != nil {
			t.Fatal(err)
		}
		chain, err := session.Chain(t.Context())
		session.Close()
		if err != nil || len(chain) != want {
			t.Fatalf("renewal %d: %d certificates, %v; want %d", renewal, len(chain), err, want)
		}
		if renewal == msca.RenewalNewest && (!chain[0].Equal(ca.Server.Chain()[0]) || !chain[1].Equal(ca.Server.Root()) || !chain[3].Equal(first)) {
			t.Errorf("the order: %v", chain)
		}
	}
}
