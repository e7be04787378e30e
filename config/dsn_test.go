package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/config"
)

func TestAnAddressThatTheDriverDoesNotTakeIsRefusedAtItsLine(t *testing.T) {
	for dsn, says := range map[string]string{
		"postgres://ra:gehe/im@db/ra":           "a port is no number",
		"postgres://ra:x@geheim@db/ra":          "%40",
		"postgres://ra:geheim@db/ra?sslmode=no": "sslmode is none of",
		"postgres://ra:geheim@db:x/ra":          "a port is no number",
	} {
		_, err := config.ParseRA("ra.yaml", fmt.Appendf(nil, "ca:\n  url: https://ca.example.com/certsrv\nledger:\n  dsn: %q\n", dsn), nil)
		if err == nil || !strings.Contains(err.Error(), "ra.yaml:4:3: ledger.dsn: the address of the PostgreSQL server: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", dsn, err)
		} else if strings.Contains(err.Error(), "gehe") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

// The files are those of another machine where only the keys are read.
func TestTheLedgersFilesAreLookedForWithTheOthers(t *testing.T) {
	for dsn, says := range map[string]string{
		"sqlite:none/ra.db":    "DIR/none: no such file or directory: make it, as the RA's user",
		"sqlite:ra.yaml/ra.db": "DIR/ra.yaml is a file: name another path",
		"postgres://ra:geheim@db/ra?sslmode=verify-full&sslrootcert=/none.pem": "sslrootcert: no such file or directory",
	} {
		dir := folder(t)
		path := filepath.Join(dir, "ra.yaml")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "ra.yaml", fmt.Sprintf("%s\nledger: {dsn: %q}\n", data, dsn), 0o600)
		c, err := config.LoadRA(path, nil)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		if err := c.Check(); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), says) || !strings.Contains(err.Error(), ": ledger.dsn: ") || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}
