package certsrv

import (
	"strings"
	"sync"
	"time"
)

// Lockout is the domain's own lock-out of accounts (MS-ADTS, lockoutThreshold,
// lockoutDuration): what a guard in front of the CA is there to spare.
type Lockout struct {
	// Threshold is how many wrong passwords lock an account; 0 = none ever does.
	Threshold int
	// Duration is how long it is locked, and how long a wrong password counts after
	// the last one (lockOutObservationWindow); 0 = ten minutes.
	Duration time.Duration
}

const defaultLockoutDuration = 10 * time.Minute

// lockouts are the accounts with wrong passwords; there are no more than accounts.
type lockouts struct {
	rule Lockout
	now  func() time.Time

	mu       sync.Mutex // guards accounts
	accounts map[string]badPasswords
}

type badPasswords struct {
	count  int
	last   time.Time
	locked time.Time // until then
}

func newLockouts(rule Lockout, now func() time.Time) *lockouts {
	if rule.Duration == 0 {
		rule.Duration = defaultLockoutDuration
	}
	return &lockouts{rule: rule, now: now, accounts: map[string]badPasswords{}}
}

// permit counts a try at an account that is there, and tells whether it may log in.
// One that is locked may not, with its password neither, and nothing is counted then.
func (l *lockouts) permit(account string, right bool) bool {
	if l.rule.Threshold <= 0 {
		return right
	}
	account = strings.ToLower(account)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	bad := l.accounts[account]
	switch {
	case now.Before(bad.locked):
		return false
	case right:
		delete(l.accounts, account)
		return true
	case !bad.locked.IsZero() || now.Sub(bad.last) >= l.rule.Duration:
		bad = badPasswords{}
	}
	bad.count, bad.last = bad.count+1, now
	if bad.count >= l.rule.Threshold {
		bad.locked = now.Add(l.rule.Duration)
	}
	l.accounts[account] = bad
	return false
}
