package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// made is the program as the Dockerfile makes it, and CI besides. It is linked once.
var made = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "ra-deploy") // not a test's: several tests share it
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "ra")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "ciscora/cmd/ra")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(path)
})

// putBinary writes the program to the root of a container.
func putBinary(t *testing.T, root string) {
	t.Helper()
	program, err := made()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "ra"), program, 0o755); err != nil {
		t.Fatal(err)
	}
}
