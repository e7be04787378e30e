package msca

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// peek looks at what the CA has sent, without waiting and without taking it.
func (w *wire) peek() sight {
	if w.look == nil {
		return sightUnknown
	}
	seen := sightUnknown
	err := w.look.Read(func(fd uintptr) bool {
		var one [1]byte
		n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			seen = sightQuiet
		case errors.Is(err, unix.EINTR):
			seen = sightUnknown
		case err != nil || n == 0:
			seen = sightGone
		default:
			seen = sightBytes
		}
		return true // do not wait
	})
	if err != nil {
		return sightGone
	}
	return seen
}

func setUserTimeout(conn syscall.RawConn, d time.Duration) {
	// Of a Unix socket, or a connection that has ended, there is none to set.
	_ = conn.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}
