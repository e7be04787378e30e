// Package filelock gives a folder or a file to one process at a time, by a lock file
// beside it.
package filelock

import (
	"errors"
	"fmt"
	"os"

	"github.com/gofrs/flock"
)

// ErrHeld says that another process, or this one, has the lock.
var ErrHeld = errors.New("in use by another process")

// Lock is a lock that is held.
type Lock struct{ file *flock.Flock }

// Take takes the lock of the file at path, which it makes (mode 0600) where there is
// none and which stays when the lock goes. It does not wait: the error is ErrHeld where
// somebody has the lock. The end of the process, in whatever way, gives it back.
func Take(path string) (*Lock, error) {
	file := flock.New(path, flock.SetPermissions(0o600), flock.SetFlag(os.O_CREATE|os.O_RDWR))
	got, err := file.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", path, err)
	case !got:
		return nil, ErrHeld
	}
	return &Lock{file}, nil
}

// Close gives the lock back.
func (l *Lock) Close() error { return l.file.Close() }
