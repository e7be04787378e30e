package access_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/crypto/bcrypt"

	"ciscora/msca"
	"ciscora/ra/access"
)

func bcrypted(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// check compares a password, for a client of its own.
func check(t testing.TB, users *access.Users, name, password string) bool {
	t.Helper()
	right, err := users.Check(t.Context(), "192.0.2.1", name, password)
	if err != nil {
		t.Fatal(err)
	}
	return right
}

func usersFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.htpasswd")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// RFC 7030 §3.2.3: the EST server's own users.
func TestUsersOfAFileAreLetInWithTheRAsAccount(t *testing.T) {
	path := usersFile(t, "# phones\n\nann:"+bcrypted(t, "geheim")+"\r\n")
	users, err := access.OpenUsers(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(o *access.Options) { o.Methods, o.Users = []access.Method{access.MethodUsers}, users })
	if _, err := f.ask(t.Context(), "ann", "geheim"); err != nil {
		t.Fatal(err)
	}
	for name, password := range map[string]string{"ann": "falsch", "bob": "geheim", "": "x"} {
		if _, err := f.ask(t.Context(), name, password); reason(err) != access.ReasonWrong || strings.Contains(err.Error(), password+" ") {
			t.Errorf("%q: %v", name, err)
		}
	}
	// The CA knows this account, the file does not: relay is not among the methods.
	if _, err := f.ask(t.Context(), f.ca.User, f.ca.Password); reason(err) != access.ReasonWrong {
		t.Errorf("an account of the CA's: %v", err)
	}
}

func TestANameThatIsNotInTheFileIsLeftToTheNextMethod(t *testing.T) {
	users, err := access.OpenUsers(usersFile(t, "ann:"+bcrypted(t, "geheim")+"\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(o *access.Options) {
		o.Methods, o.Users = []access.Method{access.MethodUsers, access.MethodRelay}, users
	})
	if _, err := f.ask(t.Context(), f.ca.User, f.ca.Password); err != nil {
		t.Errorf("relay after users: %v", err)
	}
	if _, err := f.ask(t.Context(), "ann", "geheim"); err != nil {
		t.Errorf("a user: %v", err)
	}
	if _, err := f.ask(t.Context(), "ann", "falsch"); reason(err) != access.ReasonWrong {
		t.Errorf("a user with a wrong password: %v", err)
	}
}

func TestTooManyWrongPasswordsOfAUserCloseTheDoorForAWhile(t *testing.T) {
	users, err := access.OpenUsers(usersFile(t, "ann:"+bcrypted(t, "geheim")+"\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(o *access.Options) { o.Methods, o.Users = []access.Method{access.MethodUsers}, users })
	for range 3 {
		if _, err := f.ask(t.Context(), "ann", "falsch"); reason(err) != access.ReasonWrong {
			t.Fatal(err)
		}
	}
	if _, err := f.ask(t.Context(), "ann", "geheim"); reason(err) != access.ReasonLocked || !strings.Contains(err.Error(), "too many") {
		t.Errorf("the right password after three wrong ones: %v", err)
	}
}

func TestAChangedFileOfUsersIsReadAnewAndABadOneKeepsTheOld(t *testing.T) {
	path := usersFile(t, "ann:"+bcrypted(t, "geheim")+"\n")
	now, mu := time.Now(), sync.Mutex{}
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	core, logs := observer.New(zap.InfoLevel)
	users, err := access.OpenUsers(path, clock, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string, modified time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		now = now.Add(2 * time.Second)
		mu.Unlock()
	}
	if !check(t, users, "ann", "geheim") || check(t, users, "bob", "neu") {
		t.Fatal("the first file")
	}
	write("bob:"+bcrypted(t, "neu")+"\n", now.Add(time.Hour))
	if check(t, users, "ann", "geheim") || !check(t, users, "bob", "neu") {
		t.Error("the changed file does not count")
	}
	write("bob:plain\n", now.Add(2*time.Hour))
	if !check(t, users, "bob", "neu") {
		t.Error("a bad file throws out the users of the good one")
	}
	later := func() {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(2 * time.Second)
	}
	later()
	check(t, users, "bob", "neu")
	if n := logs.FilterMessageSnippet("is not taken").Len(); n != 1 {
		t.Errorf("the bad file is told %d times, want once", n)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		later()
		if !check(t, users, "bob", "neu") {
			t.Error("a file that is gone throws out its users")
		}
	}
	if n := logs.FilterMessageSnippet("is not taken").Len(); n != 2 {
		t.Errorf("a bad file and a missing one are told %d times, want twice", n)
	}
	write("cid:"+bcrypted(t, "da")+"\n", now)
	if check(t, users, "bob", "neu") || !check(t, users, "cid", "da") {
		t.Error("the file that came back does not count")
	}
}

// 300 names that nobody has must not make one wait that somebody has.
func TestMadeUpNamesHoldUpNobodyAndTellNothingByTheirTime(t *testing.T) {
	path := usersFile(t, "ann:"+bcrypted(t, "geheim")+"\nbob:"+bcrypted(t, "x")+"\n")
	synctest.Test(t, func(t *testing.T) {
		users, err := access.OpenUsers(path, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var all sync.WaitGroup
		no := func(name string) {
			if check(t, users, name, "falsch") {
				t.Errorf("%s was let in", name)
			}
			// Were they hashed, no time would have passed here.
			if took := time.Since(began); took != 250*time.Millisecond {
				t.Errorf("%s was refused after %v", name, took)
			}
		}
		for i := range 300 {
			all.Go(func() { no(fmt.Sprint("eve", i)) })
		}
		all.Go(func() { no("bob") })
		if !check(t, users, "ann", "geheim") || time.Since(began) != 0 {
			t.Errorf("ann had to wait %v", time.Since(began))
		}
		all.Wait()
	})
}

func TestAWaitForAPasswordEndsWithItsClient(t *testing.T) {
	path := usersFile(t, "ann:"+bcrypted(t, "geheim")+"\n")
	synctest.Test(t, func(t *testing.T) {
		users, err := access.OpenUsers(path, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, hangUp := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer hangUp()
		began := time.Now()
		for _, name := range []string{"eve", "ann"} { // the second one finds it ended before its turn
			if right, err := users.Check(ctx, "192.0.2.1", name, "falsch"); right || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// est.users may cost seconds a hash: one that was right is not hashed again for a
// minute, and of several at once one.
func TestAPasswordThatWasRightIsNotHashedAgainForAMinute(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("geheim"), 10)
	if err != nil {
		t.Fatal(err)
	}
	path := usersFile(t, "ann:"+string(hash)+"\n")
	var moved atomic.Int64
	users, err := access.OpenUsers(path, func() time.Time { return time.Unix(moved.Load(), 0) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	took := func() time.Duration {
		began := time.Now()
		if !check(t, users, "ann", "geheim") {
			t.Error("the right password is refused")
		}
		return time.Since(began)
	}
	first := took()
	if again := took(); again > first/4 {
		t.Errorf("%v, and then %v", first, again)
	}
	moved.Add(61)
	if later := took(); later < first/4 {
		t.Errorf("%v, and after more than a minute %v", first, later)
	}
}

func TestAFileOfUsersThatCannotBeTakenSaysWhere(t *testing.T) {
	good := bcrypted(t, "x")
	expensive := "$2y$31$" + good[7:]
	for _, test := range []struct{ text, want string }{
		{"ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", ":1: the hash is not bcrypt's, and no other is taken"},
		{"\n\nann", ":3: is no line of name:hash"},
		{":" + good, ":1: is no line of name:hash"},
		{"ann:" + good + "\nann:" + good, ":2: the name is there already"},
		{"ann:" + expensive, ":1: the hash costs 31, and at most 16 is taken"},
		{"# " + strings.Repeat("x", 2000), ":1: is longer than 1024 bytes"},
	} {
		path := usersFile(t, test.text)
		_, err := access.OpenUsers(path, nil, nil)
		if err == nil || !strings.HasPrefix(err.Error(), path+test.want) || strings.Contains(err.Error(), "W6ph5") {
			t.Errorf("%.30q: %v, want %s", test.text, err, test.want)
		}
	}
	if _, err := access.OpenUsers(filepath.Join(t.TempDir(), "none"), nil, nil); err == nil {
		t.Error("no file, no error")
	}
}

func FuzzUsersFile(f *testing.F) {
	f.Add("ann:" + bcrypted(f, "x") + "\n# a\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := usersFile(t, text)
		if users, err := access.OpenUsers(path, nil, nil); err == nil && users.Known("") {
			t.Error("a user without a name")
		}
	})
}

func TestUsersNeedsItsFile(t *testing.T) {
	if _, err := access.New(nil, access.Options{Credentials: func() (c msca.Credentials, err error) { return }, Methods: []access.Method{access.MethodUsers}}); err == nil {
		t.Error("no file, no error")
	}
}
