package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What comes into the go.mod of whoever imports the lab is counted, and said.
func TestTheREADMESaysHowManyModulesALabBrings(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "ciscora/ra/lab").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]bool{}
	for _, path := range strings.Fields(string(out)) {
		modules[path] = true
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("`ciscora/ra/lab` brings %d modules ", len(modules)); !strings.Contains(string(text), want) {
		t.Errorf("the README does not say %q", want)
	}
}
