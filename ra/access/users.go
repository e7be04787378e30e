package access

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"ciscora/internal/bounded"
	"ciscora/internal/watched"
)

const (
	maxUsers      = 100_000
	maxUsersLine  = 1024        // bytes
	maxBcryptCost = 16          // some seconds; more would stall everybody
	provenFor     = time.Minute // how long a good password is not hashed again
	maxProven     = 10_000
)

// Users is a file of EST users: lines of a name, a colon and a bcrypt hash, as
// `htpasswd -B` writes them; empty lines and those that begin with # do not count.
// It is read again when it has changed. It is safe for concurrent use.
type Users struct {
	file   *watched.Value[map[string][]byte]
	secret []byte
	slots  chan struct{} // hashes at a time
	decoy  []byte        // for names that are not there: they take as long
	// proven are HMACs of names with passwords that were right.
	proven *bounded.Map[[sha256.Size]byte, struct{}]
}

// OpenUsers reads the file. Its errors name the file, the line, the reason and the
// remedy; no line is quoted.
func OpenUsers(path string, now func() time.Time, log *zap.Logger) (*Users, error) {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = zap.NewNop()
	}
	u := &Users{
		secret: make([]byte, 32), slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		proven: bounded.New[[sha256.Size]byte, struct{}](maxProven, provenFor, now),
	}
	if _, err := rand.Read(u.secret); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	var err error
	u.file, err = watchFile(path, parseUsers, now, log, u.proven.Clear)
	if err != nil {
		return nil, err
	}
	cost := bcrypt.DefaultCost
	for _, hash := range u.file.Get() {
		if c, err := bcrypt.Cost(hash); err == nil {
			cost = c
			break
		}
	}
	u.decoy, err = bcrypt.GenerateFromPassword(u.secret[:16], cost)
	return u, err
}

func parseUsers(f *os.File) (map[string][]byte, error) {
	path, lines := f.Name(), bufio.NewScanner(f)
	lines.Buffer(nil, maxUsersLine)
	hashes := map[string][]byte{}
	number := 0
	for lines.Scan() {
		number++
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		wrong := func(what string) error { return fmt.Errorf("%s:%d: %s", path, number, what) }
		name, hash, ok := strings.Cut(line, ":")
		cost, err := bcrypt.Cost([]byte(hash))
		switch {
		case !ok || name == "":
			return nil, wrong("is no line of name:hash; htpasswd -B makes them")
		case err != nil:
			return nil, wrong("the hash is not bcrypt's, and no other is taken; htpasswd -B makes one")
		case cost > maxBcryptCost:
			return nil, wrong(fmt.Sprintf("the hash costs %d, and at most %d is taken; htpasswd -B -C 12 makes one", cost, maxBcryptCost))
		case hashes[name] != nil:
			return nil, wrong("the name is there already, remove one")
		case len(hashes) >= maxUsers:
			return nil, wrong(fmt.Sprintf("there are more than %d users", maxUsers))
		}
		hashes[name] = []byte(hash)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: is longer than %d bytes", path, number+1, maxUsersLine)
	}
	return hashes, lines.Err()
}

// Known tells whether there is such a user.
func (u *Users) Known(name string) bool {
	_, known := u.hash(name)
	return known
}

// Check tells whether the user is there and the password is the right one. It takes
// as long for a user that is not there.
func (u *Users) Check(name, password string) bool {
	hash, known := u.hash(name)
	if !known {
		hash = u.decoy
	}
	mac := hmac.New(sha256.New, u.secret)
	fmt.Fprintf(mac, "%d:%s%d:%s", len(name), name, len(hash), hash)
	mac.Write([]byte(password))
	key := [sha256.Size]byte(mac.Sum(nil))
	if _, proven := u.proven.Get(key); proven && known {
		return true
	}
	u.slots <- struct{}{}
	defer func() { <-u.slots }()
	// bcrypt takes 72 bytes: a longer password is none.
	good := len(password) <= 72 && bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil
	if !known || !good {
		return false
	}
	u.proven.Put(key, struct{}{})
	return true
}

func (u *Users) hash(name string) ([]byte, bool) {
	hash, ok := u.file.Get()[name]
	return hash, ok
}

// watchFile watches a file of users; changed, where set, is called when another one
// counts.
func watchFile[T any](path string, parse func(*os.File) (T, error), now func() time.Time, log *zap.Logger, changed func()) (*watched.Value[T], error) {
	return watched.Open(watched.Source[T]{
		Files: func() []string { return []string{path} },
		Read: func() (value T, err error) {
			f, err := os.Open(path)
			if err != nil {
				return value, err
			}
			defer f.Close()
			return parse(f)
		},
		Now: now,
		Changed: func(T) {
			if changed != nil {
				changed()
			}
			log.Info("file read anew", zap.String("file", path))
		},
		Failed: func(err error) {
			log.Error("the changed file is not taken, what it held before stays", zap.String("file", path), zap.Error(err))
		},
	})
}
