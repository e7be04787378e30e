package fault_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"ciscora/ra/fault"
)

// bites asks the policy n times and tells which times the fault bit.
func bites(r *fault.Registry, n int) string {
	out := ""
	for range n {
		if r.Policy(context.Background()).Pending {
			out += "x"
		} else {
			out += "."
		}
	}
	return out
}

func TestAFaultLivesAsLongAsItsSpecSays(t *testing.T) {
	for spec, want := range map[string]string{
		"certsrv.submit:pending":                      "xxxxxxxx",
		"certsrv.submit:pending,count=2":              "xx......",
		"certsrv.submit:pending,skip=1":               ".xxxxxxx",
		"certsrv.submit:pending,skip=1,count=2":       ".xx.....",
		"certsrv.submit:hang":                         "........",
		"certsrv.submit:pending,probability=1,seed=1": "xxxxxxxx",
		"certsrv.ca:pending,count=1":                  "x.......",
	} {
		r := fault.NewRegistry(fault.Options{})
		if _, err := r.Order(spec); err != nil {
			t.Fatal(err)
		}
		if got := bites(r, 8); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
}

func TestAFaultOfATimeEndsWithIt(t *testing.T) {
	now := time.Unix(0, 0)
	r := fault.NewRegistry(fault.Options{Now: func() time.Time { return now }})
	if _, err := r.Order("certsrv.submit:pending,for=30s"); err != nil {
		t.Fatal(err)
	}
	first := bites(r, 1)
	now = now.Add(30 * time.Second)
	if got := first + bites(r, 1); got != "x." || len(r.List()) != 0 {
		t.Errorf("%s, %d in the list", got, len(r.List()))
	}
}

func TestASeedGivesTheSameEveryTime(t *testing.T) {
	walk := func(seed int) string {
		r := fault.NewRegistry(fault.Options{})
		if _, err := r.Order(fmt.Sprintf("certsrv.submit:pending,probability=0.5,seed=%d", seed)); err != nil {
			t.Fatal(err)
		}
		return bites(r, 64)
	}
	if first, again, other := walk(7), walk(7), walk(8); first != again || first == other {
		t.Errorf("seed 7: %s, again %s; seed 8: %s", first, again, other)
	}
}

func TestFaultsAreListedAndTakenBack(t *testing.T) {
	r := fault.NewRegistry(fault.Options{})
	a, _ := r.Order("certsrv.submit:pending,count=5")
	b, _ := r.Order("est.any:delay=1s")
	bites(r, 2)
	list := r.List()
	if len(list) != 2 || list[0].ID != a || list[0].Hits != 2 || *list[0].Remaining != 3 || list[1].Spec != "est.any:delay=1s" {
		t.Errorf("%+v", list)
	}
	if !r.Remove(b) || r.Remove(b) || r.Clear() != 1 || len(r.List()) != 0 {
		t.Error("a fault is not taken back as it should be")
	}
	if got := bites(r, 2); got != ".." {
		t.Errorf("after that: %s", got)
	}
}

func TestAForeignCAHasNoFaultsInside(t *testing.T) {
	r := fault.NewRegistry(fault.Options{ForeignCA: true})
	if _, err := r.Order("certsrv.submit:hang"); err == nil || r.IsLabel("fault:certsrv.submit:hang") {
		t.Errorf("a fault inside a foreign CA was taken: %v", err)
	}
	// Those of the RA's certificate take a CA that makes a wrong one; without, each
	// handshake would fail on the RA's side.
	for _, kind := range []string{"self-signed", "wrong-name", "expired", "not-yet-valid"} {
		if _, err := r.Order("est.tls:" + kind); err == nil || r.IsLabel("fault:est.tls:"+kind) || !strings.Contains(err.Error(), "ra lab") {
			t.Errorf("%s was taken: %v", kind, err)
		}
	}
	for _, kind := range []string{"tls1.0", "tls1.3", "stall", "reset"} {
		if _, err := r.Order("est.tls:" + kind); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.Order("est.any:delay=1s"); err != nil || !r.IsLabel("fault:resolve:not-found") || r.IsLabel("wifi") || r.IsLabel("fault:nonsense") {
		t.Errorf("a fault of the RA's own was refused: %v", err)
	}
}

func TestThereIsAnEndToTheNumberOfFaults(t *testing.T) {
	r := fault.NewRegistry(fault.Options{})
	var err error
	for range 1001 {
		_, err = r.Order("est.any:delay=1s")
	}
	if err == nil {
		t.Error("1001 faults were taken")
	}
}
