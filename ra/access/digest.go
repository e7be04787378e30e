package access

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/md5" // RFC 7616 still has it, and libest knows nothing else
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"ciscora/internal/bounded"
	"ciscora/internal/watched"
)

const (
	nonceLife  = 5 * time.Minute
	maxNonces  = 100_000 // that have been used and may come again
	maxDigests = 4096    // bytes of an Authorization header
)

// DigestUsers is a file for HTTP Digest (RFC 7616): lines of a name, the realm and
// HA1 in hexadecimal, by MD5 or SHA-256, as `htdigest` writes them. HA1 is as good
// as the password, so the file must be mode 0600. The file is read again when it has
// changed.
//
// Nonces hold their time, something random and a MAC, and live five minutes. Whoever
// has the MAC's key knows them: a replica those of another, and a process those that
// were given before it started. Each process takes each count of a nonce once; that
// another one took it, it does not know.
type DigestUsers struct {
	file *watched.Value[digestFile]
	now  func() time.Time
	used *bounded.Map[string, uint64] // the highest count of each nonce

	secret func(context.Context) ([]byte, error) // reads the MAC's key
	key    atomic.Pointer[[]byte]                // nil: not read so far
}

// digestFile is what such a file holds.
type digestFile struct {
	realm  string
	md5    map[string][]byte // HA1 by user
	sha256 map[string][]byte
}

// OpenDigestUsers reads the file, whose users are all of one realm. Its errors name
// the file, the line, the reason and the remedy; no line is quoted. secret returns the
// key of the nonces' MAC, and is called when the first one is needed; nil: this process
// has a random one.
func OpenDigestUsers(path string, secret func(context.Context) ([]byte, error), now func() time.Time, log *zap.Logger) (*DigestUsers, error) {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = zap.NewNop()
	}
	if secret == nil {
		secret = randomKey
	}
	d := &DigestUsers{now: now, secret: secret, used: bounded.New[string, uint64](maxNonces, 2*nonceLife, now)}
	var err error
	d.file, err = watchFile(path, parseDigestFile, now, log, nil)
	return d, err
}

func randomKey(context.Context) ([]byte, error) {
	key := make([]byte, sha256.Size)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	return key, nil
}

// ready reads the key of the nonces where that has not been done.
func (d *DigestUsers) ready(ctx context.Context) error {
	if d.key.Load() != nil {
		return nil
	}
	key, err := d.secret(ctx)
	if err != nil {
		return fmt.Errorf("read the key of the nonces for HTTP Digest: %w", err)
	}
	d.key.CompareAndSwap(nil, &key)
	return nil
}

func parseDigestFile(f *os.File) (d digestFile, err error) {
	path := f.Name()
	info, err := f.Stat()
	if err != nil {
		return d, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return d, fmt.Errorf("%s: is mode %04o, and who reads it can log in: chmod 600 it", path, mode)
	}
	d.md5, d.sha256 = map[string][]byte{}, map[string][]byte{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxUsersLine)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := d.add(line); err != nil {
			return d, fmt.Errorf("%s:%d: %w", path, number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return d, fmt.Errorf("%s: %w", path, err)
	}
	if d.realm == "" {
		return d, fmt.Errorf("%s: holds no user; htdigest makes lines of name:realm:HA1", path)
	}
	return d, nil
}

func (d *digestFile) add(line string) error {
	parts := strings.Split(line, ":")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || strings.ContainsAny(parts[1], "\"\\") {
		return errors.New("is no line of name:realm:HA1; htdigest makes them")
	}
	ha1, err := hex.DecodeString(parts[2])
	switch {
	case err != nil || len(ha1) != md5.Size && len(ha1) != sha256.Size:
		return errors.New("HA1 is not 32 (MD5) or 64 (SHA-256) hexadecimal digits")
	case d.realm != "" && d.realm != parts[1]:
		return errors.New("is of another realm than the lines before: one file has one realm")
	case len(d.md5)+len(d.sha256) >= maxUsers:
		return fmt.Errorf("there are more than %d users", maxUsers)
	}
	d.realm = parts[1]
	users := d.md5
	if len(ha1) == sha256.Size {
		users = d.sha256
	}
	if users[parts[0]] != nil {
		return errors.New("the name is there already, remove one")
	}
	users[parts[0]] = ha1
	return nil
}

// challenges are the values of WWW-Authenticate, the stronger one first
// (RFC 7616 §3.7).
func (d *DigestUsers) challenges(stale bool) []string {
	file := d.file.Get()
	var all []string
	offer := func(users map[string][]byte, algorithm string) {
		if len(users) == 0 {
			return
		}
		value := fmt.Sprintf(`Digest realm="%s", qop="auth", algorithm=%s, nonce="%s"`, file.realm, algorithm, d.nonce())
		if stale {
			value += ", stale=true"
		}
		all = append(all, value)
	}
	offer(file.sha256, "SHA-256")
	offer(file.md5, "MD5")
	return all
}

// nonce is the time and a MAC over it and something random.
func (d *DigestUsers) nonce() string {
	raw := make([]byte, 16, 32)
	binary.BigEndian.PutUint64(raw, uint64(d.now().UnixNano()))
	if _, err := rand.Read(raw[8:16]); err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(raw, d.mac(raw)...))
}

