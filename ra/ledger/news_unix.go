//go:build unix

package ledger

import (
	"crypto/tls"
	"net"
	"syscall"
)

// hasNews tells whether something came on an idle connection: its end, or what the
// server says before it (SQLSTATE 57P01). It takes nothing away, and does not wait.
func hasNews(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return true // unknown: ask
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return true
	}
	news := true
	// Not raw.Read: that waits for who reads already, as pgx may in the background.
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		news = err != syscall.EAGAIN && err != syscall.EINTR
	})
	return err != nil || news
}
