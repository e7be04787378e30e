package access_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra/access"
	"ciscora/ra/ledger"
)

// refusals counts the log-ins that a CA refused, as an administrator does: by its log.
type refusals struct{ atomic.Int32 }

func (n *refusals) option(o *certsrv.Options) {
	o.AccessLog = func(e certsrv.AccessEntry) {
		if e.Status == http.StatusUnauthorized && e.Win32 == 2148074252 {
			n.Add(1)
		}
	}
}

// askFrom asks with Basic credentials from an address.
func (f *fixture) askFrom(ctx context.Context, address, user, password string) error {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/.well-known/est/simpleenroll", nil)
	req.RemoteAddr = address
	req.SetBasicAuth(user, password)
	_, err := f.Authenticate(ctx, req, label)
	return err
}

func address(i int) string { return fmt.Sprintf("192.0.2.%d:1234", i%250+1) }

// manners are with kept connections, and with a log-in for each request.
func manners(t *testing.T, test func(t *testing.T, change func(*access.Options))) {
	t.Helper()
	pooled := label.Pooled
	defer func() { label.Pooled = pooled }()
	for name, p := range map[string]bool{"pooled": true, "a log-in each": false} {
		label.Pooled = p
		t.Run(name, func(t *testing.T) { test(t, func(o *access.Options) { o.Pooled = p }) })
	}
}

func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

func TestParallelGuessesCostTheAccountNoMoreThanTheGuardAllows(t *testing.T) {
	spellings := []string{`LAB\ciscora`, "ciscora", `\ciscora`, "ciscora@lab.test", `.\ciscora`, `lab\CiscoRA`, "CISCORA@other.suffix", `LAB\císcora`, "ｃｉｓｃｏｒａ", " ciscora\u200b"}
	manners(t, func(t *testing.T, change func(*access.Options)) {
		var bad refusals
		f := newFixture(t, change, bad.option, func(o *certsrv.Options) { o.Lockout = certsrv.Lockout{Threshold: 4} })
		together(200, func(i int) {
			err := f.askFrom(t.Context(), address(i), spellings[i%len(spellings)], fmt.Sprint("wrong", i))
			if r := reason(err); r != access.ReasonCA && r != access.ReasonLocked {
				t.Errorf("guess %d: %v", i, err)
			}
		})
		if n := bad.Load(); n != 3 {
			t.Errorf("200 parallel guesses were %d refused log-ins at the CA, want 3", n)
		}
		// The domain has not locked it: whoever does not come by this RA goes on.
		client, err := msca.New(msca.Options{URL: f.ca.URL, TLS: f.tls(), ChannelBinding: true})
		if err != nil {
			t.Fatal(err)
		}
		s, err := client.Login(t.Context(), msca.Credentials{User: f.ca.User, Password: f.ca.Password})
		if err != nil {
			t.Fatalf("the account is lost: %v", err)
		}
		s.Close()
	})
}

func TestTheRightPasswordPassesWhileTheDoorIsClosedToGuesses(t *testing.T) {
	manners(t, func(t *testing.T, change func(*access.Options)) {
		var bad refusals
		f := newFixture(t, change, bad.option)
		if err := f.askFrom(t.Context(), address(0), f.ca.User, f.ca.Password); err != nil {
			t.Fatal(err)
		}
		together(400, func(i int) {
			if i%2 == 0 {
				if err := f.askFrom(t.Context(), address(i), f.ca.User, fmt.Sprint("wrong", i)); err == nil {
					t.Errorf("guess %d was let in", i)
				}
				return
			}
			// From wherever it comes, and however the name is written.
			if err := f.askFrom(t.Context(), address(i), strings.ToUpper(f.ca.User), f.ca.Password); err != nil {
				t.Errorf("the right password, %d: %v", i, err)
			}
		})
		if n := bad.Load(); n > 3 {
			t.Errorf("%d refused log-ins at the CA, want 3 at most", n)
		}
	})
}

