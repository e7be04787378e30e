package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/est/capf"
)

func TestReloadOpensLogsAnewAndTellsWhatIsWrong(t *testing.T) {
	s := newSite(t)
	cfg := s.load("admin: {listen: \"\"}\n")
	srv := s.run(cfg)
	settled(t, srv)
	log := cfg.Logs.Files.NGINX
	get := func() { s.get("https://" + srv.ESTAddr().String() + "/.well-known/est/cacerts") }
	size := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	get()
	await(t, func() bool { return size(log) > 0 })
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	srv.Reload()
	get()
	await(t, func() bool { return size(log) > 0 })
	before := size(log + ".1")
	get()
	if after := size(log + ".1"); after != before {
		t.Error("the log that was moved away is written on")
	}
	if s.logs.FilterMessageSnippet("reload: logs opened anew").Len() != 1 {
		t.Error("the log does not tell")
	}
	s.write("est.key", []byte("no key"))
	srv.Reload()
	get() // with the old one
	if told := s.logs.FilterMessageSnippet("reload: what is wrong").All(); len(told) != 1 || !strings.Contains(told[0].ContextMap()["error"].(string), "est.key: holds no PEM private key") {
		t.Errorf("told: %v", told)
	}
}

// The CA's server gets a certificate of another root: ca.trust counts without a restart.
func TestAChangedWebTrustStoreCounts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good, err := os.ReadFile(filepath.Join(s.dir, "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.load("admin: {listen: \"\"}\nprofile: modern\n")
	_, key := newCSR(t, "other")
	other, _ := selfSigned(t, "other root", key)
	s.write("root.pem", other)
	address := s.run(cfg).ESTAddr().String()
	enroll := func() capf.Result {
		csr, _ := newCSR(t, "phone")
		return s.phone(address).Enroll(t.Context(), "phone", csr)
	}
	if got := enroll(); got.RV == capf.StatusNone {
		t.Fatal("a CA that is not trusted is taken")
	}
	s.write("root.pem", good)
	if err := os.Chtimes(filepath.Join(s.dir, "root.pem"), time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return enroll().RV == capf.StatusNone })
	s.write("root.pem", []byte("none"))
	await(t, func() bool {
		enroll()
		return s.logs.FilterMessageSnippet("the changed web trust store is not taken").Len() == 1
	})
	if got := enroll(); got.RV != capf.StatusNone {
		t.Errorf("with a broken file: %v", got.Err)
	}
}
