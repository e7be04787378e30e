package access

import (
	"net"
	"net/http"
	"strings"
	"time"

	"ciscora/internal/bounded"
)

const maxLockoutEntries = 10_000

// Lockout guards the CA's accounts, whose own lock-out a lab of phones with an
// old password would trip (design, section 4).
type Lockout struct {
	Failures int           // refused log-ins per account and client address; 0 = no guard
	For      time.Duration // then 401 without asking the CA for this long
}

// lockout counts the log-ins that the CA refused, per account and client
// address, and answers for the CA once there were too many (design, section 4):
// a phone with an old password must not lock the account of all phones.
type lockout struct {
	rule    Lockout
	now     func() time.Time
	entries *bounded.Map[string, lockoutEntry]
}

type lockoutEntry struct {
	failures int
	until    time.Time // when the count is forgotten
}

func newLockout(rule Lockout, now func() time.Time) *lockout {
	return &lockout{rule, now, bounded.New[string, lockoutEntry](maxLockoutEntries, rule.For, now)}
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
	if e, _ := l.entries.Get(key); l.rule.Failures > 0 && e.failures >= l.rule.Failures {
		return e.until
	}
	return time.Time{}
}

// failed counts a refusal by the CA. In a table full of live entries a new one finds
// no room: the CA's own lock-out is left as the guard.
func (l *lockout) failed(key string) {
	if l.rule.Failures <= 0 {
		return
	}
	l.entries.Update(key, func(e lockoutEntry) lockoutEntry {
		return lockoutEntry{e.failures + 1, l.now().Add(l.rule.For)}
	})
}

func (l *lockout) succeeded(key string) { l.entries.Delete(key) }
