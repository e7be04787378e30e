// Package deploy_test checks the files of this folder: what stands in them, and that the
// RA runs under it. HAProxy's is played in ra/server.
package deploy_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// documents reads a file of YAML documents.
func documents(t *testing.T, name string) (all []map[string]any) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := yaml.NewDecoder(f); ; {
		var one map[string]any
		switch err := d.Decode(&one); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, one)
	}
}

// at returns what stands at a path such as spec.template.0.name; nil where nothing does.
func at(of any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		switch v := of.(type) {
		case map[string]any:
			of = v[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(v) {
				return nil
			}
			of = v[i]
		default:
			return nil
		}
	}
	return of
}

// kind returns the manifest's object of that kind.
func kind(t *testing.T, name string) map[string]any {
	t.Helper()
	for _, d := range documents(t, "kubernetes.yaml") {
		if d["kind"] == name {
			return d
		}
	}
	t.Fatalf("kubernetes.yaml has no %s", name)
	return nil
}

func TestTheKubernetesManifestHasWhatOperatorsAskFor(t *testing.T) {
	const pod, container = "spec.template.spec.", "spec.template.spec.containers.0."
	deployment := kind(t, "Deployment")
	for path, want := range map[string]any{
		"spec.replicas": 3,
		"spec.strategy.rollingUpdate.maxUnavailable": 0,
		pod + "securityContext.runAsNonRoot":         true,
		pod + "securityContext.runAsUser":            65532,
		pod + "securityContext.fsGroup":              65532,
		pod + "securityContext.seccompProfile.type":  "RuntimeDefault",
		pod + "automountServiceAccountToken":         false,
		pod + "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution.0.podAffinityTerm.topologyKey": "kubernetes.io/hostname",
		pod + "topologySpreadConstraints.0.topologyKey":                                                                "topology.kubernetes.io/zone",
		container + "securityContext.readOnlyRootFilesystem":                                                           true,
		container + "securityContext.allowPrivilegeEscalation":                                                         false,
		container + "securityContext.capabilities.drop.0":                                                              "ALL",
		container + "lifecycle.preStop.sleep.seconds":                                                                  3,
		container + "livenessProbe.httpGet.path":                                                                       "/healthz",
		container + "readinessProbe.httpGet.path":                                                                      "/servingz",
		container + "resources.requests.memory":                                                                        "128Mi",
		container + "resources.limits.memory":                                                                          "1Gi",
		container + "volumeMounts.0.readOnly":                                                                          true,
		pod + "volumes.0.secret.defaultMode":                                                                           0o440,
	} {
		if got := at(deployment, path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	// preStop, est.drain_delay (5 s) and est.drain (30 s) must fit.
	if grace, _ := at(deployment, pod+"terminationGracePeriodSeconds").(int); grace < 3+5+30 {
		t.Errorf("the pod is killed after %d s, before it is done", grace)
	}
	if got := at(kind(t, "PodDisruptionBudget"), "spec.minAvailable"); got != 2 {
		t.Errorf("minAvailable: %v", got)
	}
	policy := kind(t, "NetworkPolicy")
	if at(policy, "spec.ingress.0.ports.0.port") != "est" || at(policy, "spec.ingress.0.from") != nil {
		t.Error("EST is not open to everybody")
	}
	if at(policy, "spec.ingress.1.ports.0.port") != "admin" || at(policy, "spec.ingress.1.from.0.podSelector.matchLabels") == nil {
		t.Error("the admin port is open to everybody")
	}
	if got := at(kind(t, "Service"), "spec.externalTrafficPolicy"); got != "Local" {
		t.Errorf("externalTrafficPolicy %v: the RA would not see its clients' addresses", got)
	}
}

func TestComposeGivesEachServiceItsOwnSecrets(t *testing.T) {
	compose := documents(t, "compose.yaml")[0]
	services, _ := compose["services"].(map[string]any)
	for name, service := range services {
		secrets, _ := at(service, "secrets").([]any)
		if has := len(secrets) > 0; has != (name == "postgres") {
			t.Errorf("%s has the secrets %v", name, secrets)
		}
		volumes, _ := at(service, "volumes").([]any)
		for _, v := range volumes {
			volume, _ := v.(string)
			from, _, _ := strings.Cut(volume, ":")
			if from == "." || from == "./" {
				t.Errorf("%s mounts all that lies beside compose.yaml, PostgreSQL's password included", name)
			}
			if strings.HasPrefix(name, "ra-") && !strings.HasSuffix(volume, ":ro") {
				t.Errorf("%s may write to %s", name, volume)
			}
		}
		if !strings.HasPrefix(name, "ra-") {
			continue
		}
		if len(volumes) != 1 || volumes[0] != "./ra:/etc/ra:ro" {
			t.Errorf("%s mounts %v", name, volumes)
		}
		if at(service, "read_only") != true || at(service, "cap_drop.0") != "ALL" || at(service, "deploy.resources.limits.memory") == nil {
			t.Errorf("%s may do more than it needs", name)
		}
	}
	if file, _ := at(compose, "secrets.pg-password.file").(string); file == "" || strings.Contains(file, "ra/") {
		t.Errorf("pg-password is %q: that is in the replicas' folder", file)
	}
}

func TestTheBalancerLooksNamesUpAgain(t *testing.T) {
	text, err := os.ReadFile("haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"resolvers system\n", "parse-resolv-conf", "resolvers system init-addr last,libc,none", "uri /servingz", "hdr Host localhost"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("haproxy.cfg has no %q", want)
		}
	}
}

func TestTheReplicasConfigurationSaysWhatTLSPostgreSQLHas(t *testing.T) {
	dsn, _ := at(documents(t, "ra/ra.yaml")[0], "ledger.dsn").(string)
	if !strings.Contains(dsn, "sslmode=") || strings.Contains(dsn, "ra:") {
		t.Errorf("ledger.dsn: %s", dsn)
	}
}