func (d *DigestUsers) mac(raw []byte) []byte {
	m := hmac.New(sha256.New, *d.key.Load())
	m.Write(raw)
	return m.Sum(nil)[:16]
}

// age tells how old a nonce is, by the clock of the replica that gave it; false for one
// that no holder of the key has given.
func (d *DigestUsers) age(nonce string) (time.Duration, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(raw) != 32 || !hmac.Equal(d.mac(raw[:16]), raw[16:]) {
		return 0, false
	}
	return d.now().Sub(time.Unix(0, int64(binary.BigEndian.Uint64(raw)))), true
}

var (
	errDigestWrong = errors.New("the user or the password is wrong")
	errDigestStale = errors.New("the nonce is too old")
)

var digestParameter = regexp.MustCompile(`^\s*([A-Za-z0-9*-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]+)\s*(?:,|$)`)

// parseDigest reads the parameters of a Digest Authorization header (RFC 7616 §3.4);
// nil for another one.
func parseDigest(header string) map[string]string {
	scheme, rest, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Digest") || len(header) > maxDigests {
		return nil
	}
	parameters := map[string]string{}
	for strings.TrimSpace(rest) != "" {
		m := digestParameter.FindStringSubmatch(rest)
		if m == nil {
			return nil
		}
		name, value := strings.ToLower(m[1]), m[2]
		if strings.HasPrefix(value, `"`) {
			value = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(value[1 : len(value)-1])
		}
		if _, twice := parameters[name]; twice {
			return nil
		}
		parameters[name] = value
		rest = rest[len(m[0]):]
	}
	return parameters
}

// check returns the user of a request, errDigestStale where it should ask again with
// another nonce, or errDigestWrong.
func (d *DigestUsers) check(r *http.Request) (user string, err error) {
	p := parseDigest(r.Header.Get("Authorization"))
	user = p["username"]
	file := d.file.Get()
	users, newHash := file.md5, md5.New
	switch {
	case strings.EqualFold(p["algorithm"], "SHA-256"):
		users, newHash = file.sha256, sha256.New
	case p["algorithm"] != "" && !strings.EqualFold(p["algorithm"], "MD5"):
		return user, errDigestWrong
	}
	count, countErr := strconv.ParseUint(p["nc"], 16, 32)
	age, ours := d.age(p["nonce"])
	if p["realm"] != file.realm || p["qop"] != "auth" || p["cnonce"] == "" || len(p["nc"]) != 8 || countErr != nil || p["uri"] != r.RequestURI {
		return user, errDigestWrong
	}
	ha1 := users[user] // of a user that is not there: none, and nothing fits
	sum := func(h func() hash.Hash, parts ...string) string {
		x := h()
		x.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(x.Sum(nil))
	}
	ha2 := sum(newHash, r.Method, p["uri"])
	want := sum(newHash, hex.EncodeToString(ha1), p["nonce"], p["nc"], p["cnonce"], p["qop"], ha2)
	if subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToLower(p["response"]))) != 1 || len(ha1) == 0 {
		return user, errDigestWrong
	}
	// The password is right. A nonce of another key is one from before the key was lost;
	// one of the future, up to a point, of a replica whose clock is ahead.
	if !ours || age <= -nonceLife || age >= nonceLife || !d.use(p["nonce"], count) {
		return user, errDigestStale
	}
	return user, nil
}

// use takes a count of a nonce once; they only go up (RFC 7616 §3.4, nc). Where too
// many nonces are in use the client gets another one.
func (d *DigestUsers) use(nonce string, count uint64) (fresh bool) {
	d.used.Update(nonce, func(last uint64) uint64 {
		fresh = count > last
		return max(count, last)
	})
	return fresh
}
