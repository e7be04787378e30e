package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheEmulatedLogsRotate(t *testing.T) {
	s := newSite(t)
	cfg := s.load("admin: {listen: \"\"}\nlogs: {rotate: {size: 1MiB, keep: 1}}\n")
	if err := os.MkdirAll(filepath.Dir(cfg.Logs.Files.NGINX), 0o700); err != nil {
		t.Fatal(err)
	}
	// Nearly full from an earlier run, so that a few lines go over the bound.
	if err := os.WriteFile(cfg.Logs.Files.NGINX, []byte(strings.Repeat("an old line of this log\n", 43_600)), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := s.run(cfg)
	settled(t, srv)
	for range 20 {
		s.get("https://" + srv.ESTAddr().String() + "/.well-known/est/cacerts")
	}
	await(t, func() bool {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(cfg.Logs.Files.NGINX), "nginx-error*"))
		return err == nil && len(files) == 2
	})
	info, err := os.Stat(cfg.Logs.Files.NGINX)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 100_000 {
		t.Errorf("the new file has %d bytes", info.Size())
	}
}
