package config_test

import (
	"os"
	"testing"

	"go.yaml.in/yaml/v4"

	"ciscora/config"
)

// What deploy/ ships is a configuration that this version takes, and YAML.
func TestTheDeploymentsConfigurationIsValid(t *testing.T) {
	cfg, err := config.LoadRA("../deploy/ra/ra.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Ledger.DSN != "postgres://ra@postgres:5432/ra?sslmode=disable" {
		t.Errorf("ledger %s", cfg.Ledger.DSN)
	}
	for _, name := range []string{"compose.yaml", "kubernetes.yaml"} {
		f, err := os.Open("../deploy/" + name)
		if err != nil {
			t.Fatal(err)
		}
		documents := 0
		for in := yaml.NewDecoder(f); ; documents++ {
			var v map[string]any
			if err := in.Decode(&v); err != nil {
				if documents == 0 || err.Error() != "EOF" {
					t.Errorf("%s: document %d: %v", name, documents, err)
				}
				break
			}
		}
		f.Close()
	}
}
