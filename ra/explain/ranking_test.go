package explain_test

import (
	"strings"
	"testing"

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

// Of what the logs cannot tell apart the alphabet says nothing: what is met often stands
// first, and the headline asks.
func TestOfCausesThatCannotBeToldApartTheCommonOneStandsFirst(t *testing.T) {
	c := catalog(t)
	const refused = "2026-11-27 00:25:29 192.0.2.1 GET /certsrv - 443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074252 0\n"
	for name, test := range map[string]struct {
		input explain.Input
		want  string
		last  string
	}{
		"CAPF's 13":     {explaintest.Input("capf.log", []byte("10:36:40.831 | debug 1:SEPAABBCCDDEEFF:Enrollment rv = 13 (EST_ERR_HTTP_BAD_REQ) with pkcs7 length = 0\n")), "denied-by-policy", "est-400"},
		"CAPF's 22":     {explaintest.Input("capf.log", []byte("10:36:40.831 | debug 1:SEPAABBCCDDEEFF:Enrollment rv = 22 (EST_ERR_AUTH_FAIL) with pkcs7 length = 0\n")), "wrong-password", "est-no-challenge"},
		"NGINX's rc 25": {explaintest.Input("nginx.log", []byte("***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=25 (EST_ERR_CA_ENROLL_FAIL)\n")), "denied-by-policy", ""},
		"IIS's refusal": {explaintest.Input("iis.log", []byte(iisFields+refused)), "wrong-password", ""},
		"the RA's own":  {explaintest.Input("ra.log", []byte(`{"level":"warn","ts":1.7e9,"msg":"ca leg","phase":"login","kind":"auth-rejected","error":"x"}`+"\n")), "wrong-password", ""},
	} {
		t.Run(name, func(t *testing.T) {
			report := read(t, c, test.input)
			if len(report.Findings) != 1 {
				t.Fatalf("%s", printed(t, report))
			}
			f := report.Findings[0]
			if f.Name != test.want || f.Sure != explain.Possible || !strings.HasPrefix(f.Headline, "One of ") || !strings.HasSuffix(f.Headline, "?") {
				t.Errorf("%s, %s: %s", f.Name, f.Sure, f.Headline)
			}
			if last := f.Others[len(f.Others)-1].Name; test.last != "" && last != test.last {
				t.Errorf("%s stands last, not %s", last, test.last)
			}
			if out := printed(t, report); !strings.Contains(out, "why:      if it is "+test.want+": ") {
				t.Errorf("%s", out)
			}
		})
	}
}
