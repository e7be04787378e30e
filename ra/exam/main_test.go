package exam_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"ciscora/ra/exam/wrongclient"
)

// asClient has this test binary be the client that is examined.
const asClient = "RA_EXAM_TEST_CLIENT"

func TestMain(m *testing.M) {
	if os.Getenv(asClient) != "" {
		os.Exit(wrongclient.Main(os.Getenv, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}