func TestParallelRightPasswordsAllPass(t *testing.T) {
	manners(t, func(t *testing.T, change func(*access.Options)) {
		f := newFixture(t, change)
		together(200, func(i int) {
			if err := f.askFrom(t.Context(), address(i), f.ca.User, f.ca.Password); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	})
}

// More accounts at once, from one address, than it may guess at.
func TestParallelAccountsOfOneAddressAllPass(t *testing.T) {
	var users []certsrv.User
	for i := range 100 {
		users = append(users, certsrv.NewUser(fmt.Sprint("user", i), "geheim"))
	}
	f := newFixture(t, func(*access.Options) {}, func(o *certsrv.Options) { o.Users = append(o.Users, users...) })
	together(len(users), func(i int) {
		if err := f.askFrom(t.Context(), address(0), users[i].Name, "geheim"); err != nil {
			t.Errorf("%s: %v", users[i].Name, err)
		}
	})
}

func TestAPasswordWaitsForTheTriesOfOthersBeforeItIsTurnedAway(t *testing.T) {
	arrived, goOn := make(chan struct{}, 8), make(chan struct{})
	f := newFixture(t, func(o *access.Options) { o.Lockout.Failures = 1 }, func(o *certsrv.Options) {
		o.Users = append(o.Users, certsrv.NewUser("ann", "geheim"))
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-goOn:
				default:
					arrived <- struct{}{}
					<-goOn
				}
				next.ServeHTTP(w, r)
			})
		})
	})
	results := make(chan error, 2)
	// The same account by two names: each is tried, and there may be one try at a time.
	go func() { results <- f.askFrom(t.Context(), address(1), "ann", "geheim") }()
	<-arrived
	go func() { results <- f.askFrom(t.Context(), address(2), "ann@other.suffix", "wrong") }()
	select {
	case <-arrived:
		t.Fatal("a second try while the first one had no answer")
	case err := <-results:
		t.Fatalf("turned away while the first one had no answer: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	close(goOn)
	var refused int
	for range 2 {
		switch err := <-results; {
		case reason(err) == access.ReasonCA: // the CA was asked
			refused++
		case err != nil:
			t.Error(err)
		}
	}
	if refused != 1 {
		t.Errorf("%d were refused by the CA, want the wrong one", refused)
	}
}

func TestARefusedPasswordCostsNothingUntilItsTimeIsUp(t *testing.T) {
	manners(t, func(t *testing.T, change func(*access.Options)) {
		var moved atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
		var bad refusals
		f := newFixture(t, func(o *access.Options) { change(o); o.Now = now }, bad.option)
		together(200, func(i int) {
			err := f.askFrom(t.Context(), address(i), f.ca.User, "expired")
			if reason(err) != access.ReasonCA || !access.Refused(err) {
				t.Errorf("%d: %v", i, err)
			}
		})
		if n := bad.Load(); n != 1 {
			t.Errorf("200 clients with one old password were %d refused log-ins at the CA, want one", n)
		}
		if err := f.askFrom(t.Context(), address(1), f.ca.User, f.ca.Password); err != nil {
			t.Errorf("the right password: %v", err)
		}
		moved.Add(int64(15*time.Minute + time.Second))
		if err := f.askFrom(t.Context(), address(1), f.ca.User, "expired"); reason(err) != access.ReasonCA || bad.Load() != 2 {
			t.Errorf("after est.lockout.for: %v, %d refused", err, bad.Load())
		}
	})
}

// Who hangs up before the answer would else never be counted.
func TestToHangUpIsNoWayToGuess(t *testing.T) {
	manners(t, func(t *testing.T, change func(*access.Options)) {
		var bad refusals
		proofs, cancelAll := make(chan struct{}, 400), make(chan struct{})
		f := newFixture(t, change, bad.option, func(o *certsrv.Options) {
			o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.Header.Get("Authorization"), "NTLM TlRMTVNTUAAD") { // type 3
						proofs <- struct{}{}
						<-cancelAll
					}
					next.ServeHTTP(w, r)
				})
			})
		})
		ctx, hangUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				if err := f.askFrom(ctx, address(i), f.ca.User, fmt.Sprint("wrong", i)); err == nil {
					t.Errorf("guess %d was let in", i)
				}
			})
		}
		for range 3 {
			<-proofs
		}
		hangUp()
		all.Wait()
		close(cancelAll)
		together(40, func(i int) {
			if err := f.askFrom(t.Context(), address(i), f.ca.User, fmt.Sprint("another", i)); reason(err) != access.ReasonLocked {
				t.Errorf("afterwards: %v", err)
			}
		})
		if n := bad.Load(); n != 3 {
			t.Errorf("%d refused log-ins at the CA, want 3", n)
		}
	})
}

// The CA may have counted a password whose answer never came.
func TestAnAnswerThatNeverCameCountsAndOneThatWasNeverAskedForDoesNot(t *testing.T) {
	var cut atomic.Value
	cut.Store("NTLM TlRMTVNTUAAB") // type 1
	f := newFixture(t, func(*access.Options) {}, func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if at := cut.Load().(string); at != "" && strings.HasPrefix(r.Header.Get("Authorization"), at) {
					panic(http.ErrAbortHandler)
				}
				next.ServeHTTP(w, r)
			})
		})
	})
	for i := range 5 {
		if err := f.askFrom(t.Context(), address(i), f.ca.User, fmt.Sprint("some", i)); reason(err) != access.ReasonCA {
			t.Fatalf("cut before the password: %v", err)
		}
	}
	cut.Store("NTLM TlRMTVNTUAAD") // type 3
	for i := range 5 {
		want := access.ReasonCA
		if i >= 3 {
			want = access.ReasonLocked
		}
		if err := f.askFrom(t.Context(), address(i), f.ca.User, fmt.Sprint("some", i)); reason(err) != want {
			t.Fatalf("cut after password %d: %v", i, err)
		}
	}
}

