package certsrv_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"ciscora/msca/certsrv"
)

func FuzzCSR(f *testing.F) {
	f.Add("")
	f.Add("-----BEGIN CERTIFICATE REQUEST----- MAA= -----END CERTIFICATE REQUEST-----")
	f.Add("MIIBAA==")
	f.Add("MIT/////AA==")
	f.Fuzz(func(t *testing.T, text string) {
		hr := certsrv.ParseCSR(text)
		if hr == 0 && !strings.Contains(text, "M") {
			t.Errorf("taken for a CSR: %q", text) // a SEQUENCE is M in base64
		}
		if line := certsrv.ResultLine(hr); strings.Contains(line, "Unknown") {
			t.Errorf("no words for 0x%08x", hr)
		}
	})
}

func FuzzAttributes(f *testing.F) {
	f.Add("CertificateTemplate:CiscoRA\r\nSAN:upn=administrator@lab\r\n")
	f.Add("certificatetemplate : a\rCertificateTemplate:b")
	f.Add("::\n\x00:\xff")
	f.Fuzz(func(t *testing.T, text string) {
		got := certsrv.TemplateOf(text)
		if len(got) > 3*256 || strings.ContainsAny(got, "\r\n\t\x00") {
			t.Errorf("template %q of %q", got, text)
		}
	})
}

func FuzzForm(f *testing.F) {
	f.Add("Mode", "newreq")
	f.Add("CERTREQUEST", "a+b/c=\r\n")
	f.Add("", "%zz&=;")
	f.Fuzz(func(t *testing.T, name, value string) {
		if got := certsrv.ParamOf(url.Values{name: {value}}, strings.ToLower(name)); got != value {
			t.Errorf("%q, want %q", got, value)
		}
		if n := certsrv.RawParams(value); n > strings.Count(value, "&")+1 {
			t.Errorf("%d fields in %q", n, value)
		}
	})
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"id":1,"disposition":3}` + "\n" + `{"id":2,"dispo`))
	f.Add([]byte("\n\n"))
	f.Add([]byte(`{"id":-1}` + "\n" + `{"id":1}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, good, err := certsrv.ReadJournal(data)
		if err != nil {
			return
		}
		// What was kept must read the same again, with nothing left to cut off.
		again, size, err := certsrv.ReadJournal(data[:good])
		if err != nil || again != n || size != good || bytes.Count(data[:good], []byte("\n")) != n {
			t.Errorf("%d records in %d bytes, read again %d in %d: %v", n, good, again, size, err)
		}
	})
}
