package fault_test

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"ciscora/ra/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestASpecIsReadAndWrittenTheSame(t *testing.T) {
	for _, spec := range []string{
		"resolve:not-found", "certsrv.tls:self-signed", "certsrv.tls:wrong-name-cn=lab-dc", "certsrv.login:delay=12s",
		"certsrv.submit:hang", "certsrv.fetch:reset,skip=1,count=2", "certsrv.any:403.4", "certsrv.submit:denied=0x80094800",
		"certsrv.ca:renewed=2", "certsrv.template:absent", "certsrv.template:absent=CiscoRA", "certsrv.chain:language=ja",
		"est.simpleenroll:status=503,retry-after=5", "est.any:content-type=text/html; charset=utf-8", "est.tls:tls1.3",
		"certsrv.submit:delay=3s,count=3,for=30s,probability=0.25,seed=7",
		"est.simpleenroll:status=202,retry-after=date+4s,count=1", "est.simpleenroll:status=202,retry-after=-1", "est.cacerts:status=201,body=good",
		"est.any:redirect=https://127.0.0.1:8443,code=307", "est.any:interim=102,times=3", "est.any:hang,after=half", "est.any:close,when=idle",
		"est.cacerts:p7=rollover", "est.tls:san=dns-ip", "est.any:length=+500", "est.any:base64=blanks",
	} {
		f, err := fault.Parse(spec)
		if err != nil {
			t.Error(err)
			continue
		}
		if f.String() != spec {
			t.Errorf("%s is written %s", spec, f)
		}
	}
}

func TestAWrongSpecSaysWhatAndWhatWasMeant(t *testing.T) {
	for _, test := range []struct{ spec, want string }{
		{"", "has no kind: write PLACE:KIND"},
		{"certsrv.login", "has no kind: write PLACE:KIND"},
		{"certsrv.logn:hang", `unknown place "certsrv.logn", did you mean certsrv.login?`},
		{"certsrv.login:hangs", `certsrv.login has no kind "hangs", did you mean hang?`},
		{"certsrv.login:delay", "delay needs a value: delay=DURATION"},
		{"certsrv.login:delay=soon", "delay=soon: want a time such as 12s"},
		{"certsrv.login:delay=-1s", "want a time"},
		{"certsrv.login:hang=1", "hang takes no value"},
		{"certsrv.login:hang,cuont=2", `unknown parameter "cuont", did you mean count?`},
		{"certsrv.login:hang,count=0", "count=0: want a whole number from 1"},
		{"certsrv.login:hang,count=1,count=2", "count is there twice"},
		{"certsrv.login:hang,probability=0.5", "probability needs a seed"},
		{"certsrv.login:hang,seed=5", "seed is for a probability"},
		{"certsrv.login:hang,retry-after=5", `unknown parameter "retry-after"`},
		{"est.simpleenroll:status=99", "status=99: want a whole number from 200 to 599"},
		{"certsrv.submit:denied=5", "want an HRESULT"},
		{"certsrv.submit:language=xx", "want one of fr, de, ja, ru"},
		{"est.any:base64=lf65", "base64=lf65: want one of lf64, crlf76"},
		{"est.any:redirect=same,code=200", "code=200: want 301 or 302"},
		{"est.any:status=202,retry-after=a b", "want seconds, date+SECONDS"},
		{"certsrv.submit:hang,after=half", `unknown parameter "after"`},
		{"certsrv.login:absent", `certsrv.login has no kind "absent"`},
		{"est.any:content-type=a\r\nb", "has a control character"},
		{strings.Repeat("x", 600), "is longer than 512 bytes"},
	} {
		_, err := fault.Parse(test.spec)
		var wrong *fault.SpecError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.40q: %v, want %s", test.spec, err, test.want)
		}
	}
}

func TestANameSelectsAFault(t *testing.T) {
	for name, want := range map[string]string{
		"certsrv.submit.hang.fault.invalid":                        "certsrv.submit:hang",
		"certsrv.login.delay-12s.fault.invalid":                    "certsrv.login:delay=12s",
		"certsrv.login.403.4.fault.invalid":                        "certsrv.login:403.4",
		"certsrv.fetch.wrong-key.count-1.fault.invalid":            "certsrv.fetch:wrong-key,count=1",
		"EST.simpleenroll.status-503.retry-after-5.fault.invalid.": "est.simpleenroll:status=503,retry-after=5",
		"certsrv.submit.denied-0x80094800.fault.invalid":           "certsrv.submit:denied=0x80094800",
		"certsrv.tls.self-signed-ca.fault.invalid":                 "certsrv.tls:self-signed-ca",
		"certsrv.submit.delay-15s.skip-1.count-2.fault.invalid":    "certsrv.submit:delay=15s,skip=1,count=2",
	} {
		f, ok, err := fault.ParseName(name)
		if err != nil || !ok || f.String() != want {
			t.Errorf("%s: %s, %v, %v; want %s", name, f, ok, err, want)
		}
	}
	for _, name := range []string{"SEP001122334455", "fault.invalid.example", "", "notfault.invalid"} {
		if _, ok, err := fault.ParseName(name); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	for _, name := range []string{"hang.fault.invalid", "certsrv.submit.hangs.fault.invalid", "certsrv.submit.fault.invalid"} {
		if _, ok, err := fault.ParseName(name); !ok || err == nil {
			t.Errorf("%s: %v, %v; want an error", name, ok, err)
		}
	}
}

// Every row of the catalog can be ordered.
func TestEveryFaultOfTheCatalogCanBeWritten(t *testing.T) {
	values := map[string]string{"DURATION": "=5s", "STATUS": "=503", "LANGUAGE": "=fr", "N": "=2", "VALUE": "=text/plain", "": "", "[CN]": "=lab-dc", "NAME": "=ra.example.com", "[TEMPLATE]": "=CiscoRA", "[HRESULT]": "=0x80094012"}
	for _, e := range fault.Catalog() {
		value, ok := values[e.Value]
		if word, _, several := strings.Cut(e.Value, "|"); several || word != "" && word == strings.ToLower(word) {
			value, ok = "="+strings.ReplaceAll(word, "N", "7"), true
		}
		if !ok || e.Help == "" || len(e.Places) == 0 {
			t.Errorf("%s: value %q, help %q", e.Kind, e.Value, e.Help)
		}
		for _, p := range e.Places {
			if _, err := fault.Parse(string(p) + ":" + e.Kind + value); err != nil {
				t.Error(err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("certsrv.submit:delay=3s,count=3,for=30s,probability=0.25,seed=7")
	f.Add("est.simpleenroll:status=503,retry-after=5")
	f.Fuzz(func(t *testing.T, spec string) {
		x, err := fault.Parse(spec)
		if err != nil {
			return
		}
		again, err := fault.Parse(x.String())
		if err != nil || again.String() != x.String() {
			t.Errorf("%q is written %q, which is read as %q, %v", spec, x, again, err)
		}
	})
}

func FuzzParseName(f *testing.F) {
	f.Add("certsrv.submit.delay-15s.skip-1.count-2.fault.invalid")
	f.Fuzz(func(t *testing.T, name string) {
		x, ok, err := fault.ParseName(name)
		if ok && err == nil {
			if _, err := fault.Parse(x.String()); err != nil {
				t.Error(err)
			}
		}
	})
}
