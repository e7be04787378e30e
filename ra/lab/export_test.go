package lab

import (
	"net"
	"strings"
	"testing"
)

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
