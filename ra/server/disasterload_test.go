package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
)

// load is clients that enroll one CSR after the other, each try at the next replica, until
// they have its certificate.
type load struct {
	x       *rig
	clients sync.WaitGroup
	ctx     context.Context
	end     context.CancelFunc // no more tries
	ending  chan struct{}      // no more CSRs

	mu       sync.Mutex // guards all below
	phones   []*phone
	answers  []answer
	problems map[string]int // what clients met that is no answer
}

// phone is one CSR.
type phone struct {
	cn          string
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate // that its client got
	told        bool              // the last answer was to come back
}

// answer is what came of one try.
type answer struct {
	replica      int
	begun, ended time.Time
	how          int
}

const (
	gotCertificate = iota
	toldToComeBack // 202 or 503, with Retry-After
	gotError       // all else
)

const (
	loadClients = 9
	tryTimeout  = 8 * time.Second // libest's clients wait ten
	// retryPause is not what Retry-After says: a test waits less.
	retryPause = 100 * time.Millisecond
	loadPause  = 30 * time.Millisecond

	// Behind a balancer they are many, and no machine is idle.
	frontClients = 50
	frontPause   = time.Second
)

func (x *rig) enrolling() *load {
	clients, pause := loadClients, loadPause
	if x.front != "" {
		clients, pause = frontClients, frontPause
	}
	ctx, end := context.WithCancel(context.Background())
	l := &load{x: x, ctx: ctx, end: end, ending: make(chan struct{}), problems: map[string]int{}}
	for i := range clients {
		l.clients.Go(func() { l.client(i, pause) })
	}
	return l
}

func (l *load) client(number int, pause time.Duration) {
	for i := 0; ; i++ {
		select {
		case <-l.ending:
			return
		case <-time.After(pause):
		}
		l.one(number + i)
	}
}

// one enrolls one phone, at this replica first.
func (l *load) one(first int) {
	cn := fmt.Sprintf("phone-%d", l.x.serial.Add(1))
	csr, key := newCSR(l.x.t, cn)
	p := &phone{cn: cn, key: key}
	l.mu.Lock()
	l.phones = append(l.phones, p)
	l.mu.Unlock()
	for try := first; !l.try(p, csr, try); try++ {
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(retryPause):
		}
	}
}

// recovered waits until each replica has served a client that came after from, for which
// it sends more clients, and returns when it was so.
func (l *load) recovered(t *testing.T, from time.Time) (at time.Time) {
	t.Helper()
	const every = 250 * time.Millisecond
	var asked time.Time
	// So many wait for a replica at a time: on a loaded machine they must not be the load.
	slots := make(chan struct{}, 8*len(l.x.targets()))
	await(t, func() (ok bool) {
		if at, ok = l.served(from); !ok && time.Since(asked) > every {
			asked = time.Now()
			for replica := range l.x.targets() {
				select {
				case slots <- struct{}{}:
					l.clients.Go(func() {
						defer func() { <-slots }()
						l.one(replica)
					})
				default:
				}
			}
		}
		return ok
	})
	return at
}

// waits tells whether a client has neither its certificate nor been told to come back for
// one that is being found out.
func (l *load) waits(lost map[string]bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.phones, func(p *phone) bool { return p.certificate == nil && (!p.told || !lost[p.cn]) })
}

// try sends a CSR to a replica.
func (l *load) try(p *phone, csr []byte, try int) bool {
	begun := time.Now()
	targets := l.x.targets()
	replica := try % len(targets)
	certificate, told, err := l.x.enroll(l.ctx, targets[replica], csr)
	if l.ctx.Err() != nil {
		return false // it was cut off by the end of the test
	}
	a := answer{replica: replica, begun: begun, ended: time.Now()}
	switch {
	case err != nil:
		a.how = gotError
	case told:
		a.how = toldToComeBack
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, a)
	p.certificate, p.told = certificate, told
	if err != nil {
		l.problems[short(err)]++
	}
	return certificate != nil
}

// short leaves out what differs each time.
func short(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 && strings.HasPrefix(text, "Post ") {
		text = text[i+2:]
	}
	return text
}

// enroll posts a CSR; told: to come back later.
func (x *rig) enroll(ctx context.Context, address string, csr []byte) (_ *x509.Certificate, told bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+"/.well-known/est/simpleenroll", strings.NewReader(base64.StdEncoding.EncodeToString(csr)))
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("Content-Type", "application/pkcs10")
	req.SetBasicAuth(x.ca.User, x.ca.Password)
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: x.ca.Roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, false, err
	case (resp.StatusCode == http.StatusAccepted || resp.StatusCode == http.StatusServiceUnavailable) && resp.Header.Get("Retry-After") != "":
		return nil, true, nil
	case resp.StatusCode != http.StatusOK:
		return nil, false, fmt.Errorf("%s %s", resp.Status, strings.TrimSpace(string(body)))
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
	if err != nil {
		return nil, false, err
	}
	p7, err := pkcs7.Parse(der)
	if err != nil {
		return nil, false, err
	}
	if len(p7.Certificates) == 0 {
		return nil, false, fmt.Errorf("no certificate in the answer")
	}
	return p7.Certificates[0], false, nil
}

// served returns when the last of the replicas first answered a client that came after
// from with its certificate; false where one has not so far.
func (l *load) served(from time.Time) (last time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for replica := range l.x.targets() {
		var first time.Time
		for _, a := range l.answers {
			if a.replica == replica && a.how == gotCertificate && a.begun.After(from) && (first.IsZero() || a.ended.Before(first)) {
				first = a.ended
			}
		}
		if first.IsZero() {
			return last, false
		}
		if first.After(last) {
			last = first
		}
	}
	return last, true
}

// gap is the longest time from when on without a certificate for anybody.
func (l *load) gap(from time.Time) (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := from
	for _, a := range l.answers { // in the order of their ends
		if a.how == gotCertificate && a.ended.After(last) {
			longest, last = max(longest, a.ended.Sub(last)), a.ended
		}
	}
	return longest
}

// foundOutSoon is for what is found out soon.
const foundOutSoon = 6 * time.Second

// stop lets each client have its certificate, or be told that it is being found out, and
// ends them.
func (l *load) stop(t *testing.T, patience time.Duration) {
	t.Helper()
	close(l.ending)
	done := make(chan struct{})
	go func() { l.clients.Wait(); close(done) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for began, waits := time.Now(), true; waits && time.Since(began) < patience; {
		select {
		case <-done:
			waits = false
		case <-tick.C:
			// Those whose POST was lost would wait for half a minute and more.
			waits = time.Since(began) < foundOutSoon || l.waits(l.x.beingFoundOut(t))
		}
	}
	l.end()
	<-done
	for _, text := range slices.Sorted(maps.Keys(l.problems)) {
		t.Logf("%d times: %s", l.problems[text], text)
	}
}

// count counts answers of one kind.
func (l *load) count(how int) (n int) {
	for _, a := range l.answers {
		if a.how == how {
			n++
		}
	}
	return n
}
