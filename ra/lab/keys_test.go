package lab_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"testing"

	"ciscora/ra/lab"
)

// sharedKeys hands out, to each lab anew and in turn, keys that are made once: two thirds
// of these tests' time would go into those of their labs.
func sharedKeys(t testing.TB) func() (crypto.Signer, error) {
	t.Helper()
	keys := madeKeys()
	var next atomic.Int64
	return func() (crypto.Signer, error) { return keys[int(next.Add(1))%len(keys)], nil }
}

var madeKeys = sync.OnceValue(func() []crypto.Signer {
	keys := make([]crypto.Signer, 5)
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// Keys take longer to make than all else that a lab does: who starts many hands them in.
func TestALabMakesNoKeysWhereItIsGivenSome(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	l, err := lab.Start(t.Context(), lab.Options{
		Dir: t.TempDir(), Network: &lab.Memory{}, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0",
		NewKey: func() (crypto.Signer, error) { asked++; return key, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pair, err := tls.LoadX509KeyPair(l.Path("est.pem"), l.Path("est.key"))
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(pair.Leaf.PublicKey) {
		t.Error("the RA's key is another one")
	}
	if want := 4; asked != want { // root, issuing CA, web server, RA
		t.Errorf("%d keys were asked for, want %d", asked, want)
	}
}
