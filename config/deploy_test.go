package config_test

import (
	"net/netip"
	"os"
	"strings"
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
	if p := cfg.EST.ProxyProtocol; len(p) != 1 || p[0] != balancersAddress(t)+"/32" {
		t.Errorf("believed are %v, want compose.yaml's balancer %s alone", p, balancersAddress(t))
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

// balancersAddress is the one that compose.yaml gives to its balancer, and to nobody else.
func balancersAddress(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../deploy/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services struct {
			Balancer struct {
				Networks struct {
					Default struct {
						Address string `yaml:"ipv4_address"`
					} `yaml:"default"`
				} `yaml:"networks"`
			} `yaml:"balancer"`
		} `yaml:"services"`
		Networks struct {
			Default struct {
				IPAM struct {
					Config []struct {
						Subnet netip.Prefix `yaml:"subnet"`
						Range  netip.Prefix `yaml:"ip_range"`
					} `yaml:"config"`
				} `yaml:"ipam"`
			} `yaml:"default"`
		} `yaml:"networks"`
	}
	if err := yaml.Load(text, &compose); err != nil {
		t.Fatal(err)
	}
	address, err := netip.ParseAddr(compose.Services.Balancer.Networks.Default.Address)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range compose.Networks.Default.IPAM.Config {
		if !c.Subnet.Contains(address) || !c.Range.IsValid() || c.Range.Contains(address) {
			t.Errorf("%s is not in %s, or may be given to others of %s", address, c.Subnet, c.Range)
		}
	}
	return address.String()
}

// What Kubernetes gets is ra.yaml without the line of compose.yaml's balancer: pods may
// well have its address.
func TestKubernetesBelievesNoAddressOfComposes(t *testing.T) {
	manifest, err := os.ReadFile("../deploy/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(manifest), "sed '/proxy_protocol/d' ra.yaml >ra-kubernetes.yaml\n") || !strings.Contains(string(manifest), "--from-file=ra.yaml=ra-kubernetes.yaml ") {
		t.Error("kubernetes.yaml does not say how to leave proxy_protocol out")
	}
}

func TestOneClientMayHaveAFewOfAllConnections(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileModern, config.ProfileCUCM} {
		if l := config.Default(profile).EST.Limits; l.PerClient*10 > l.InFlight {
			t.Errorf("%s: %d connections of one client, %d requests of all", profile, l.PerClient, l.InFlight)
		}
	}
}
