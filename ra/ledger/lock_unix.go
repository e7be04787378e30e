//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// lockFile takes the lock beside a ledger, which its process's end gives back.
func lockFile(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make its lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.New("is in use by another process: end that one, or give this one a ledger of its own; several replicas need PostgreSQL")
		}
		return nil, fmt.Errorf("lock it: %w", err)
	}
	return f, nil
}
