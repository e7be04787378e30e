package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"ciscora/msca"
)

// accountKey stands for one user name with one password. It is an HMAC under a
// key of this process, so the map below holds no password and a look-up tells
// nothing by its time.
type accountKey [sha256.Size]byte

// accounts keeps, per CA account, what a log-in has proven and the authenticated
// connections that it left. A connection serves only the credentials that
// opened it, and neither it nor the proof outlives vouch, nor the generation that
// it is of.
type accounts struct {
	secret     []byte
	idle       int // connections kept per account
	vouch      time.Duration
	now        func() time.Time
	generation func() uint64

	mu     sync.Mutex // guards all below; never held while the network is waited for
	byKey  map[accountKey]*account
	sweep  *time.Timer // armed while there is something to expire
	closed bool
}

type account struct {
	proven      opening
	templates   msca.TemplateList
	templatesAt time.Time // zero: never read
	idle        []keptSession
}

type keptSession struct {
	session *msca.Session
	opened  opening
}

// opening is when a connection was logged in.
type opening struct {
	at         time.Time
	generation uint64
}

func newAccounts(secret []byte, o Options) *accounts {
	return &accounts{secret: secret, idle: o.Idle, vouch: o.Vouch, now: o.Now, generation: o.Generation, byKey: map[accountKey]*account{}}
}

// opens is the opening of a log-in that begins now.
func (a *accounts) opens() opening { return opening{a.now(), a.generation()} }

// counts tells whether a log-in still stands for its credentials.
func (a *accounts) counts(o opening) bool {
	return !o.at.IsZero() && a.now().Sub(o.at) < a.vouch && o.generation == a.generation()
}

func (a *accounts) key(c msca.Credentials) (k accountKey) {
	mac := hmac.New(sha256.New, a.secret)
	mac.Write([]byte(c.User))
	mac.Write([]byte{0})
	mac.Write([]byte(c.Password))
	mac.Sum(k[:0])
	return k
}

// proven tells whether these credentials logged in less than vouch ago, and the
// template list that they were shown, fresh if that was less than maxAge ago; 0 = any age.
func (a *accounts) proven(k accountKey, maxAge time.Duration) (templates msca.TemplateList, fresh, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.byKey[k]
	if acc == nil || !a.counts(acc.proven) {
		return nil, false, false
	}
	fresh = !acc.templatesAt.IsZero() && (maxAge <= 0 || a.now().Sub(acc.templatesAt) < maxAge)
	return acc.templates, fresh, true
}

// prove records a log-in that began at the given time.
func (a *accounts) prove(k accountKey, began opening) {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.ensure(k)
	if began.at.After(acc.proven.at) {
		acc.proven = began
	}
}

func (a *accounts) setTemplates(k accountKey, list msca.TemplateList) {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.ensure(k)
	acc.templates, acc.templatesAt = list, a.now()
}

// forget drops what the credentials have proven, since the CA refused them now.
func (a *accounts) forget(k accountKey) {
	a.mu.Lock()
	acc := a.byKey[k]
	delete(a.byKey, k)
	a.mu.Unlock()
	if acc != nil {
		closeSessions(acc.idle)
	}
}

// take hands out a kept connection of this account that is alive, or nil.
func (a *accounts) take(k accountKey) (*msca.Session, opening) {
	for {
		kept, ok := a.pop(k)
		if !ok {
			return nil, opening{}
		}
		// Outside the lock: to look at a connection takes a moment.
		if a.counts(kept.opened) && kept.session.Alive() {
			return kept.session, kept.opened
		}
		kept.session.Close()
	}
}

// keeps tells whether a connection of this account is kept.
func (a *accounts) keeps(k accountKey) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byKey[k] != nil && len(a.byKey[k].idle) > 0
}

// pop removes the account's youngest connection: it has the longest life before
// it.
func (a *accounts) pop(k accountKey) (keptSession, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.byKey[k]
	if acc == nil || len(acc.idle) == 0 {
		return keptSession{}, false
	}
	last := len(acc.idle) - 1
	kept := acc.idle[last]
	acc.idle = acc.idle[:last]
	return kept, true
}

// put keeps a connection for the account that opened it, or closes it.
func (a *accounts) put(k accountKey, s *msca.Session, opened opening) {
	s.SetCredentials(msca.Credentials{}) // an idle connection keeps no password
	if !s.Alive() || !a.keep(k, keptSession{s, opened}) {
		s.Close()
	}
}

func (a *accounts) keep(k accountKey, s keptSession) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || !a.counts(s.opened) {
		return false
	}
	acc := a.ensure(k)
	if len(acc.idle) >= a.idle {
		return false
	}
	acc.idle = append(acc.idle, s)
	slices.SortFunc(acc.idle, func(x, y keptSession) int { return x.opened.at.Compare(y.opened.at) })
	return true
}

// ensure returns the account's entry; the caller holds mu.
func (a *accounts) ensure(k accountKey) *account {
	acc := a.byKey[k]
	if acc == nil {
		acc = &account{}
		a.byKey[k] = acc
	}
	if a.sweep == nil && !a.closed {
		a.sweep = time.AfterFunc(a.vouch, a.expire)
	}
	return acc
}

// expire closes the connections that may no longer vouch, and forgets accounts
// that have proven nothing lately: so the map is bounded by the log-ins that
// succeed within vouch, or within the life of a template list.
func (a *accounts) expire() {
	var old []keptSession
	a.mu.Lock()
	for k, acc := range a.byKey {
		acc.idle = slices.DeleteFunc(acc.idle, func(s keptSession) bool {
			if a.counts(s.opened) {
				return false
			}
			old = append(old, s)
			return true
		})
		if len(acc.idle) == 0 && !a.counts(acc.proven) {
			delete(a.byKey, k)
		}
	}
	a.sweep = nil
	if len(a.byKey) > 0 && !a.closed {
		a.sweep = time.AfterFunc(a.vouch/2+time.Millisecond, a.expire)
	}
	a.mu.Unlock()
	closeSessions(old)
}

func (a *accounts) close() {
	var all []keptSession
	a.mu.Lock()
	a.closed = true
	if a.sweep != nil {
		a.sweep.Stop()
	}
	for _, acc := range a.byKey {
		all = append(all, acc.idle...)
		acc.idle = nil
	}
	a.mu.Unlock()
	closeSessions(all)
}

func closeSessions(all []keptSession) {
	for _, s := range all {
		s.session.Close()
	}
}
