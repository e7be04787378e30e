//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package certsrv

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes path for this process alone until the file is closed, or the
// process ends in whatever way. It returns errLocked when another one has it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // the error that counts is err
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, err
	}
	return f, nil
}

func unlockFile(f *os.File) error { return f.Close() }
