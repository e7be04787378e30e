package server

import (
	"crypto/sha256"
	"hash"
	"io"
	"net/http"
	"sync"
	"time"

	"ciscora/est"
	"ciscora/internal/bounded"
	"ciscora/ra/admin"
)

const (
	maxChallenges = 10_000
	challengeLife = 2 * time.Minute // a client that was asked for credentials sends them at once
)

// challenges ties the request that was asked for credentials to the one that
// brings them: a libest client sends the same CSR twice, on two connections
// (docs/reference/libest.md, "The client, as a server sees it"), and the record of the second
// must tell of the first. What ties them is the body.
type challenges struct {
	enrollments *admin.Enrollments
	bodyTimeout time.Duration
	maxBody     int64
	bodies      *bounded.Map[[sha256.Size]byte, struct{}] // of challenged requests

	mu   sync.Mutex // guards open
	open map[string]bool
}

func newChallenges(e *admin.Enrollments, maxBody int64, bodyTimeout time.Duration, now func() time.Time) *challenges {
	return &challenges{
		enrollments: e, maxBody: maxBody, bodyTimeout: bodyTimeout,
		bodies: bounded.New[[sha256.Size]byte, struct{}](maxChallenges, challengeLife, now),
		open:   map[string]bool{},
	}
}

// challenged says that the request with this id is being asked for credentials.
func (c *challenges) challenged(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[id] = true
}

func (c *challenges) isOpen(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.open[id]
	delete(c.open, id)
	return was
}

// middleware watches the bodies go by.
func (c *challenges) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := est.RequestID(r.Context())
		body := &digestBody{ReadCloser: r.Body, digest: sha256.New()}
		r.Body = body
		next.ServeHTTP(w, r)
		if !c.isOpen(id) {
			if _, known := c.bodies.Take(body.sum()); known {
				c.enrollments.Update(id, func(x *admin.Enrollment) { x.Challenged = true })
			}
			return
		}
		if r.Header.Get("Expect") != "" {
			return // to read would send an interim answer (docs/reference/libest.md L11)
		}
		// The answer is decided; the body would be thrown away by net/http.
		if http.NewResponseController(w).SetReadDeadline(time.Now().Add(c.bodyTimeout)) != nil {
			return
		}
		if _, err := io.Copy(io.Discard, io.LimitReader(body, c.maxBody)); err == nil {
			c.bodies.Put(body.sum(), struct{}{})
		}
	})
}

// digestBody hashes what is read of a request's body.
type digestBody struct {
	io.ReadCloser
	digest hash.Hash
}

func (b *digestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.digest.Write(p[:n])
	return n, err
}

func (b *digestBody) sum() (s [sha256.Size]byte) {
	b.digest.Sum(s[:0])
	return s
}
