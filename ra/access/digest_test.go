package access_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/ra/access"
)

func digestOf(h func() hash.Hash, parts ...string) string {
	x := h()
	x.Write([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(x.Sum(nil))
}

func digestFile(t testing.TB, mode os.FileMode, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.digest")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// digestClient answers challenges as RFC 7616 §3.4 says.
type digestClient struct {
	user, password, uri string
	hash                func() hash.Hash
	algorithm           string
	change              func(parameters map[string]string)
}

func (c digestClient) header(nonce, realm string, count int) string {
	p := map[string]string{
		"username": c.user, "realm": realm, "nonce": nonce, "uri": c.uri, "algorithm": c.algorithm,
		"qop": "auth", "nc": fmt.Sprintf("%08x", count), "cnonce": "abc",
	}
	if c.change != nil {
		c.change(p)
	}
	ha1 := digestOf(c.hash, p["username"], p["realm"], c.password)
	p["response"] = digestOf(c.hash, ha1, p["nonce"], p["nc"], p["cnonce"], p["qop"], digestOf(c.hash, "POST", p["uri"]))
	return fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=%s, qop=%s, nc=%s, cnonce="%s", response="%s"`,
		p["username"], p["realm"], p["nonce"], p["uri"], p["algorithm"], p["qop"], p["nc"], p["cnonce"], p["response"])
}

// RFC 7616; RFC 7030 §3.2.3.
func TestDigestUsersEnroll(t *testing.T) {
	var moved atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
	const realm = "est"
	digest, err := access.OpenDigestUsers(digestFile(t, 0o600,
		"# users", "ann:"+realm+":"+digestOf(md5.New, "ann", realm, "geheim"), "bob:"+realm+":"+digestOf(sha256.New, "bob", realm, "secret")), nil, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(o *access.Options) {
		o.Methods, o.Digest, o.Lockout = []access.Method{access.MethodUsers}, digest, access.Lockout{}
	})
	const uri = "/.well-known/est/simpleenroll"
	ask := func(authorization string) *access.Error {
		req := httptest.NewRequest(http.MethodPost, uri, nil)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		_, err := f.Authenticate(t.Context(), req, label)
		var answer *access.Error
		if err != nil && !errors.As(err, &answer) {
			t.Fatal(err)
		}
		return answer
	}
	nonce := func(e *access.Error, algorithm string) string {
		t.Helper()
		for _, offer := range e.Challenges {
			if strings.HasPrefix(offer, "Digest ") && strings.Contains(offer, "algorithm="+algorithm) && strings.Contains(offer, `realm="est"`) && strings.Contains(offer, `qop="auth"`) {
				_, rest, _ := strings.Cut(offer, `nonce="`)
				n, _, _ := strings.Cut(rest, `"`)
				return n
			}
		}
		t.Fatalf("no %s in %q", algorithm, e.Challenges)
		return ""
	}
	ann := digestClient{user: "ann", password: "geheim", uri: uri, hash: md5.New, algorithm: "MD5"}
	bob := digestClient{user: "bob", password: "secret", uri: uri, hash: sha256.New, algorithm: "SHA-256"}

	first := ask("")
	if first == nil || first.Reason != access.ReasonNobody || !strings.Contains(first.Challenges[0], "SHA-256") {
		t.Fatalf("without credentials: %v %q", first, first.Challenges)
	}
	n := nonce(first, "MD5")
	if e := ask(ann.header(n, realm, 1)); e != nil {
		t.Errorf("MD5: %v", e)
	}
	if e := ask(bob.header(nonce(first, "SHA-256"), realm, 1)); e != nil {
		t.Errorf("SHA-256: %v", e)
	}
	if e := ask(ann.header(n, realm, 2)); e != nil {
		t.Errorf("the same nonce, counted on: %v", e)
	}
	if e := ask(ann.header(n, realm, 2)); e == nil || !strings.Contains(strings.Join(e.Challenges, " "), "stale=true") {
		t.Errorf("the same count once more is a replay: %v", e)
	}
	for name, change := range map[string]func(map[string]string){
		"another URI":          func(p map[string]string) { p["uri"] = "/.well-known/est/cacerts" },
		"no qop":               func(p map[string]string) { p["qop"] = "auth-int" },
		"no cnonce":            func(p map[string]string) { p["cnonce"] = "" },
		"another realm":        func(p map[string]string) { p["realm"] = "other" },
		"a user of the other":  func(p map[string]string) { p["username"] = "bob" },
		"nobody":               func(p map[string]string) { p["username"] = "eve" },
		"an unknown algorithm": func(p map[string]string) { p["algorithm"] = "SHA-1" },
		"a count too short":    func(p map[string]string) { p["nc"] = "1" },
	} {
		bad := ann
		bad.change = change
		if e := ask(bad.header(n, realm, 9)); e == nil || e.Reason != access.ReasonWrong {
			t.Errorf("%s: %v", name, e)
		}
	}
	wrong := ann
	wrong.password = "falsch"
	if e := ask(wrong.header(n, realm, 20)); e == nil || e.Reason != access.ReasonWrong {
		t.Errorf("a wrong password: %v", e)
	}
	moved.Store(int64(6 * time.Minute))
	if e := ask(ann.header(n, realm, 30)); e == nil || !strings.Contains(strings.Join(e.Challenges, " "), "stale=true") {
		t.Errorf("an old nonce: %v", e)
	}
	if e := ask("Basic YW5uOmdlaGVpbQ=="); e == nil || e.Reason != access.ReasonUnusable {
		t.Errorf("Basic, which is not offered: %v", e)
	}
}

