package lab_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"ciscora/ra/lab"
)

// What stands in one log and in another names the same things, in the document's form.
func TestTheLogsNameAddressesPortsAndProcessesAsTheDocumentDoes(t *testing.T) {
	l, err := lab.Start(t.Context(), lab.Options{
		NewKey: sharedKeys(t),
		Dir:    t.TempDir(), EST: "0.0.0.0:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0",
		Variant: lab.Variant{CAURL: "https://lab-dc.michamen.com:443/certsrv", CANames: []string{"lab-dc.michamen.com"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if phone, err := l.EnrollPhone(t.Context()); err != nil || phone.Result.Err != nil {
		t.Fatal(err, phone.Result.Err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := l.Issued(); n != 1 {
		t.Errorf("%d certificates in the end, want the phone's", n)
	}
	read := func(pattern string) string {
		paths, err := filepath.Glob(l.Path("logs", pattern))
		if err != nil || len(paths) != 1 {
			t.Fatal(paths, err)
		}
		text, err := os.ReadFile(paths[0])
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	nginx, ciscora, iis := read("nginx-error.log"), read("ciscora.log"), read("iis/*.log")
	if !regexp.MustCompile(`, server: 0\.0\.0\.0:\d+\n`).MatchString(nginx) {
		t.Errorf("a listener on all addresses is not 0.0.0.0:\n%s", nginx)
	}
	if !regexp.MustCompile(`GET /certsrv/certrqxt\.asp - 443 `).MatchString(iis) {
		t.Errorf("IIS's port is not that of the URL in NGINX's log:\n%s", iis)
	}
	worker := regexp.MustCompile(`\[info\] (\d+)#0: `).FindStringSubmatch(nginx)
	script := regexp.MustCompile(`PID value = (\d+)`).FindStringSubmatch(ciscora)
	if worker == nil || script == nil || worker[1] == script[1] {
		t.Errorf("the process that writes the lines and the one that the script names: %v, %v", worker, script)
	}
}
