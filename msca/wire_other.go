//go:build !linux

package msca

import (
	"syscall"
	"time"
)

func (w *wire) peek() sight { return sightUnknown }

// setUserTimeout does nothing: TCP_USER_TIMEOUT is Linux's.
func setUserTimeout(syscall.RawConn, time.Duration) {}
