package access_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ciscora/ra/access"
	"ciscora/ra/ledger"
)

const digestURI = "/.well-known/est/simpleenroll"

// digestReplica is one of several RAs in front of clients with HTTP Digest.
type digestReplica struct {
	*testing.T
	*fixture
}

func newDigestReplica(t *testing.T, key func(context.Context) ([]byte, error), ahead time.Duration) digestReplica {
	t.Helper()
	now := func() time.Time { return time.Now().Add(ahead) }
	path := digestFile(t, 0o600, "bob:est:"+digestOf(sha256.New, "bob", "est", "secret"))
	digest, err := access.OpenDigestUsers(path, key, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	return digestReplica{t, newFixture(t, func(o *access.Options) {
		o.Methods, o.Digest, o.Lockout = []access.Method{access.MethodUsers}, digest, access.Lockout{}
	})}
}

func (r digestReplica) ask(authorization string) *access.Error {
	r.Helper()
	req := httptest.NewRequestWithContext(r.Context(), http.MethodPost, digestURI, nil)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	_, err := r.Authenticate(r.Context(), req, label)
	answer, _ := errors.AsType[*access.Error](err)
	return answer
}

func (r digestReplica) nonce() string {
	r.Helper()
	_, rest, _ := strings.Cut(r.ask("").Challenges[0], `nonce="`)
	nonce, _, _ := strings.Cut(rest, `"`)
	return nonce
}

func keyOf(b byte) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return bytes.Repeat([]byte{b}, 32), nil }
}

func TestANonceOfOneReplicaIsGoodAtAnotherAndAfterARestart(t *testing.T) {
	client := func(password string) digestClient {
		return digestClient{user: "bob", password: password, uri: digestURI, hash: sha256.New, algorithm: "SHA-256"}
	}
	a := newDigestReplica(t, keyOf(1), 0)
	for _, test := range []struct {
		name   string
		key    byte
		ahead  time.Duration
		reason access.Reason // -1: let in
	}{
		{"the same key", 1, 0, -1},
		{"a clock that is behind", 1, -2 * time.Minute, -1},
		{"a clock that is ahead", 1, 2 * time.Minute, -1},
		{"a nonce that is too old", 1, 6 * time.Minute, access.ReasonStale},
		{"a nonce of another day", 1, -6 * time.Minute, access.ReasonStale},
		{"another key", 2, 0, access.ReasonStale},
	} {
		b := newDigestReplica(t, keyOf(test.key), test.ahead)
		nonce := a.nonce()
		e := b.ask(client("secret").header(nonce, "est", 1))
		switch {
		case test.reason == -1 && e != nil, test.reason != -1 && (e == nil || e.Reason != test.reason):
			t.Errorf("%s: %v", test.name, e)
		case e != nil && !strings.Contains(strings.Join(e.Challenges, " "), "stale=true"):
			t.Errorf("%s: %q is without stale=true", test.name, e.Challenges)
		}
		// Guesses are guesses, whatever their nonce is.
		if e := b.ask(client("falsch").header(nonce, "est", 2)); e == nil || e.Reason != access.ReasonWrong {
			t.Errorf("%s, a wrong password: %v", test.name, e)
		}
	}
	if e := a.ask(client("secret").header("AAAA", "est", 1)); e == nil || e.Reason != access.ReasonStale {
		t.Errorf("a nonce made up: %v", e)
	}
}

func TestANonceIsCountedByEachProcessForItself(t *testing.T) {
	bob := digestClient{user: "bob", password: "secret", uri: digestURI, hash: sha256.New, algorithm: "SHA-256"}
	a, b := newDigestReplica(t, keyOf(1), 0), newDigestReplica(t, keyOf(1), 0)
	nonce := a.nonce()
	for _, test := range []struct {
		at    digestReplica
		count int
		in    bool
	}{
		{a, 1, true},
		{a, 1, false},
		{a, 3, true},
		{a, 2, false},
		{a, 4, true},
		{b, 1, true},
		{b, 1, false}, // what docs/operations.md says it is worth
	} {
		if e := test.at.ask(bob.header(nonce, "est", test.count)); (e == nil) != test.in || e != nil && e.Reason != access.ReasonStale {
			t.Errorf("count %d: %v", test.count, e)
		}
	}
}

func TestWithoutTheKeyOfTheNoncesNobodyIsAskedForThem(t *testing.T) {
	away := true
	r := newDigestReplica(t, func(ctx context.Context) ([]byte, error) {
		if away {
			return nil, ledger.ErrUnavailable
		}
		return keyOf(1)(ctx)
	}, 0)
	if e := r.ask(""); e == nil || e.Reason != access.ReasonCA || !errors.Is(e, ledger.ErrUnavailable) || e.Challenges != nil {
		t.Errorf("%+v", e)
	}
	away = false
	if r.nonce() == "" {
		t.Error("no nonce once the key is there")
	}
}
