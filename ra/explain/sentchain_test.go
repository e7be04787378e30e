package explain_test

import (
	"slices"
	"testing"

	"ciscora/ra/explain/explaintest"
)

// Who gives the output of openssl s_client is not asked to run it.
func TestWhatServersSendTellsWhatTheirClientsMiss(t *testing.T) {
	t.Parallel()
	const failed = "verify error:num=20:unable to get local issuer certificate\nverify return:1\nCONNECTED(00000003)\n---\n"
	alone := "Certificate chain\n 0 s:CN = ca.lab.test\n   i:DC = test, CN = LAB Issuing CA\n   a:PKEY: rsaEncryption, 2048 (bit)\n---\n"
	for _, test := range []struct {
		name, text string
		first      string
		others     []string
	}{
		{"its own certificate alone", failed + alone, "f1-missing-intermediate", []string{"f1-unknown-root"}},
		{"its own certificate and its issuer's", failed + alone[:len(alone)-4] + " 1 s:DC = test, CN = LAB Issuing CA\n   i:CN = LAB Root CA\n---\n", "f1-unknown-root", []string{"f1-missing-intermediate"}},
		{"as OpenSSL 1.0 writes it", failed + "Certificate chain\n 0 s:/CN=ca.lab.test\n   i:/DC=test/CN=LAB Issuing CA\n 1 s:/DC=test/CN=LAB Issuing CA\n   i:/CN=LAB Root CA\n---\n", "f1-unknown-root", []string{"f1-missing-intermediate"}},
		{"one that has issued itself", failed + "Certificate chain\n 0 s:CN = ca.lab.test\n   i:CN = ca.lab.test\n---\n", "f2-self-signed", nil},
		{"its root, too", "verify error:num=19:self signed certificate in certificate chain\n", "root-sent", nil},
		{"a self-signed CA's, by OpenSSL 1", "verify error:num=18:self signed certificate\n", "self-signed-ca", nil},
		{"a self-signed CA's, by OpenSSL 3", "verify error:num=18:self-signed certificate\n", "self-signed-ca", nil},
		{"two servers, which are not told apart", failed + alone + alone, "f1-missing-intermediate", []string{"f1-unknown-root", "f2-self-signed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			report := read(t, catalog(t), explaintest.Input("s_client.txt", []byte(test.text)))
			var others []string
			for _, o := range report.Findings[0].Others {
				others = append(others, o.Name)
			}
			slices.Sort(others)
			if report.Findings[0].Name != test.first || !slices.Equal(others, test.others) || len(report.NotUnderstood) != 0 {
				t.Errorf("%s, or %v: %s", report.Findings[0].Name, others, printed(t, report))
			}
		})
	}
}
