package certsrv_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"ciscora/msca/certsrv"
)

// publicClient is what a client that others wrote sends, and what it looks for in the
// answers, after its public source.
type publicClient struct {
	name, agent string
	basic       bool                              // its usual authentication
	form        func(csr, template string) string // of a new request
	issued      []string                          // each must match; the last has the ReqID
	pending     []string                          // likewise
	denied      []string                          // the last has the reason; none: the client does not look for one
	check       func(reqID string) string         // form that asks for a pending request; nil = it fetches
	still, done string                            // what the answers to that must match
	fetch       string                            // page of the certificate, with %s for the ReqID
	fileType    string                            // the Content-Type it demands; "" = it looks at none
	waiting     []string                          // of the page that is fetched for a pending request
	chain       []string                          // of certcarc.asp; the last has the renewal
	chainPage   string                            // page of the chain, with %s for the renewal
	chainType   string
}

func formOf(fields ...string) string {
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	return v.Encode()
}

func savedRequest(csr, template string) string {
	return formOf("Mode", "newreq", "CertRequest", csr, "CertAttrib", "CertificateTemplate:"+template+"\r\n",
		"FriendlyType", "Saved-Request Certificate", "TargetStoreFlags", "0", "SaveCert", "yes")
}

var (
	disposition = `The disposition message is "([^"]+)`
	linkOfAny   = `certnew.cer\?ReqID=(\d+)&`
	twoTabs     = `Disposition message:[^\t]+\t\t([^\r\n]+)`
	renewals    = `var nRenewals=(\d+);`
)

var publicClients = []publicClient{
	{
		name: "jimmypw/adcs (Go)", agent: "Go-http-client/1.1", basic: true,
		form: func(csr, template string) string {
			one := strings.NewReplacer("\r", "", "\n", "", "+", "%2B", " ", "+").Replace(csr)
			return "Mode=newreq&CertRequest=" + one + "&CertAttrib=CertificateTemplate:" + template
		},
		issued:  []string{`Certificate Issued`, `certnew.cer\?ReqID=(\d+)&amp;Enc=b64`},
		pending: []string{`Your certificate request has been received.`, `Your Request Id is (\d+).`},
		check: func(reqID string) string {
			return "Mode=chkpnd&ReqID=" + reqID + "&SaveCert=yes&TargetStoreFlags=0"
		},
		still: `still pending`, done: `The certificate you requested was issued to you`,
		fetch: "/certnew.cer?ReqID=%s&Enc=b64",
	},
	{
		name: "magnuswatn/certsrv (Python), acme2certifier's certsrv handler", basic: true,
		agent: "Mozilla/5.0 certsrv (https://github.com/magnuswatn/certsrv)", form: savedRequest,
		issued: []string{linkOfAny}, pending: []string{`Certificate Pending`, `Your Request Id is (\d+).`}, denied: []string{disposition},
		fetch: "/certnew.cer?ReqID=%s&Enc=b64", fileType: "application/pkix-cert", waiting: []string{twoTabs},
		chain: []string{renewals}, chainPage: "/certnew.p7b?ReqID=CACert&Renewal=%s&Enc=b64", chainType: "application/x-pkcs7-certificates",
	},
	{
		name: "djkormo/adcs-issuer, nokia/adcs-issuer (Go)", agent: "Mozilla",
		form: func(csr, template string) string {
			return formOf("Mode", "newreq", "CertRequest", csr, "CertAttrib", "CertificateTemplate:"+template, "FriendlyType", "Saved-Request Certificate",
				"TargetStoreFlags", "0", "SaveCert", "yes", "CertificateTemplate", template)
		},
		issued: []string{linkOfAny}, pending: []string{`Your Request Id is ([0-9]+).`}, denied: []string{disposition},
		fetch: "/certnew.cer?ReqID=%s&ENC=b64", fileType: "application/pkix-cert",
		waiting: []string{`.*Taken Under Submission*.`, `LastStatus:[^\t]+\t\t([^\r\n]+)`, twoTabs},
		chain:   []string{renewals}, chainPage: "/certnew.p7b?ReqID=CACert&ENC=b64&Renewal=%s", chainType: "application/x-pkcs7-certificates",
	},
}

// last holds a page against patterns and returns what the last one captured.
func last(t *testing.T, what string, page reply, patterns ...string) string {
	t.Helper()
	found := ""
	for _, p := range patterns {
		m := regexp.MustCompile(p).FindStringSubmatch(page.body)
		if page.status != http.StatusOK || m == nil {
			t.Fatalf("%s: %d, %s is not found:\n%s", what, page.status, p, page.body)
		}
		found = m[len(m)-1]
	}
	return found
}

