package sim

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// clients starts all clients; the channel is closed when each has its last answer.
func (w *world) clients() <-chan struct{} {
	var all sync.WaitGroup
	for i, wish := range w.plan.Wishes {
		all.Go(func() {
			c := &client{w: w, n: i, wish: wish, name: wishName(i), deaf: wish.Deaf}
			if !c.live() {
				w.mu.Lock()
				w.history.Waiting = append(w.history.Waiting, fmt.Sprintf("%s, last answered %d", c.name, c.last))
				w.mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	return done
}

// client is one phone, and what it wants.
type client struct {
	w     *world
	n     int
	name  string
	wish  Wish
	tries int
	deaf  int
	last  int // status
	csr   *x509.CertificateRequest
}

// live asks until it has its answer, and as often anew as the plan says. It returns
// false where the history ended first.
func (c *client) live() bool {
	if !c.w.pause(c.wish.Start, c.name, 0) {
		return false
	}
	done := c.enroll()
	for _, again := range c.wish.Again {
		if !done || !c.w.pause(again, c.name+" again", c.tries) {
			break
		}
		done = c.enroll()
	}
	return done || c.wish.Once
}

// mostTries bounds a history in which a client would ask for ever; it has waited in
// vain by then.
const mostTries = 400

// enroll asks until there is a certificate or a refusal.
func (c *client) enroll() bool {
	for wait := c.wish.firstWait(); ; wait = c.wish.Backoff {
		ask := c.ask()
		c.last = ask.Status
		if ask.Read || ask.Status == http.StatusForbidden {
			return true
		}
		if c.wish.Once || c.tries >= mostTries {
			return false
		}
		if c.wish.Obedient {
			wait = max(wait, ask.Retry)
		}
		if !c.w.pause(wait, c.name+" wait", c.tries) {
			return false
		}
	}
}

// ask is one try.
func (c *client) ask() Ask {
	c.tries++
	ask := Ask{At: c.w.elapsed()}
	r := c.send()
	ask.Ended, ask.Status, ask.Retry, ask.Certificate = c.w.elapsed(), r.status, r.retry, r.certificate
	switch {
	case r.status == 0:
		c.w.note(c.name, "try %d: %v", c.tries, r.err)
	case r.certificate == nil:
		c.w.note(c.name, "try %d: %d, come back in %s: %v", c.tries, r.status, r.retry, r.err)
	case c.deaf > 0:
		c.deaf--
		c.w.note(c.name, "try %d: a certificate, which does not reach it", c.tries)
	default:
		ask.Read = true
		r.delivered()
		c.w.note(c.name, "try %d: %d, %s", c.tries, r.status, r.certificate.Subject)
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.history.Asks[c.n] = append(c.w.history.Asks[c.n], ask)
	return ask
}

// send sends a CSR that is made anew and waits for the answer, for as long as the
// client has patience and the replica lives.
func (c *client) send() reply {
	replica, g, p := c.w.current(c.n, c.tries)
	if replica == nil {
		return reply{err: fmt.Errorf("connection refused")}
	}
	csr := c.csr
	if csr == nil || !c.wish.Resend {
		var err error
		if csr, err = signCSR(c.key(), c.name, c.dns(), c.proof()); err != nil {
			p.alive.Done()
			return reply{err: err}
		}
		c.csr = csr
	}
	ctx, hangUp := context.WithCancel(c.w.ctx)
	defer hangUp()
	if c.wish.Patience > 0 {
		ctx, hangUp = context.WithTimeout(ctx, c.wish.Patience+c.w.between(0, time.Millisecond, c.name+" patience", c.tries))
		defer hangUp()
	}
	answered := make(chan reply, 1)
	residue := c.w.between(0, time.Millisecond, c.name+" gate", c.tries)
	go func() {
		defer p.alive.Done()
		g.pass(residue)
		r := replica.ask(ctx, fmt.Sprintf("10.0.0.%d:1", c.n%250), c.user(), c.wish.Label, csr)
		g.pass(residue)
		answered <- r
	}()
	select {
	case r := <-answered:
		if p.isDead() {
			return reply{err: fmt.Errorf("connection reset")}
		}
		return r
	case <-p.dead:
		return reply{err: fmt.Errorf("connection reset")}
	case <-ctx.Done():
		return reply{err: fmt.Errorf("no answer")}
	}
}

func (c *client) user() string {
	if c.w.plan.Accounts {
		return `LAB\` + c.name
	}
	return account
}

func (c *client) key() crypto.Signer { return c.w.keyOf(c.wish) }

func (w *world) keyOf(wish Wish) crypto.Signer {
	if wish.RSA {
		return w.keys.RSA[wish.Key%len(w.keys.RSA)]
	}
	return w.keys.EC[wish.Key%len(w.keys.EC)]
}

func (c *client) dns() string {
	if c.wish.DNS {
		return c.name + ".sim.test"
	}
	return ""
}

// proof stands for the channel binding: another one on each connection.
func (c *client) proof() string {
	if c.wish.Proof {
		return fmt.Sprintf("binding of try %d", c.tries)
	}
	return ""
}
