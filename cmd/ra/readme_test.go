package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ciscora/internal/peertest"
)

// blocks are the README's of one language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("no %s in the README", language)
	}
	return found
}

// What the README shows of Go is a test that passes.
func TestTheREADMEsGoPasses(t *testing.T) {
	peertest.Long(t, "README")
	// Below the module, where its imports are found, and in no pattern such as ./... .
	dir, err := os.MkdirTemp("testdata", "readme-") //nolint:usetesting // a folder outside the module finds none of its packages
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	all := blocks(t, "go")
	for n, code := range all {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("block%d_test.go", n)), []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "./"+dir).CombinedOutput()
	for _, code := range all {
		for _, m := range regexp.MustCompile(`func (Test\w+)`).FindAllStringSubmatch(code, -1) {
			if !bytes.Contains(out, []byte("--- PASS: "+m[1]+" ")) {
				t.Errorf("%s does not pass: %v\n%s", m[1], err, out)
			}
		}
	}
}

// Commands and flags of the README are there.
func TestTheREADMEsCommandsAreThere(t *testing.T) {
	command := regexp.MustCompile(`^(?:go run \./cmd/ra|ra) ([^#|>]*)`)
	seen := 0
	for _, block := range blocks(t, "sh") {
		for line := range strings.Lines(block) {
			m := command.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			seen++
			var out bytes.Buffer
			args := append(strings.Fields(m[1]), "--help")
			status := Main(t.Context(), args, Environment{Stdout: &out, Stderr: &out, LookupEnv: func(string) (string, bool) { return "", false }})
			if status != exitDone {
				t.Errorf("%s%s", line, out.String())
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d commands were found", seen)
	}
}

// A block that is pasted as one does not stop at a command that stays.
func TestWhatStaysIsTheLastOfItsBlock(t *testing.T) {
	stays := regexp.MustCompile(`^(go run \./cmd/ra|ra) (lab|serve|certsrv)\b`)
	for _, block := range blocks(t, "sh") {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		for i, line := range lines[:len(lines)-1] {
			if stays.MatchString(line) && !strings.Contains(line, "--once") {
				t.Errorf("line %d stays, and others follow:\n%s", i+1, block)
			}
		}
	}
}

// The first command of the README has something to read, and says something of it.
func TestTheREADMEsSampleIsExplained(t *testing.T) {
	var out, complaints bytes.Buffer
	status := Main(t.Context(), []string{"explain", "../../docs/sample"}, Environment{Stdout: &out, Stderr: &complaints, LookupEnv: func(string) (string, bool) { return "", false }})
	// One thing has failed, and who reads the first page sees one.
	if want := "(timers-race)\n  seen:     once, 2026-11-27 23:28:37\n  who:      SEP201635C7A8AE\n  how sure: sure"; status != exitFailed || !strings.Contains(out.String(), want) || strings.Count(out.String(), "how sure:") != 1 {
		t.Errorf("status %d, %s; want %q in\n%s", status, complaints.String(), want, out.String())
	}
}
