package server_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/config"
	"ciscora/internal/peertest"
)

// curl's Digest, with its challenge and its retry (RFC 7616).
func TestCurlEnrollsWithDigest(t *testing.T) {
	peertest.Program(t, "curl")
	s := newSite(t)
	sum := md5.Sum([]byte("ann:est:geheim"))
	s.write("users.digest", []byte("ann:est:"+hex.EncodeToString(sum[:])+"\n"))
	cfg := s.load("admin: {listen: \"\"}\n")
	cfg.EST.Authentication, cfg.EST.DigestUsers = []config.Authentication{config.AuthenticateUsers}, filepath.Join(s.dir, "users.digest")
	srv := s.run(cfg)
	csr, _ := newCSR(t, "phone")
	s.write("csr", []byte(base64.StdEncoding.EncodeToString(csr)))
	for password, want := range map[string]string{"geheim": "200", "falsch": "401"} {
		s.write("curl.conf", fmt.Appendf(nil, "user = \"ann:%s\"\n", password))
		out, err := exec.CommandContext(t.Context(), "curl", "--silent", "--digest", "-K", filepath.Join(s.dir, "curl.conf"), "--cacert", filepath.Join(s.dir, "root.pem"),
			"-H", "Content-Type: application/pkcs10", "--data-binary", "@"+filepath.Join(s.dir, "csr"), "-o", filepath.Join(s.dir, "answer"), "-w", "%{http_code}",
			"https://"+srv.ESTAddr().String()+"/.well-known/est/simpleenroll").Output()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("password %s: %s, %v; want %s", password, out, err, want)
		}
	}
}
