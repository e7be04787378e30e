package lab

import (
	"io"
	"net"
	"strings"
	"testing"

	"ciscora/ra/wire"
)

// Wire is what a lab remembers of its wires.
func Wire(l *Lab) *wire.Recorder { return l.record.wire }

// Capture writes an enrollment's connections.
func Capture(l *Lab, w io.Writer, id string) error { return l.record.Capture(w, id) }

// FaultKinds are those that the console offers.
var FaultKinds = faultKinds

// Account is the lab's.
func Account(l *Lab) (user, password string, err error) {
	return l.creds.User, string(l.creds.Password), nil
}

// AwaitRefusal returns once the EST port takes no connection any more.
func (l *Lab) AwaitRefusal(t *testing.T) {
	t.Helper()
	for t.Context().Err() == nil {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(l.ESTURL, "https://"))
		if err != nil {
			return
		}
		c.Close()
	}
}
