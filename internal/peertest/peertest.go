// Package peertest says whether a test can run that wants more than Go: an outside
// program, root, or a few minutes. CI sets RA_PEERS=required, and there nothing is skipped.
package peertest

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func required() bool { return os.Getenv("RA_PEERS") == "required" }

// Missing ends a test that wants what is not here: it is skipped, or fails with
// RA_PEERS=required.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if required() {
		t.Fatalf(format+", and RA_PEERS=required", args...)
	}
	t.Skipf(format, args...)
}

// Program returns the path of an outside program. Without it the test ends as by Missing.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name) // where Debian has daemons, and not every PATH
	}
	if err != nil {
		Missing(t, "%s is not installed", name)
	}
	return path
}

// Files is what Program is for programs.
func Files(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := os.Stat(name); err != nil {
			Missing(t, "%v", err)
		}
	}
}

// Root ends a test that wants to be root, as by Missing.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "this wants root")
	}
}

// Long skips a test that takes a minute or more where all tests are asked for: it runs
// with RA_PEERS=required, or where -run names a part of it.
func Long(t testing.TB, part string) {
	t.Helper()
	if required() || strings.Contains(flag.Lookup("test.run").Value.String(), part) {
		return
	}
	t.Skipf("it takes long: -run %s runs it, and RA_PEERS=required", part)
}
