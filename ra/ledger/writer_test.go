package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/ra/ledger"
)

func TestOneRowThatCannotBeWrittenDoesNotSinkThoseThatWaitWithIt(t *testing.T) {
	path := written(t)
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	must(t, err)
	defer l.Close()
	ctx := t.Context()
	var claims []ledger.Claim
	for i := range 20 {
		claims = append(claims, claim(t, l, request(fmt.Sprint("row", i), "x")))
	}
	restore := l.LimitSize(t, 0) // the disk is full, and the small ones have room in their pages
	defer restore()
	release := l.Busy(t)
	var all sync.WaitGroup
	failed := make([]error, len(claims))
	for i := range claims {
		all.Go(func() {
			failed[i] = l.Update(ctx, &claims[i], func(r *ledger.Row) {
				r.ReqID = i + 1
				if i == 7 {
					r.Certificate = make([]byte, 1<<20)
				}
			})
		})
	}
	l.Queued(len(claims))
	release()
	all.Wait()
	for i, err := range failed {
		if i == 7 && !errors.Is(err, ledger.ErrUnavailable) || i != 7 && err != nil {
			t.Errorf("row %d: %v", i, err)
		}
		row, err := l.Get(ctx, claims[i].Row.ID)
		must(t, err)
		if want := i + 1; i != 7 && row.ReqID != want || i == 7 && row.ReqID != 0 {
			t.Errorf("row %d: ReqID %d", i, row.ReqID)
		}
	}
}

func TestWhoseContextEndsWhileItWaitsHasWrittenNothing(t *testing.T) {
	l, err := ledger.Open(t.Context(), "sqlite:"+written(t), ledger.Options{})
	must(t, err)
	defer l.Close()
	c := claim(t, l, request("phone", "x"))
	release := l.Busy(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Update(ctx, &c, func(r *ledger.Row) { r.ReqID = 5 }) }()
	l.Queued(1)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the update: %v", err)
	}
	release()
	row, err := l.Get(t.Context(), c.Row.ID)
	must(t, err)
	if row.ReqID != 0 || c.Row.ReqID != 0 {
		t.Errorf("ReqID %d in the ledger, %d in the claim", row.ReqID, c.Row.ReqID)
	}
	must(t, l.Update(t.Context(), &c, func(r *ledger.Row) { r.ReqID = 6 }))
}

func TestAChangeThatWaitsWhenTheLedgerIsClosedIsToldThat(t *testing.T) {
	l, err := ledger.Open(t.Context(), "sqlite::memory:", ledger.Options{})
	must(t, err)
	must(t, l.Close())
	if _, err := l.Claim(t.Context(), request("phone", "x")); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("a claim: %v", err)
	}
	must(t, l.Close())
}

func TestANewLedgerIsReadByItsOwnerAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "ra.db")
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	must(t, err)
	defer l.Close()
	claim(t, l, request("phone", "x"))
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".lock"} {
		info, err := os.Stat(name)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", filepath.Base(name), info.Mode().Perm())
		}
	}
}

func TestALedgerThatOthersCouldReadIsTakenFromThem(t *testing.T) {
	path := written(t)
	for _, name := range []string{path, path + ".lock"} {
		must(t, os.Chmod(name, 0o644))
	}
	core, logs := observer.New(zap.InfoLevel)
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{Logger: zap.New(core)})
	must(t, err)
	defer l.Close()
	claim(t, l, request("phone", "another"))
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".lock"} {
		info, err := os.Stat(name)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", filepath.Base(name), info.Mode().Perm())
		}
	}
	if n := logs.FilterField(zap.String("file", path)).FilterField(zap.String("mode", "0644")).Len(); n != 1 {
		t.Errorf("the log tells it %d times", n)
	}
}
