package access

import (
	"bufio"
	"context"
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
	"ciscora/ra/queue"
)

const (
	maxUsers      = 100_000
	maxUsersLine  = 1024        // bytes
	maxBcryptCost = 16          // some seconds; more would stall everybody
	provenFor     = time.Minute // how long a good password is not hashed again
	maxProven     = 10_000

	hashPatience = 30 * time.Second // how long a client waits for its turn to be hashed
	maxHashes    = 1000             // that wait at a time

	// No is said after a pause, which is longer than any hash takes.
	minPause    = 250 * time.Millisecond
	maxPause    = 10 * time.Second
	measureCost = 8 // of the hash that is measured
)

// Users is a file of EST users: lines of a name, a colon and a bcrypt hash, as
// `htpasswd -B` writes them; empty lines and those that begin with # do not count.
// It is read again when it has changed. It is safe for concurrent use.
//
// Only the passwords of names that are there are hashed, for clients in turn. To tell
// nobody which names these are, no is always said at the same time after the question:
// a pause costs no work, so that made-up names, however many, hold up nobody.
type Users struct {
	file   *watched.Value[usersFile]
	secret []byte
	turns  *queue.Queue  // to hash, by client
	unit   time.Duration // that a hash of cost 0 would take
	// proven are HMACs of names with passwords that were right.
	proven *bounded.Map[[sha256.Size]byte, struct{}]
}

// usersFile is what such a file holds.
type usersFile struct {
	hashes map[string][]byte
	cost   int // of the costliest
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
		secret: make([]byte, 32),
		proven: bounded.New[[sha256.Size]byte, struct{}](maxProven, provenFor, now),
	}
	if _, err := rand.Read(u.secret); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	var err error
	if u.turns, err = queue.New(queue.Options{InFlight: runtime.GOMAXPROCS(0), Length: maxHashes, Patience: hashPatience}); err != nil {
		return nil, err
	}
	began := time.Now()
	if _, err := bcrypt.GenerateFromPassword(u.secret[:16], measureCost); err != nil {
		return nil, fmt.Errorf("measure a hash: %w", err)
	}
	u.unit = time.Since(began) >> measureCost
	u.file, err = watchFile(path, parseUsers, now, log, u.proven.Clear)
	return u, err
}

func parseUsers(f *os.File) (u usersFile, err error) {
	path, lines := f.Name(), bufio.NewScanner(f)
	lines.Buffer(nil, maxUsersLine)
	hashes := map[string][]byte{}
	u.hashes = hashes
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
			return u, wrong("is no line of name:hash; htpasswd -B makes them")
		case err != nil:
			return u, wrong("the hash is not bcrypt's, and no other is taken; htpasswd -B makes one")
		case cost > maxBcryptCost:
			return u, wrong(fmt.Sprintf("the hash costs %d, and at most %d is taken; htpasswd -B -C 12 makes one", cost, maxBcryptCost))
		case hashes[name] != nil:
			return u, wrong("the name is there already, remove one")
		case len(hashes) >= maxUsers:
			return u, wrong(fmt.Sprintf("there are more than %d users", maxUsers))
		}
		hashes[name] = []byte(hash)
		u.cost = max(u.cost, cost)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return u, fmt.Errorf("%s:%d: is longer than %d bytes", path, number+1, maxUsersLine)
	}
	return u, lines.Err()
}

// Known tells whether there is such a user.
func (u *Users) Known(name string) bool {
	_, known := u.hash(name)
	return known
}

// Check tells whether the user is there and the password is the right one; client is
// whose turn it takes. An error says that ctx ended first, or that too many are before
// it: a [*TurnedAway].
func (u *Users) Check(ctx context.Context, client, name, password string) (right bool, err error) {
	began := time.Now()
	if hash, known := u.hash(name); known {
		if right, err = u.compare(ctx, client, name, password, hash); right || err != nil {
			return right, err
		}
	}
	return false, u.pause(ctx, began)
}

// compare hashes the password, unless it was right lately.
func (u *Users) compare(ctx context.Context, client, name, password string, hash []byte) (bool, error) {
	mac := hmac.New(sha256.New, u.secret)
	fmt.Fprintf(mac, "%d:%s%d:%s", len(name), name, len(hash), hash)
	mac.Write([]byte(password))
	key := [sha256.Size]byte(mac.Sum(nil))
	if _, proven := u.proven.Get(key); proven {
		return true, nil
	}
	leave, err := u.turns.Enter(ctx, client)
	if busy, ok := errors.AsType[*queue.Busy](err); ok {
		return false, &TurnedAway{RetryAfter: busy.RetryAfter, Text: "too many log-ins at a time: come back later", Err: errHashing}
	}
	if err != nil {
		return false, fmt.Errorf("wait for the password's turn: %w", context.Cause(ctx))
	}
	defer leave(queue.Reached, nil)
	if _, proven := u.proven.Get(key); proven { // meanwhile
		return true, nil
	}
	// bcrypt takes 72 bytes: a longer password is none.
	if len(password) > 72 || bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil {
		return false, nil
	}
	u.proven.Put(key, struct{}{})
	return true, nil
}

var errHashing = errors.New("too many passwords of est.users wait to be checked")

// pause ends at the same time after began whatever was done since; where that took
// longer, at twice the time, and so on.
func (u *Users) pause(ctx context.Context, began time.Time) error {
	whole := min(max(4*u.unit<<u.file.Get().cost, minPause), maxPause)
	timer := time.NewTimer(whole - time.Since(began)%whole)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (u *Users) hash(name string) ([]byte, bool) {
	hash, ok := u.file.Get().hashes[name]
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
