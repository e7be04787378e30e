package ra

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const maxLockoutEntries = 10_000

// lockout counts the log-ins that the CA refused, per account and client
// address, and answers for the CA once there were too many (design, section 4):
// a phone with an old password must not lock the account of all phones.
type lockout struct {
	rule Lockout
	now  func() time.Time

	mu      sync.Mutex // guards entries
	entries map[string]lockoutEntry
}

type lockoutEntry struct {
	failures int
	until    time.Time // when the count is forgotten
}

func newLockout(rule Lockout, now func() time.Time) *lockout {
	return &lockout{rule: rule, now: now, entries: map[string]lockoutEntry{}}
}

func lockoutKey(account string, r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return strings.ToLower(account) + "\x00" + host
}

// blocked tells until when the CA is not asked; the zero time: ask it.
func (l *lockout) blocked(key string) time.Time {
	if l.rule.Failures <= 0 {
		return time.Time{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[key]
	if e.failures >= l.rule.Failures && l.now().Before(e.until) {
		return e.until
	}
	return time.Time{}
}

// failed counts a refusal by the CA.
func (l *lockout) failed(key string) {
	if l.rule.Failures <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if len(l.entries) >= maxLockoutEntries {
		for k, e := range l.entries {
			if !now.Before(e.until) {
				delete(l.entries, k)
			}
		}
	}
	e := l.entries[key]
	if !now.Before(e.until) {
		e.failures = 0
	}
	if len(l.entries) >= maxLockoutEntries && e.failures == 0 {
		return // full of live entries: the CA's own lock-out is left as the guard
	}
	e.failures++
	e.until = now.Add(l.rule.For)
	l.entries[key] = e
}

func (l *lockout) succeeded(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.entries, key)
}
