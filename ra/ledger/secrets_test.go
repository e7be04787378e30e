package ledger_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"ciscora/ra/ledger"
)

func TestASecretIsMadeOnceForAllReplicasAndStarts(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		replicas := []*ledger.Ledger{d.open("a")}
		if d.several {
			replicas = append(replicas, d.open("b"), d.open("c"))
		}
		got := make(chan []byte, 8*len(replicas))
		var all sync.WaitGroup
		for _, l := range replicas {
			for range 8 {
				all.Go(func() {
					secret, err := l.Secret(t.Context(), "digest")
					if err != nil {
						t.Error(err)
					}
					got <- secret
				})
			}
		}
		all.Wait()
		close(got)
		first := <-got
		if len(first) != 32 {
			t.Fatalf("%d bytes", len(first))
		}
		for secret := range got {
			if !bytes.Equal(secret, first) {
				t.Error("two have different ones")
			}
		}
		if other, err := replicas[0].Secret(t.Context(), "another"); err != nil || bytes.Equal(other, first) {
			t.Errorf("another name: %v", err)
		}
	})
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "ra.db")
	var before []byte
	for range 2 {
		l, err := ledger.Open(t.Context(), dsn, ledger.Options{})
		must(t, err)
		secret, err := l.Secret(t.Context(), "digest")
		must(t, errors.Join(err, l.Close()))
		if before != nil && !bytes.Equal(secret, before) {
			t.Error("a restart has another one")
		}
		before = secret
	}
	reader, err := ledger.OpenReadOnly(t.Context(), dsn, ledger.Options{})
	must(t, err)
	defer reader.Close()
	if _, err := reader.Secret(t.Context(), "new"); err == nil {
		t.Error("one who only reads makes a secret")
	}
}
