package lab_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"ciscora/config"
	"ciscora/internal/peertest"
	"ciscora/ra/admin"
	"ciscora/ra/lab"
)

// fromTheDocs is the block of docs/testing.md that begins with a comment of a file's name.
func fromTheDocs(t *testing.T, language, comment, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if strings.HasPrefix(m[1], comment+" "+name+"\n") {
			return []byte(m[1])
		}
	}
	t.Fatalf("docs/testing.md has no %s", name)
	return nil
}

// What docs/testing.md shows, and nothing else, runs here: pytest and JUnit, two tests at
// a time each, all against one lab.
func TestThePagesTestsRunTogetherOnOneLab(t *testing.T) {
	peertest.Long(t, "PagesTests")
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		t.Run(string(profile), func(t *testing.T) {
			l := start(t, lab.Options{Profile: profile})
			write := func(t *testing.T, dir, language, comment, name string) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(dir, name), fromTheDocs(t, language, comment, name), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			run := func(t *testing.T, dir, program string, args ...string) {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), program, args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "RA_ADMIN="+l.AdminURL)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", program, err, out)
				}
			}
			t.Run("together", func(t *testing.T) {
				t.Run("pytest", func(t *testing.T) {
					t.Parallel()
					peertest.Files(t, "/usr/lib/python3/dist-packages/pytest", "/usr/lib/python3/dist-packages/xdist")
					peertest.Program(t, "curl")
					peertest.Program(t, "openssl")
					dir := t.TempDir()
					write(t, dir, "python", "#", "conftest.py")
					write(t, dir, "python", "#", "test_device.py")
					run(t, dir, "/usr/bin/python3", "-m", "pytest", "-n", "2", "-q")
				})
				t.Run("JUnit", func(t *testing.T) {
					t.Parallel()
					peertest.Files(t, "/usr/share/java/junit-jupiter-engine.jar", "/usr/share/java/junit-platform-console.jar")
					javac, java := peertest.Program(t, "javac"), peertest.Program(t, "java")
					peertest.Program(t, "openssl")
					dir := t.TempDir()
					write(t, dir, "java", "//", "DeviceTest.java")
					run(t, dir, javac, "-cp", "/usr/share/java/*", "DeviceTest.java")
					run(t, dir, java, "-cp", ".:/usr/share/java/*", "org.junit.platform.console.ConsoleLauncher",
						"--select-class", "DeviceTest", "--config", "junit.jupiter.execution.parallel.enabled=true", "--fail-if-no-tests", "--details", "tree")
				})
			})
			if left := l.Faults.List(); len(left) > 0 {
				t.Errorf("they have left %v", left)
			}
			if left := l.Enrollments().List(admin.Filter{Label: "test-*"}); len(left) > 0 {
				t.Errorf("they have left %d enrollments", len(left))
			}
		})
	}
}

// The pipelines that the page shows are YAML, and speak of the image's ports and account.
func TestThePagesPipelinesAreYAML(t *testing.T) {
	for _, name := range []string{".github/workflows/test.yaml", ".gitlab-ci.yml", "compose.yaml"} {
		text := fromTheDocs(t, "yaml", "#", name)
		var doc map[string]any
		if err := yaml.Unmarshal(text, &doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, word := range []string{"RA_LAB_USER", "RA_LAB_PASSWORD", "RA_ADMIN", ":8085"} {
			if !strings.Contains(string(text), word) {
				t.Errorf("%s: no %s", name, word)
			}
		}
	}
}

// GitHub refuses a workflow without on, jobs, runs-on or steps, and a step that neither
// uses an action nor runs a command (its documentation, "Workflow syntax"). Its image has
// no pytest.
func TestThePagesWorkflowIsOneThatGitHubTakes(t *testing.T) {
	var workflow struct {
		On   []string `yaml:"on"`
		Jobs map[string]struct {
			RunsOn   string                            `yaml:"runs-on"`
			Services map[string]struct{ Image string } `yaml:"services"`
			Steps    []struct{ Uses, Run string }      `yaml:"steps"`
		} `yaml:"jobs"`
	}
	if err := yaml.Unmarshal(fromTheDocs(t, "yaml", "#", ".github/workflows/test.yaml"), &workflow); err != nil {
		t.Fatal(err)
	}
	if len(workflow.On) == 0 || len(workflow.Jobs) == 0 {
		t.Fatalf("%+v", workflow)
	}
	for name, job := range workflow.Jobs {
		if job.RunsOn == "" || len(job.Steps) == 0 || job.Services["ra"].Image == "" {
			t.Errorf("%s: %+v", name, job)
		}
		installed := false
		for _, step := range job.Steps {
			if (step.Uses == "") == (step.Run == "") {
				t.Errorf("%s: %+v: want uses or run", name, step)
			}
			installed = installed || strings.Contains(step.Run, "pip install") && strings.Contains(step.Run, "pytest-xdist")
			if strings.HasPrefix(step.Run, "pytest") && !installed {
				t.Errorf("%s: %q, which nothing has installed", name, step.Run)
			}
		}
	}
}
