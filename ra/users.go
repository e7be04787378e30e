package ra

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
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"
)

const (
	maxUsers       = 100_000
	maxUsersLine   = 1024 // bytes
	maxBcryptCost  = 16   // some seconds; more would stall everybody
	usersLookEvery = time.Second
	provenFor      = time.Minute // how long a good password is not hashed again
	maxProven      = 10_000
)

// Users is a file of EST users: lines of a name, a colon and a bcrypt hash, as
// `htpasswd -B` writes them; empty lines and those that begin with # do not count.
// It is read again when it has changed. It is safe for concurrent use.
type Users struct {
	path   string
	now    func() time.Time
	log    *zap.Logger
	secret []byte
	slots  chan struct{} // hashes at a time
	decoy  []byte        // for names that are not there: they take as long

	mu     sync.Mutex // guards all below
	hashes map[string][]byte
	stamp  fileStamp
	looked time.Time
	proven map[[sha256.Size]byte]time.Time
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// OpenUsers reads the file. Its errors name the file, the line, the reason and the
// remedy; no line is quoted.
func OpenUsers(path string, now func() time.Time, log *zap.Logger) (*Users, error) {
	u := &Users{path: path, now: now, log: log, secret: make([]byte, 32), slots: make(chan struct{}, runtime.GOMAXPROCS(0)), proven: map[[sha256.Size]byte]time.Time{}}
	if u.now == nil {
		u.now = time.Now
	}
	if u.log == nil {
		u.log = zap.NewNop()
	}
	if _, err := rand.Read(u.secret); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	hashes, stamp, err := readUsers(path)
	if err != nil {
		return nil, err
	}
	u.hashes, u.stamp, u.looked = hashes, stamp, u.now()
	cost := bcrypt.DefaultCost
	for _, hash := range hashes {
		if c, err := bcrypt.Cost(hash); err == nil {
			cost = c
			break
		}
	}
	u.decoy, err = bcrypt.GenerateFromPassword(u.secret[:16], cost)
	return u, err
}

func readUsers(path string) (map[string][]byte, fileStamp, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileStamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fileStamp{}, err
	}
	hashes, err := parseUsers(path, bufio.NewScanner(f))
	return hashes, fileStamp{info.ModTime(), info.Size()}, err
}

func parseUsers(path string, lines *bufio.Scanner) (map[string][]byte, error) {
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
	if known && u.isProven(key) {
		return true
	}
	u.slots <- struct{}{}
	defer func() { <-u.slots }()
	// bcrypt takes 72 bytes: a longer password is none.
	good := len(password) <= 72 && bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil
	if !known || !good {
		return false
	}
	u.prove(key)
	return true
}

// hash looks whether the file has changed, and returns the user's hash.
func (u *Users) hash(name string) ([]byte, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := u.now(); now.Sub(u.looked) >= usersLookEvery {
		u.looked = now
		info, err := os.Stat(u.path)
		if err != nil || (fileStamp{info.ModTime(), info.Size()}) != u.stamp {
			u.reload()
		}
	}
	hash, ok := u.hashes[name]
	return hash, ok
}

// reload keeps the old users where the file is no good; mu is held.
func (u *Users) reload() {
	hashes, stamp, err := readUsers(u.path)
	if err != nil {
		u.log.Error("the changed file of EST users is not taken, the old users stay", zap.Error(err))
		return
	}
	u.hashes, u.stamp = hashes, stamp
	clear(u.proven)
	u.log.Info("EST users read anew", zap.Int("users", len(hashes)))
}

func (u *Users) isProven(key [sha256.Size]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	at, ok := u.proven[key]
	return ok && u.now().Sub(at) < provenFor
}

func (u *Users) prove(key [sha256.Size]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.proven) >= maxProven {
		clear(u.proven)
	}
	u.proven[key] = u.now()
}
