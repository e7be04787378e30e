package exam_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"ciscora/ra/exam/wrongclient"
	"ciscora/ra/scenario"
)

// asClient has this test binary be the client that is examined.
const asClient = "RA_EXAM_TEST_CLIENT"

func TestMain(m *testing.M) {
	if os.Getenv(asClient) != "" {
		os.Exit(wrongclient.Main(os.Getenv, os.Stdout, os.Stderr))
	}
	dir, err := os.MkdirTemp("", "ra-exam-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	makeKeys = sync.OnceValues(func() (*scenario.Keys, error) { return scenario.MakeKeys(dir) })
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

var makeKeys func() (*scenario.Keys, error)

// keys are of the servers of all examinations here: RSA keys take longer than most cases.
func keys(t *testing.T) *scenario.Keys {
	t.Helper()
	made, err := makeKeys()
	if err != nil {
		t.Fatal(err)
	}
	return made
}
