package access_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/msca/certsrv"
	"ciscora/ra/access"
	"ciscora/ra/ledger"
)

// blip is a CA whose domain controller is away for a moment: it refuses whatever comes.
// As many proofs of passwords as are awaited are held until all of them are there.
type blip struct {
	mu      sync.Mutex
	await   int
	here    chan struct{}
	refuses func(i int) bool // of those, in the order of their arrival
}

func (b *blip) option(o *certsrv.Options) {
	o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.Header.Get("Authorization"), "NTLM TlRMTVNTUAAD") && b.hold() { // type 3
				r.Header.Set("Authorization", "NTLM TlRMTVNTUAADAAAA")
			}
			next.ServeHTTP(w, r)
		})
	})
}

func (b *blip) begin(await int, refuses func(int) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.await, b.here, b.refuses = await, make(chan struct{}), refuses
}

func (b *blip) hold() (refused bool) {
	b.mu.Lock()
	if b.await == 0 {
		b.mu.Unlock()
		return false
	}
	b.await--
	i, here := b.await, b.here
	if i == 0 {
		close(here)
	}
	refuses := b.refuses
	b.mu.Unlock()
	<-here
	return refuses(i)
}

func TestABlipOfTheDomainControllerUnderManyRightPasswordsCountsOnce(t *testing.T) {
	const many = 40
	for name, refuses := range map[string]func(int) bool{
		"all are refused":    func(int) bool { return true },
		"every other one is": func(i int) bool { return i%2 == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			pooled := label.Pooled
			defer func() { label.Pooled = pooled }()
			label.Pooled = false // a log-in each
			var moved atomic.Int64
			start := time.Now()
			now := func() time.Time { return start.Add(time.Duration(moved.Load())) }
			var bad refusals
			var away blip
			f := newFixture(t, func(o *access.Options) { o.Pooled, o.Now = false, now }, bad.option, away.option)
			ask := func() error { return f.askFrom(t.Context(), address(1), f.ca.User, f.ca.Password) }
			if err := ask(); err != nil {
				t.Fatal(err)
			}
			away.begin(many, refuses) // at once: that log-in speaks for all of them
			var refused atomic.Int32
			together(many, func(int) {
				if access.Refused(ask()) {
					refused.Add(1)
				}
			})
			if n := refused.Load(); n < many/2 {
				t.Fatalf("%d of %d were refused: they were not under way together", n, many)
			}
			out, err := f.LockedOut(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range out {
				if one.Refused != 1 || one.Closed {
					t.Errorf("%d refusals of one blip were counted as %d for the %s", refused.Load(), one.Refused, one.Kind)
				}
			}
			if len(out) != 2 {
				t.Errorf("what was counted: %+v", out)
			}
			moved.Add(int64(11 * time.Second))
			together(many, func(i int) {
				if err := ask(); err != nil {
					t.Errorf("eleven seconds later, %d: %v", i, err)
				}
			})
			// And wrong ones have what is left to them, and no more.
			together(many, func(i int) {
				if err := f.askFrom(t.Context(), address(i), f.ca.User, fmt.Sprint("wrong", i)); err == nil {
					t.Errorf("guess %d was let in", i)
				}
			})
			if n := bad.Load(); n != 2 {
				t.Errorf("%d wrong passwords were %d refused log-ins at the CA, want 2", many, n)
			}
		})
	}
}