func TestOneAddressMayGuessAtTenAccountsAndNoMore(t *testing.T) {
	var bad refusals
	f := newFixture(t, func(*access.Options) {}, bad.option)
	if err := f.askFrom(t.Context(), "[2001:db8::1]:1", f.ca.User, f.ca.Password); err != nil {
		t.Fatal(err)
	}
	together(200, func(i int) { // a /64 is one client
		if err := f.askFrom(t.Context(), fmt.Sprintf("[2001:db8::%x]:1", i), fmt.Sprint("made-up", i), "guess"); err == nil {
			t.Errorf("guess %d was let in", i)
		}
	})
	if n := bad.Load(); n != 30 {
		t.Errorf("%d refused log-ins at the CA, want 30", n)
	}
	if err := f.askFrom(t.Context(), "[2001:db8::2]:1", f.ca.User, f.ca.Password); err != nil {
		t.Errorf("a password that was right from there: %v", err)
	}
	err := f.askFrom(t.Context(), "[2001:db8::3]:1", "someone", "guess")
	if e, ok := errors.AsType[*access.Error](err); !ok || e.Reason != access.ReasonLocked || !strings.Contains(e.Cause.Error(), "from this address") {
		t.Errorf("a further account: %v", err)
	}
	if err := f.askFrom(t.Context(), "[2001:db8:0:1::1]:1", "someone", "guess"); reason(err) != access.ReasonCA {
		t.Errorf("from another network: %v", err)
	}
}

// What was right a while ago passes a closed door, which must not become a way to find
// out what was.
func TestWhoGoesOnGuessingAtAClosedDoorLearnsNothingFromIt(t *testing.T) {
	var bad refusals
	f := newFixture(t, func(*access.Options) {}, bad.option)
	if err := f.askFrom(t.Context(), address(1), f.ca.User, f.ca.Password); err != nil {
		t.Fatal(err)
	}
	for i := range 303 {
		if err := f.askFrom(t.Context(), address(2), f.ca.User, fmt.Sprint("wrong", i)); err == nil {
			t.Fatal("let in")
		}
		if i == 200 {
			if err := f.askFrom(t.Context(), address(2), "ciscora", f.ca.Password); err != nil {
				t.Errorf("the right password from there after 200 wrong ones: %v", err)
			}
		}
	}
	if err := f.askFrom(t.Context(), address(2), f.ca.User, f.ca.Password); err != nil {
		t.Errorf("one that was right from there: %v", err)
	}
	for i := range 303 {
		if err := f.askFrom(t.Context(), address(3), f.ca.User, fmt.Sprint("wrong too", i)); err == nil {
			t.Fatal("let in")
		}
	}
	if err := f.askFrom(t.Context(), address(3), f.ca.User, f.ca.Password); reason(err) != access.ReasonLocked {
		t.Errorf("a guess that is right after 303 that were not: %v", err)
	}
	if n := bad.Load(); n != 3 {
		t.Errorf("%d refused log-ins at the CA, want 3", n)
	}
}

func TestTwoReplicasGuardAnAccountTogether(t *testing.T) {
	database := postgres.Postgres(t)
	open := func(o *access.Options) {
		book, err := ledger.Open(t.Context(), database.DSN, ledger.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { book.Close() })
		o.Ledger = book
	}
	var bad refusals
	first := newFixture(t, open, bad.option)
	second := first.another(t, open)
	if err := first.askFrom(t.Context(), address(0), first.ca.User, first.ca.Password); err != nil {
		t.Fatal(err)
	}
	both := []*fixture{first, second}
	together(200, func(i int) {
		if err := both[i%2].askFrom(t.Context(), address(i), first.ca.User, fmt.Sprint("wrong", i)); err == nil {
			t.Errorf("guess %d was let in", i)
		}
	})
	if n := bad.Load(); n != 3 {
		t.Errorf("200 parallel guesses at two replicas were %d refused log-ins at the CA, want 3", n)
	}
	together(200, func(i int) {
		if err := first.askFrom(t.Context(), address(i), first.ca.User, first.ca.Password); err != nil {
			t.Errorf("the right password, %d: %v", i, err)
		}
	})
}

