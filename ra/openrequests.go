package ra

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"
)

const (
	maxOpenRequests = 10_000
	openRequestLife = 10 * 24 * time.Hour // the pages tell a user to come back within ten days (certsrv.md 5.2)
)

// requestKey stands for one CSR of one account and template.
type requestKey [sha256.Size]byte

// openRequests remembers the requests that the CA has under a ReqID and whose
// certificate no client has yet: pending ones, and those whose fetch failed. The
// same CSR from the same account collects its certificate instead of asking for
// a second one. It lives as long as the process.
type openRequests struct {
	now func() time.Time

	mu    sync.Mutex // guards byKey
	byKey map[requestKey]openRequest
}

type openRequest struct {
	reqID int
	since time.Time
}

func newOpenRequests(now func() time.Time) *openRequests {
	return &openRequests{now: now, byKey: map[requestKey]openRequest{}}
}

func requestKeyOf(account accountKey, template string, csr *x509.CertificateRequest) requestKey {
	h := sha256.New()
	h.Write(account[:])
	h.Write([]byte(template))
	h.Write([]byte{0})
	h.Write(csr.Raw)
	return requestKey(h.Sum(nil))
}

// claim returns the ReqID of an open request and forgets it, so that one client
// at a time collects it; 0 when there is none.
func (o *openRequests) claim(k requestKey) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.byKey[k]
	delete(o.byKey, k)
	if r.reqID != 0 && o.now().Sub(r.since) >= openRequestLife {
		return 0
	}
	return r.reqID
}

func (o *openRequests) remember(k requestKey, reqID int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.byKey) >= maxOpenRequests {
		var oldest requestKey
		first := true
		for key, r := range o.byKey {
			if first || r.since.Before(o.byKey[oldest].since) {
				oldest, first = key, false
			}
		}
		delete(o.byKey, oldest)
	}
	o.byKey[k] = openRequest{reqID: reqID, since: o.now()}
}