// The CA's trouble is that of all replicas, of which there may be as many as wrong passwords.
func TestABlipUnderARightPasswordCountsOnceOverAllReplicas(t *testing.T) {
	pooled := label.Pooled
	defer func() { label.Pooled = pooled }()
	label.Pooled = false // a log-in each
	database := postgres.Postgres(t)
	var away blip
	var bad refusals
	change := func(o *access.Options) {
		book, err := ledger.Open(t.Context(), database.DSN, ledger.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { book.Close() })
		o.Pooled, o.Ledger = false, book
	}
	first := newFixture(t, change, bad.option, away.option)
	replicas := []*fixture{first, first.another(t, change), first.another(t, change)}
	ask := func(i int) error {
		return replicas[i%3].askFrom(t.Context(), address(1), first.ca.User, first.ca.Password)
	}
	for i := range replicas {
		if err := ask(i); err != nil {
			t.Fatal(err)
		}
	}
	away.begin(3, func(int) bool { return true })
	together(3, func(i int) {
		if err := ask(i); !access.Refused(err) {
			t.Errorf("without a domain controller: %v", err)
		}
	})
	out, err := first.LockedOut(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range out {
		if one.Refused != 1 || one.Closed {
			t.Errorf("three refusals of one blip were counted as %d for the %s", one.Refused, one.Kind)
		}
	}
	before := bad.Load()
	together(40, func(i int) {
		if err := replicas[i%3].askFrom(t.Context(), address(i), first.ca.User, fmt.Sprint("wrong", i)); err == nil {
			t.Errorf("guess %d was let in", i)
		}
	})
	if n := bad.Load() - before; n != 2 {
		t.Errorf("40 wrong passwords were %d refused log-ins at the CA, want 2", n)
	}
}

// Once one is refused, no log-in speaks for others, not even one that was under way
// before and is right: they go one at a time.
func TestAfterARefusalOfARightPasswordItsLogInsGoOneAtATime(t *testing.T) {
	pooled := label.Pooled
	defer func() { label.Pooled = pooled }()
	label.Pooled = false
	var holds, refuses atomic.Bool
	var proofs, most atomic.Int32
	held, goOn := make(chan struct{}), make(chan struct{})
	start := time.Now()
	f := newFixture(t, func(o *access.Options) { o.Pooled, o.Now = false, func() time.Time { return start } }, func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch said := r.Header.Get("Authorization"); {
				case strings.HasPrefix(said, "NTLM TlRMTVNTUAAB"): // type 1
					if n := proofs.Add(1); n > most.Load() {
						most.Store(n)
					}
				case strings.HasPrefix(said, "NTLM TlRMTVNTUAAD"): // type 3
					defer proofs.Add(-1)
					if holds.CompareAndSwap(true, false) {
						close(held)
						<-goOn
					}
					if refuses.CompareAndSwap(true, false) {
						r.Header.Set("Authorization", "NTLM TlRMTVNTUAADAAAA")
					}
				}
				next.ServeHTTP(w, r)
			})
		})
	})
	ask := func() error { return f.askFrom(t.Context(), address(1), f.ca.User, f.ca.Password) }
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	holds.Store(true)
	slow := make(chan error)
	go func() { slow <- ask() }()
	<-held
	refuses.Store(true)
	if err := ask(); !access.Refused(err) {
		t.Fatalf("the refused one: %v", err)
	}
	close(goOn)
	if err := <-slow; err != nil {
		t.Fatalf("the one that was under way: %v", err)
	}
	most.Store(0)
	together(40, func(i int) {
		if err := ask(); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	})
	if n := most.Load(); n != 1 {
		t.Errorf("%d log-ins at a time, want 1", n)
	}
}

// What is not UTF-8 is one text for the guard and for the CA.
func TestSpellingsInLatin1HaveNoGuessesOfTheirOwn(t *testing.T) {
	manners(t, func(t *testing.T, change func(*access.Options)) {
		var bad refusals
		f := newFixture(t, change, bad.option, func(o *certsrv.Options) {
			o.Users = append(o.Users, certsrv.NewUser("jürgen", "gehörig"))
		})
		spellings := []string{"ciscora", "c\xefscora", "cis\xe7ora", "\xe7iscora", "cisc\xf6ra", "ciscor\xe5", "LAB\\cisc\xf2ra", "cisc\xd6r\xe4", "C\xcdSCORA@l\xe4b"}
		together(90, func(i int) {
			if err := f.askFrom(t.Context(), address(i), spellings[i%len(spellings)], fmt.Sprint("wrong", i)); err == nil {
				t.Errorf("guess %d was let in", i)
			}
		})
		if n := bad.Load(); n != 3 {
			t.Errorf("%d refused log-ins at the CA, want 3", n)
		}
		if err := f.askFrom(t.Context(), address(1), "j\xfcrgen", "geh\xf6rig"); err != nil {
			t.Errorf("the right password in ISO 8859-1: %v", err)
		}
		if err := f.askFrom(t.Context(), address(1), "jürgen", "gehörig"); err != nil {
			t.Errorf("the right password in UTF-8: %v", err)
		}
	})
}