func TestOneAddressShutsAUserOutForNoOther(t *testing.T) {
	users, err := access.OpenUsers(usersFile(t, "ann:"+bcrypted(t, "geheim")+"\nbob:"+bcrypted(t, "geheim")+"\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(o *access.Options) { o.Methods, o.Users = []access.Method{access.MethodUsers}, users })
	var wrong atomic.Int32
	together(200, func(i int) {
		if reason(f.askFrom(t.Context(), address(1), "ann", fmt.Sprint("wrong", i))) == access.ReasonWrong {
			wrong.Add(1)
		}
	})
	if n := wrong.Load(); n != 3 {
		t.Errorf("%d of 200 parallel guesses were compared, want 3", n)
	}
	if err := f.askFrom(t.Context(), address(1), "ann", "geheim"); reason(err) != access.ReasonLocked {
		t.Errorf("from the same address: %v", err)
	}
	if err := f.askFrom(t.Context(), address(2), "ann", "geheim"); err != nil {
		t.Errorf("from another address: %v", err)
	}
	for i := range 4 {
		if err := f.askFrom(t.Context(), address(3), "bob", fmt.Sprint("wrong", i)); err == nil {
			t.Errorf("guess %d was let in", i)
		}
	}
	if err := f.askFrom(t.Context(), address(2), "bob", "geheim"); err != nil {
		t.Errorf("from another address: %v", err)
	}
	if err := f.askFrom(t.Context(), address(3), "bob", "geheim"); err != nil {
		t.Errorf("from the first one, now that it is known to be right: %v", err)
	}
}

// Somebody may reach a real CA through an enrollment with a fault, which is isolated.
func TestIsolatedLogInsAreGuardedToo(t *testing.T) {
	var bad refusals
	f := newFixture(t, func(o *access.Options) { o.Isolate = func(context.Context) bool { return true } }, bad.option)
	for i := range 12 {
		if err := f.askFrom(t.Context(), address(i), f.ca.User, fmt.Sprint("wrong", i)); err == nil {
			t.Errorf("guess %d was let in", i)
		}
	}
	if n := bad.Load(); n != 3 {
		t.Errorf("%d refused log-ins at the CA, want 3", n)
	}
}

// IIS says 401 as well where it reaches no domain controller: of a password that was
// right a minute ago that is no proof.
func TestAPasswordThatWasRightLatelyIsDoubtedAndNotRefused(t *testing.T) {
	manners(t, func(t *testing.T, change func(*access.Options)) {
		var moved atomic.Int64
		var away atomic.Bool
		now := func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
		var bad refusals
		f := newFixture(t, func(o *access.Options) { change(o); o.Now = now }, bad.option, func(o *certsrv.Options) {
			o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.Header.Get("Authorization"), "NTLM TlRMTVNTUAAD") && away.Load() { // type 3
						r.Header.Set("Authorization", "NTLM TlRMTVNTUAADAAAA")
					}
					next.ServeHTTP(w, r)
				})
			})
		})
		ask := func() error { return f.askFrom(t.Context(), address(1), f.ca.User, f.ca.Password) }
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		moved.Add(int64(2 * time.Minute)) // no log-in vouches any more
		away.Store(true)
		if err := ask(); !access.Refused(err) {
			t.Fatalf("without a domain controller: %v", err)
		}
		away.Store(false)
		var turned *access.TurnedAway
		if err := ask(); !errors.As(err, &turned) || turned.RetryAfter <= 0 || turned.RetryAfter > 10*time.Second {
			t.Errorf("at once: %v, want to be told to come back", err)
		}
		moved.Add(int64(11 * time.Second))
		if err := ask(); err != nil {
			t.Errorf("ten seconds later: %v", err)
		}

		// One that is wrong now costs the account no more than it has room for.
		moved.Add(int64(2 * time.Minute))
		away.Store(true)
		for range 100 {
			if err := ask(); err == nil {
				t.Fatal("let in")
			}
			moved.Add(int64(5 * time.Second))
		}
		if n := bad.Load(); n > 3+1 {
			t.Errorf("%d refused log-ins", n)
		}
	})
}

// What the guard cuts off would make names of one account different ones.
func TestNamesThatAreTooLongAreNotTried(t *testing.T) {
	var bad refusals
	f := newFixture(t, func(*access.Options) {}, bad.option)
	for i := range 12 {
		long := strings.Repeat(string(rune('A'+i)), 1030) + `\ciscora`
		if err := f.askFrom(t.Context(), address(i), long, "wrong"); err == nil {
			t.Errorf("name %d was let in", i)
		}
	}
	if n := bad.Load(); n != 0 {
		t.Errorf("%d refused log-ins at the CA, want none", n)
	}
}
