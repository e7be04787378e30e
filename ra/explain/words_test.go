package explain_test

import (
	"regexp"
	"strings"
	"testing"

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

// What would tell is looked for at the reader's site: neither the lab's names nor holes of
// cards are there, nor the log of a product that he has not got.
func TestWhatWouldTellCanBeLookedForAtTheReadersSite(t *testing.T) {
	c := catalog(t)
	hole := regexp.MustCompile(`\{[a-z]+\}`)
	for _, said := range []string{"13 (EST_ERR_HTTP_BAD_REQ)", "14 (EST_ERR_HTTP_NOT_FOUND)", "22 (EST_ERR_AUTH_FAIL)", "35 (EST_ERR_SSL_READ)", "38 (EST_ERR_SSL_CONNECT)"} {
		line := "10:36:40.831 | debug 1:SEPAABBCCDDEEFF:Enrollment rv = " + said + " with pkcs7 length = 0\n"
		report := read(t, c, explaintest.Input("capf.log", []byte(line)))
		if len(report.Findings) != 1 || len(report.Findings[0].Apart) == 0 {
			t.Fatalf("%s", printed(t, report))
		}
		for _, a := range report.Findings[0].Apart {
			if strings.Contains(a.What, "michamen") || hole.MatchString(a.What) || a.Where == explain.RA.Title() {
				t.Errorf("%s: %+v", said, a)
			}
		}
	}
	text := `{"level":"warn","ts":1.7e9,"msg":"ca leg","phase":"login","kind":"auth-rejected","error":"x"}` + "\n"
	if out := printed(t, read(t, c, explaintest.Input("ra.log", []byte(text)))); !strings.Contains(out, "ra check ca") {
		t.Errorf("no check is named: %s", out)
	}
}

// curl may have asked anything: that it was CES and IIS nobody has said.
func TestTheOutputOfAToolAloneNamesNoProduct(t *testing.T) {
	c := catalog(t)
	for _, said := range []string{
		"* SSL certificate problem: unable to get local issuer certificate\ncurl: (60) SSL certificate problem: unable to get local issuer certificate",
		"verify error:num=20:unable to get local issuer certificate", "curl: (60) SSL certificate problem: certificate has expired",
		"curl: (60) SSL certificate problem: certificate is not yet valid", "curl: (6) Could not resolve host: ca.example.con",
		"* SSL: certificate subject name 'a' does not match target host name 'b'", "* SSL: no alternative certificate subject name matches target host name 'b'",
	} {
		report := read(t, c, explaintest.Input("curl.txt", []byte(said+"\n")))
		if len(report.Findings) != 1 {
			t.Errorf("%s: %s", said, printed(t, report))
			continue
		}
		f := report.Findings[0]
		text := f.Headline + f.Cause + f.Fix
		for _, o := range f.Others {
			text += o.Title
		}
		if strings.Contains(text, "CES") || strings.Contains(text, "IIS") || strings.Contains(text, "CAPF") || f.Count != 1 {
			t.Errorf("%s, %d times: %s", said, f.Count, text)
		}
	}
}
