package config_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v4"

	"ciscora/config"
	"ciscora/internal/peertest"
)

// mountedConfig names the ra.yaml that the test binary, run again, is to check.
const mountedConfig = "RA_TEST_MOUNTED_CONFIG"

func checkMounted(path string) {
	c, err := config.LoadRA(path, nil)
	if err == nil {
		err = c.Check()
	}
	fmt.Print(err)
}

// deployment is what the manifest says of the process and of its files.
type deployment struct {
	Kind string `yaml:"kind"`
	Spec struct {
		Template struct {
			Spec struct {
				SecurityContext struct {
					RunAsUser  uint32 `yaml:"runAsUser"`
					RunAsGroup uint32 `yaml:"runAsGroup"`
					FSGroup    int    `yaml:"fsGroup"`
				} `yaml:"securityContext"`
				Volumes []struct {
					Secret struct {
						DefaultMode fs.FileMode `yaml:"defaultMode"`
					} `yaml:"secret"`
				} `yaml:"volumes"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

// The kubelet gives a secret's files to fsGroup, and lets it read them whatever
// defaultMode says (kubernetes.io, "Configure a Security Context for a Pod").
func TestTheKubernetesManifestMountsFilesThatTheRATakes(t *testing.T) {
	peertest.Root(t)
	f, err := os.Open("../deploy/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var manifest deployment
	if err := yaml.NewDecoder(f).Decode(&manifest); err != nil || manifest.Kind != "Deployment" || len(manifest.Spec.Template.Spec.Volumes) != 1 {
		t.Fatalf("the first document is no Deployment with a volume: %v", err)
	}
	pod := manifest.Spec.Template.Spec
	dir, err := os.MkdirTemp("", "mount") //nolint:usetesting // a test's own folder is for root alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files := folder(t)
	shipped, err := os.ReadFile("../deploy/ra/ra.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, files, "ra.yaml", string(shipped), 0o600)
	write(t, files, "admin.token", hex.EncodeToString(make([]byte, 32)), 0o600)
	for _, name := range []string{"ra.yaml", "est.pem", "est.key", "credentials.yaml", "root.pem", "admin.token"} {
		data, err := os.ReadFile(filepath.Join(files, name))
		if err != nil {
			t.Fatal(err)
		}
		path := write(t, dir, name, string(data), 0o600)
		if err := errors.Join(os.Chown(path, 0, pod.SecurityContext.FSGroup), os.Chmod(path, pod.Volumes[0].Secret.DefaultMode|0o440)); err != nil {
			t.Fatal(err)
		}
	}
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := write(t, dir, "test", string(binary), 0o700) // that user may not get to where go test has made it
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), mountedConfig+"="+filepath.Join(dir, "ra.yaml"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{
		Uid: pod.SecurityContext.RunAsUser, Gid: pod.SecurityContext.RunAsGroup, Groups: []uint32{uint32(pod.SecurityContext.FSGroup)},
	}}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "<nil>" {
		t.Errorf("%v: %s", err, out)
	}
}
