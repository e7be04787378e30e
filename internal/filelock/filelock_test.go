package filelock_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ciscora/internal/filelock"
)

func TestALockIsHeldByOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := filelock.Take(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the lock file: %v %v", info.Mode(), err)
	}
	if _, err := filelock.Take(path); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("taken twice: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := filelock.Take(path)
	if err != nil {
		t.Fatalf("a lock that was given back: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestALockThatCannotBeMadeSaysWhy(t *testing.T) {
	if _, err := filelock.Take(filepath.Join(t.TempDir(), "none", "lock")); err == nil || errors.Is(err, filelock.ErrHeld) {
		t.Errorf("%v", err)
	}
}
