package explain_test

import (
	"bytes"
	"testing"

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

// A server has as many labels as its operator likes: every card that names a path of EST
// is found with one in it, as without.
func TestALabelInThePathChangesNothing(t *testing.T) {
	logs := recorded(t)
	c := catalog(t)
	plain := []byte("/.well-known/est/simpleenroll ")
	looked := 0
	for _, card := range cards(t) {
		if !bytes.Contains(logs[card.Name]["nginx"], plain) {
			continue
		}
		looked++
		outcomes := func(path string) (all []explaintest.Outcome) {
			as := func(log string, data []byte) []explain.Input {
				return []explain.Input{explaintest.Input(log, bytes.ReplaceAll(data, plain, []byte(path)))}
			}
			all, err := explaintest.Outcomes(t.Context(), c, card, logs[card.Name], as)
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		want := outcomes(string(plain))
		for _, path := range []string{"/.well-known/est/test-7/simpleenroll ", "/.well-known/est/simplereenroll "} {
			for i, o := range outcomes(path) {
				if o.How != want[i].How {
					t.Errorf("%s, %s, %s: %s, without the label %s", card.Name, o.Log, path, o.How, want[i].How)
				}
			}
		}
	}
	if looked < 20 {
		t.Errorf("%d cards have a path of EST", looked)
	}
}

func TestALabelThatNobodyKnowsIsTold(t *testing.T) {
	c := catalog(t)
	const posted = `***EST [INFO][est_enroll_auth:356]--> TLS: no peer certificate
***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=9 (EST_ERR_BAD_PKCS10)
***EST [INFO][mg_send_http_error:389]--> [Error 404: Not Found The path specified is not recognized. ]
***EST [ERROR][est_mg_handler:1234]--> EST error response code: 9 (EST_ERR_BAD_PKCS10)
***EST [WARNING][handle_request:1267]--> Incoming request failed rv=9 (EST_ERR_BAD_PKCS10)
***EST [INFO][log_access:1298]--> 127.0.0.1 [27/Nov/2026:10:28:25 +0000] "POST /.well-known/est/nolabel/simpleenroll HTTP/1.1" 404 0
***EST [INFO][log_header:1276]--> -
***EST [INFO][log_header:1278]--> "curl/7.88.1"
`
	const got = `***EST [INFO][log_access:1298]--> 127.0.0.1 [27/Nov/2026:10:28:48 +0000] "GET /.well-known/est/nix/cacerts HTTP/1.1" 404 0
***EST [INFO][log_header:1276]--> -
***EST [INFO][log_header:1278]--> "Cisco EST client 1.0"
`
	for name, lines := range map[string]string{"est-unknown-path": posted, "cacerts-unknown-path": got} {
		report := read(t, c, explaintest.Input("nginx-error.log", []byte(lines)))
		if len(report.Findings) != 1 || report.Findings[0].Name != name || report.Findings[0].Sure != explain.Certain || len(report.NotUnderstood) != 0 {
			t.Errorf("%s: %s", name, printed(t, report))
		}
	}
}
