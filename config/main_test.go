package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"ciscora/config"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(mountedConfig); path != "" {
		checkMounted(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// minimal is a ra.yaml in which only the required keys are set.
const minimal = `est: {certificate: est.pem, key: est.key}
ca:
  url: https://ca.example/certsrv
  template: CiscoRA
  credentials: credentials.yaml
  trust: [root.pem]
`

// apart compares configurations without where their keys were given.
var apart = cmp.Options{
	cmpopts.IgnoreUnexported(config.RA{}, config.Certsrv{}),
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b config.NTHash) bool { return a == b }),
}

func write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func loadRA(t *testing.T, text string) *config.RA {
	t.Helper()
	c, err := config.ParseRA("/etc/ra/ra.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func environment(variables map[string]string) config.Environment {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

func equal(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, apart); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}
