package ledgertest

import (
	"flag"
	"runtime"
	"strconv"
)

// waiting is how many tests that wait for time-outs, and hardly compute, run at a time.
const waiting = 4

// WaitTogether lets tests that are parallel run beside each other where there are fewer
// processors than that, unless -parallel says how many. It is for a TestMain.
func WaitTogether() error {
	flag.Parse()
	f := flag.Lookup("test.parallel")
	if runtime.GOMAXPROCS(0) >= waiting || f.Value.String() != f.DefValue {
		return nil
	}
	return f.Value.Set(strconv.Itoa(waiting))
}
