//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package certsrv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// lockFile takes path for this process alone by creating it. Where no lock ends
// with its process, the file of one that was killed must be removed by hand.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w (remove %s if that process is gone)", errLocked, path)
	}
	return f, err
}

func unlockFile(f *os.File) error { return errors.Join(f.Close(), os.Remove(f.Name())) }
