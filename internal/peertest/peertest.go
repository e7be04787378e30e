// Package peertest says whether a test runs that wants more than Go: an outside program,
// root, or a few minutes. Where all tests are asked for it does not, so that "go test ./..."
// is the same on every machine, whatever is installed there. With -run, or with
// RA_PEERS=installed, it runs where what it wants is there; with RA_PEERS=required, as CI has
// it, nothing is skipped.
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

// Wanted ends a test that wants more than Go, where all tests are asked for.
func Wanted(t testing.TB) {
	t.Helper()
	if os.Getenv("RA_PEERS") == "" && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.bench").Value.String() == "" {
		t.Skip("it wants more than Go: -run runs it, and RA_PEERS=installed or required")
	}
}

// Program returns the path of an outside program. Without it the test ends as by Missing,
// or by Wanted.
func Program(t testing.TB, name string) string {
	t.Helper()
	Wanted(t)
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
	Wanted(t)
	for _, name := range names {
		if _, err := os.Stat(name); err != nil {
			Missing(t, "%v", err)
		}
	}
}

// Root ends a test that wants to be root, as by Missing, or by Wanted.
func Root(t testing.TB) {
	t.Helper()
	Wanted(t)
	if os.Geteuid() != 0 {
		Missing(t, "this wants root")
	}
}

// Long skips a test that takes a minute or more where all tests are asked for: it runs
// with RA_PEERS=required, or where -run names a part of it.
func Long(t testing.TB, part string) {
	t.Helper()
	if !asked(part) {
		t.Skipf("it takes long: -run %s runs it, and RA_PEERS=required", part)
	}
}

// Many is how many of something a test makes: all where Long would run it, else few.
func Many(part string, few, all int) int {
	if asked(part) {
		return all
	}
	return few
}

// Unraced skips a test under the race detector: it computes much, and nothing in it runs
// beside anything that other tests do not run, too. CI runs it without.
func Unraced(t testing.TB) {
	t.Helper()
	if Raced {
		t.Skip("there is nothing for the race detector in it")
	}
}

func asked(part string) bool {
	return required() || strings.Contains(flag.Lookup("test.run").Value.String(), part)
}