func TestAChangedFileForDigestIsReadAnew(t *testing.T) {
	var moved atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
	line := func(user, password string) string {
		return user + ":est:" + digestOf(sha256.New, user, "est", password)
	}
	path := digestFile(t, 0o600, line("ann", "geheim"))
	digest, err := access.OpenDigestUsers(path, nil, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(o *access.Options) {
		o.Methods, o.Digest, o.Lockout = []access.Method{access.MethodUsers}, digest, access.Lockout{}
	})
	const uri = "/.well-known/est/simpleenroll"
	ask := func(authorization string) error {
		req := httptest.NewRequest(http.MethodPost, uri, nil)
		req.Header.Set("Authorization", authorization)
		_, err := f.Authenticate(t.Context(), req, label)
		return err
	}
	known := func(user, password string) bool {
		t.Helper()
		answer, ok := errors.AsType[*access.Error](ask(""))
		if !ok {
			t.Fatal("no challenge")
		}
		_, rest, _ := strings.Cut(answer.Challenges[0], `nonce="`)
		nonce, _, _ := strings.Cut(rest, `"`)
		client := digestClient{user: user, password: password, uri: uri, hash: sha256.New, algorithm: "SHA-256"}
		return ask(client.header(nonce, "est", 1)) == nil
	}
	write := func(mode os.FileMode, lines ...string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		moved.Add(int64(2 * time.Second))
	}
	if !known("ann", "geheim") || known("bob", "neu") {
		t.Fatal("the first file")
	}
	write(0o600, line("ann", "anders"), line("bob", "neu"))
	if known("ann", "geheim") || !known("ann", "anders") || !known("bob", "neu") {
		t.Error("the changed file does not count")
	}
	write(0o644, line("eve", "offen"))
	if known("eve", "offen") || !known("bob", "neu") {
		t.Error("a file that everybody may read is taken")
	}
	write(0o600, line("eve", "offen"))
	if !known("eve", "offen") {
		t.Error("after chmod 600 it is not")
	}
}

func TestADigestFileThatCannotBeTakenSaysWhere(t *testing.T) {
	ha1 := digestOf(md5.New, "a")
	for _, test := range []struct {
		mode  os.FileMode
		lines []string
		want  string
	}{
		{0o644, []string{"ann:est:" + ha1}, ": is mode 0644, and who reads it can log in: chmod 600 it"},
		{0o600, []string{"ann:est:1234"}, ":1: HA1 is not 32 (MD5) or 64 (SHA-256)"},
		{0o600, []string{"ann:est:" + ha1, "bob:other:" + ha1}, ":2: is of another realm"},
		{0o600, []string{"", "ann:" + ha1}, ":2: is no line of name:realm:HA1"},
		{0o600, []string{"ann:est:" + ha1, "ann:est:" + ha1}, ":2: the name is there already"},
		{0o600, []string{"# nobody"}, ": holds no user"},
	} {
		path := digestFile(t, test.mode, test.lines...)
		if _, err := access.OpenDigestUsers(path, nil, nil, nil); err == nil || !strings.HasPrefix(err.Error(), path+test.want) || strings.Contains(err.Error(), ha1) {
			t.Errorf("%q: %v, want %s", test.lines, err, test.want)
		}
	}
}

func FuzzDigestHeader(f *testing.F) {
	digest, err := access.OpenDigestUsers(digestFile(f, 0o600, "ann:est:"+digestOf(md5.New, "ann", "est", "geheim")), nil, nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	fix := newFixture(f, func(o *access.Options) {
		o.Methods, o.Digest, o.Lockout = []access.Method{access.MethodUsers}, digest, access.Lockout{}
	})
	f.Add(`Digest username="ann", realm="est", nonce="x", uri="/", qop=auth, nc=00000001, cnonce="a", response="b"`)
	f.Add(`Digest a="\"", b`)
	f.Fuzz(func(t *testing.T, header string) {
		req := httptest.NewRequest(http.MethodPost, "/", nil)
		req.Header["Authorization"] = []string{header}
		if _, err := fix.Authenticate(t.Context(), req, label); err == nil {
			t.Errorf("%q was let in", header)
		}
	})
}