func TestPublicClientsEnroll(t *testing.T) {
	for _, c := range publicClients {
		t.Run(c.name, func(t *testing.T) {
			srv := start(t, templates, func(o *certsrv.Options) { o.Basic, o.FirstReqID = true, 339 })
			b := newBrowser(t, srv)
			b.userAgent = c.agent
			var header []string
			if c.basic {
				header = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(srv.User+":"+srv.Password))}
			} else if got := b.logIn(srv.User, srv.Password, nil); got.status != http.StatusMovedPermanently {
				t.Fatalf("log-in: %d", got.status)
			}
			post := func(form string) reply { return b.do(http.MethodPost, "/certfnsh.asp", form, header...) }
			get := func(page, value string) reply {
				return b.do(http.MethodGet, fmt.Sprintf(page, value), "", header...)
			}

			issued := last(t, "issued", post(c.form(phoneCSR(t), "CiscoRA")), c.issued...)
			file := get(c.fetch, issued)
			if !strings.HasPrefix(file.body, "-----BEGIN CERTIFICATE-----\r\n") || c.fileType != "" && file.header.Get("Content-Type") != c.fileType {
				t.Errorf("certificate %s: %s\n%s", issued, file.header.Get("Content-Type"), file.body)
			}

			pending := last(t, "pending", post(c.form(phoneCSR(t), "Supervised")), c.pending...)
			if pending != "340" {
				t.Errorf("request %s is pending, want 340", pending)
			}
			if c.check != nil {
				last(t, "still pending", post(c.check(pending)), c.still)
			} else if got := last(t, "not to be fetched", get(c.fetch, pending), c.waiting...); got != "Taken Under Submission" {
				t.Errorf("fetched while pending: %q", got)
			}
			if err := srv.Server.Approve(340); err != nil {
				t.Fatal(err)
			}
			if c.check != nil {
				last(t, "no longer pending", post(c.check(pending)), c.done)
			}
			if file := get(c.fetch, pending); !strings.Contains(file.body, "BEGIN CERTIFICATE") {
				t.Errorf("approved, and not to be fetched:\n%s", file.body)
			}

			refused := post(c.form(phoneCSR(t), "typo"))
			if len(c.denied) > 0 {
				if got := last(t, "denied", refused, c.denied...); !strings.HasPrefix(got, "Denied by Policy Module") {
					t.Errorf("denied: %q", got)
				}
			}
			if c.chain != nil {
				chain := get(c.chainPage, last(t, "renewals", b.do(http.MethodGet, "/certcarc.asp", "", header...), c.chain...))
				if chain.header.Get("Content-Type") != c.chainType || !strings.Contains(chain.body, "BEGIN CERTIFICATE") {
					t.Errorf("chain: %s\n%s", chain.header.Get("Content-Type"), chain.body)
				}
			}
		})
	}
}

func TestBasicIsOfferedAndTakenWhereItIsOn(t *testing.T) {
	basic := func(name, password string) []string {
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))}
	}
	log := &accessLog{}
	srv := start(t, log.option, func(o *certsrv.Options) { o.Basic, o.Lockout.Threshold = true, 2 })
	b := newBrowser(t, srv)
	if got := b.get("/").header.Values("WWW-Authenticate"); len(got) != 3 || !strings.HasPrefix(got[2], `Basic realm="127.0.0.1`) {
		t.Errorf("offered: %q", got)
	}
	for _, name := range []string{srv.User, "ciscora", "ciscora@lab.test", `lab\CISCORA`, `lab.test\ciscora`} {
		if got := b.do(http.MethodGet, "/", "", basic(name, srv.Password)...); got.status != http.StatusOK || log.last(t).User != srv.User {
			t.Errorf("%s: %d as %q", name, got.status, log.last(t).User)
		}
		if got := b.get("/"); got.status != http.StatusUnauthorized {
			t.Errorf("a request without credentials after one with: %d", got.status)
		}
	}
	if got := b.do(http.MethodGet, "/", "", basic("nobody", srv.Password)...); got.status != http.StatusUnauthorized {
		t.Errorf("an account that is not there: %d", got.status)
	}
	for range 2 {
		if got := b.do(http.MethodGet, "/", "", basic(srv.User, "wrong")...); got.status != http.StatusUnauthorized || log.last(t).Win32 != 0x8009030c {
			t.Errorf("a wrong password: %d %x", got.status, log.last(t).Win32)
		}
	}
	if got := b.do(http.MethodGet, "/", "", basic(srv.User, srv.Password)...); got.status != http.StatusUnauthorized {
		t.Errorf("locked: %d", got.status)
	}
	if err := srv.Server.SetUsers([]certsrv.User{certsrv.NewUser(`LAB\new`, "new")}); err != nil {
		t.Fatal(err)
	}
	if got := b.do(http.MethodGet, "/", "", basic("new", "new")...); got.status != http.StatusOK {
		t.Errorf("an account that came later: %d", got.status)
	}
	off := newBrowser(t, start(t))
	if got := off.do(http.MethodGet, "/", "", basic(off.srv.User, off.srv.Password)...); got.status != http.StatusUnauthorized || len(got.header.Values("WWW-Authenticate")) != 2 {
		t.Errorf("where it is off: %d %q", got.status, got.header.Values("WWW-Authenticate"))
	}
}
