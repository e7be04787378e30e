package explain_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write docs/explain.md anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
