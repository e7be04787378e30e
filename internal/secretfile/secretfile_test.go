//go:build unix

package secretfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ciscora/internal/peertest"
	"ciscora/internal/secretfile"
)

const (
	askedFor = "RA_TEST_SECRETFILE" // the file of which the test binary, run again, is to say what it thinks
	user     = 65532                // of deploy/kubernetes.yaml
)

func TestMain(m *testing.M) {
	if path := os.Getenv(askedFor); path != "" {
		info, err := os.Stat(path)
		if err == nil {
			err = secretfile.Check(path, info)
		}
		fmt.Print(err)
		return
	}
	os.Exit(m.Run())
}

// asked returns what a process of that user and these groups thinks of the file.
func asked(t *testing.T, program, path string, groups ...uint32) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), askedFor+"="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: groups[0], Groups: groups[1:]}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestAFileOfOneReaderIsASecretAndSoIsRootsForAGroupOfOurs(t *testing.T) {
	peertest.Root(t)
	dir, err := os.MkdirTemp("", "secret") //nolint:usetesting // a test's own folder is for root alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "test") // that user may not get to where go test has made it
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, binary, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	const chmod, mount = ": chmod 600 ", ": have root give it mode 0440 and this process's group"
	for i, test := range []struct {
		name     string
		uid, gid int
		mode     fs.FileMode
		groups   []uint32 // the first is the process's own
		remedy   string   // "" = it is a secret
	}{
		{"its owner's alone", user, user, 0o600, []uint32{user}, ""},
		{"as Kubernetes mounts it under fsGroup", 0, user, 0o440, []uint32{user}, ""},
		{"root's for a supplementary group", 0, 2000, 0o640, []uint32{user, 2000}, ""},
		{"root's for a group that is not ours", 0, 2000, 0o440, []uint32{user}, mount},
		{"our own for our group", user, user, 0o640, []uint32{user}, chmod},
		{"everybody's", user, user, 0o644, []uint32{user}, chmod},
		{"root's for everybody", 0, user, 0o444, []uint32{user}, mount},
		{"root's that our group may write", 0, user, 0o660, []uint32{user}, mount},
		{"root's for root's group, of which we are", 0, 0, 0o440, []uint32{user, 0}, mount},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(dir, fmt.Sprint(i))
			if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, test.uid, test.gid), os.Chmod(path, test.mode)); err != nil {
				t.Fatal(err)
			}
			got := asked(t, program, path, test.groups...)
			want := "<nil>"
			if test.remedy != "" {
				want = fmt.Sprintf("%s is readable by others (mode %04o)%s", path, test.mode, test.remedy)
			}
			if !strings.HasPrefix(got, want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
