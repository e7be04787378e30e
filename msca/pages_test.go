package msca

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func answerOf(body []byte) *answer {
	return &answer{status: http.StatusOK, header: http.Header{"Content-Type": {"text/html"}}, body: body}
}

func pageFile(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "pages", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestIssuedPagesGiveTheReqID(t *testing.T) {
	for file, want := range map[string]int{"issued.en.html": 61108, "issued.mozilla.html": 10, "issued.ja.html": 77} {
		t.Run(file, func(t *testing.T) {
			if p := readPage(answerOf(pageFile(t, file))); p.outcome != outcomeIssued || p.reqID != want {
				t.Errorf("outcome %d, ReqID %d, want %d", p.outcome, p.reqID, want)
			}
		})
	}
}

// The samples are this project's own, after the marks in docs/reference/certsrv.md 5.
func TestPagesInAnyLanguage(t *testing.T) {
	for _, c := range []struct {
		file string
		want Error
	}{
		{"pending.en.html", Error{Kind: KindPending, Disposition: 5, ReqID: 25}},
		{"pending.fr.html", Error{Kind: KindPending, Disposition: 5, ReqID: 4711}},
		{"pending.ja.html", Error{Kind: KindPending, Disposition: 5, ReqID: 31}},
		{"pending.again.html", Error{Kind: KindPending, Disposition: 5}},
		{"title-only.html", Error{Kind: KindPending, Disposition: 5}},
		{"denied.en.html", Error{
			Kind: KindDenied, Disposition: 2, ReqID: 26, HRESULT: 0x80094800, Symbol: "CERTSRV_E_UNSUPPORTED_CERT_TYPE",
			Message: "Denied by Policy Module 0x80094800, The request was for a certificate template that is not supported by the Active Directory Certificate Services policy: CiscoRa&1",
		}},
		{"denied.bare.html", Error{Kind: KindDenied, Disposition: 2, ReqID: 27, Message: "Denied by Policy Module"}},
		{"denied.csr.html", Error{Kind: KindBadCSR, Disposition: 2, ReqID: 28, Message: "Error Parsing Request The request is garbage"}},
		{"denied.de.html", Error{
			Kind: KindBadCSR, Disposition: 2, ReqID: 29, HRESULT: 0x80094811, Symbol: "CERTSRV_E_KEY_LENGTH",
			Message: "Vom Richtlinienmodul abgelehnt. Der öffentliche Schlüssel ist zu kurz. 0x80094811 (-2146875375 CERTSRV_E_KEY_LENGTH)",
		}},
		{"denied.fr.html", Error{Kind: KindDenied, Disposition: 2, ReqID: 30, Message: `Refusé par LAB\admin`}},
		{"denied.ja.html", Error{
			Kind: KindDenied, Disposition: 2, ReqID: 32, HRESULT: 0x80094012, Symbol: "CERTSRV_E_TEMPLATE_DENIED",
			Message: "ポリシー モジュールによって拒否されました 0x80094012",
		}},
		{"revoked.en.html", Error{Kind: KindRevoked, Disposition: 6, ReqID: 33, Message: `Revoked by LAB\admin`}},
		{"error.down.html", Error{Kind: KindServiceDown, HRESULT: 0x800706ba, Symbol: "RPC_S_SERVER_UNAVAILABLE", Message: "The RPC server is unavailable."}},
		{"error.com-only.html", Error{Kind: KindBadCSR, HRESULT: 0x8009310b, Symbol: "CRYPT_E_ASN1_BADTAG", Message: "ASN1 bad tag value met."}},
		{"fetch.pending.html", Error{Kind: KindPending, Disposition: 5, Message: "Taken Under Submission"}},
		{"fetch.denied.de.html", Error{
			Kind: KindDenied, Disposition: 2, HRESULT: 0x80094014, Symbol: "CERTSRV_E_ADMIN_DENIED_REQUEST",
			Message: `Abgelehnt von LAB\admin: Die Anforderung wurde abgelehnt.`,
		}},
		{"fetch.revoked.html", Error{
			Kind: KindRevoked, Disposition: 6, HRESULT: 0x80092010, Symbol: "CRYPT_E_REVOKED",
			Message: `Revoked by LAB\admin: The certificate is revoked.`,
		}},
		{"fetch.unknown.html", Error{Kind: KindUnknownRequest, HRESULT: 0x80094004, Symbol: "CERTSRV_E_PROPERTY_EMPTY", Message: "The requested property value is empty."}},
		{"fetch.new-code.html", Error{Kind: KindDenied, Disposition: 2, HRESULT: 0x80094fff, Message: "Denied by policy: Something newer."}},
		{"not-started.html", Error{Kind: KindServiceDown, Message: "The Certification Authority Service has not been started."}},
		{"foreign.html", Error{Kind: KindParse}},
	} {
		t.Run(c.file, func(t *testing.T) {
			got := readPage(answerOf(pageFile(t, c.file))).err()
			c.want.Status = http.StatusOK
			if diff := cmp.Diff(&c.want, got, cmpopts.IgnoreFields(Error{}, "Err")); diff != "" {
				t.Error(diff)
			}
			if (got.Err != nil) != (c.want.Kind == KindParse) {
				t.Errorf("Err = %v", got.Err)
			}
		})
	}
}

func TestEverySampleIsRead(t *testing.T) {
	files, err := filepath.Glob("testdata/pages/*.html")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	for _, f := range files {
		p := readPage(answerOf(pageFile(t, filepath.Base(f))))
		if p.outcome != outcomeIssued {
			if line := p.err().Error(); strings.ContainsAny(line, "\r\n\t<>") {
				t.Errorf("%s: the error is not one line of text: %q", f, line)
			}
		}
	}
}

func TestTemplatesOfAnyShape(t *testing.T) {
	list := parseTemplates(pageFile(t, "certrqxt.html"))
	type entry struct {
		Name, Friendly string
		FromRequest    bool
	}
	var got []entry
	for _, e := range list {
		if len(e.Fields) != templateFields {
			t.Errorf("%s has %d fields", e.Name, len(e.Fields))
		}
		got = append(got, entry{e.Name, e.FriendlyName, e.SubjectFromRequest})
	}
	want := []entry{
		{"User", "User", false},
		{"CiscoRA", "Cisco RA", true},
		{"WebServerv1.0Template", "Web Server v1.0 Template & more", true},
		{"Zürich", "Zürich", false},
		{"Elsewhere", "x", false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if e, ok := list.Find("ciscora"); !ok || e.Fields[9] != "1.3.6.1.4.1.311.21.8.1.2" {
		t.Errorf("Find: %v, %v", e, ok)
	}
	if _, ok := list.Find("Cisco RA"); ok {
		t.Error("found by its friendly name, which the CA refuses")
	}
}

func TestHRESULTSymbol(t *testing.T) {
	if got := HRESULTSymbol(0x80094012); got != "CERTSRV_E_TEMPLATE_DENIED" {
		t.Error(got)
	}
	if got := HRESULTSymbol(1); got != "" {
		t.Error(got)
	}
}

func FuzzPage(f *testing.F) {
	files, err := filepath.Glob("testdata/pages/*.html")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		f.Add(pageFile(f, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p := readPage(answerOf(body))
		if p.reqID < 0 {
			t.Errorf("ReqID %d", p.reqID)
		}
		if line := p.err().Error(); strings.ContainsAny(line, "\r\n") {
			t.Errorf("not one line: %q", line)
		}
		for _, e := range parseTemplates(body) {
			if e.Name == "" || len(e.Fields) != templateFields {
				t.Errorf("%+v", e)
			}
		}
	})
}

func BenchmarkParseIssuedPage(b *testing.B) {
	a := answerOf(pageFile(b, "issued.en.html"))
	b.ReportAllocs()
	for b.Loop() {
		if readPage(a).reqID == 0 {
			b.Fatal("not read")
		}
	}
}

func BenchmarkTemplates(b *testing.B) {
	page := pageFile(b, "certrqxt.html")
	page = append(page, []byte(strings.Repeat(`<Option Value="E;User;1;3;41;16;0;0;CSP;;3;1;0;User">User`, 200))...)
	b.ReportAllocs()
	for b.Loop() {
		if len(parseTemplates(page)) != 205 {
			b.Fatal("not read")
		}
	}
}
