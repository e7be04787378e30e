package config_test

import (
	"strings"
	"testing"

	"ciscora/config"
)

func TestAMisspeltVariableIsAnError(t *testing.T) {
	for entry, want := range map[string]string{
		"RA_CA_TEMPLAT=x":         "RA_CA_TEMPLAT: no key has this variable, did you mean RA_CA_TEMPLATE?",
		"RA_LOG_LEVEL=debug":      "did you mean RA_LOGS_LEVEL?",
		"RA_CERTSRV_LISTN=:1":     "did you mean RA_CERTSRV_LISTEN?",
		"RA_EST_TRUST=ca.pem":     "RA_EST_TRUST: est.trust has no variable",
		"RA_EST_NOTHING_LIKE_=ca": "RA_EST_NOTHING_LIKE_: no key has this variable: see ra config default",
	} {
		if err := config.CheckEnvironment([]string{"HOME=/", entry}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", entry, err, want)
		}
	}
	if err := config.CheckEnvironment([]string{"RA_CA_TEMPLAT=secret"}); strings.Contains(err.Error(), "secret") {
		t.Errorf("the value is told: %v", err)
	}
}

func TestOtherVariablesAreLeftAlone(t *testing.T) {
	err := config.CheckEnvironment([]string{
		"RA_CA_TEMPLATE=x", "RA_PROFILE=modern", "RA_CERTSRV_LISTEN=:1", "RADIUS=3", "RA=x", "RA_PEERS=required", "PATH=/bin",
		// Kubernetes, for Services called ra and ra-ca.
		"RA_SERVICE_HOST=10.0.0.1", "RA_SERVICE_PORT=8084", "RA_SERVICE_PORT_EST=8084", "RA_PORT=tcp://10.0.0.1:8084", "RA_PORT_8084_TCP=tcp://10.0.0.1:8084",
		"RA_PORT_8084_TCP_ADDR=10.0.0.1", "RA_CA_SERVICE_HOST=10.0.0.2", "RA_CA_PORT_443_TCP_PROTO=tcp",
	})
	if err != nil {
		t.Error(err)
	}
}
