package exam

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxWritten is the most that is read of a file that a client has written.
const maxWritten = 4 << 20

// readWritten reads a file that the client was to write: nil where there is none. problem
// is why what is there cannot be read: a pipe has no end, and a device may have none.
func readWritten(file, name string) (data []byte, problem string) {
	// Whoever opens a named pipe waits for its writer unless he says otherwise.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ""
	}
	if err != nil {
		return nil, name + " cannot be read"
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, name + " is no regular file"
	}
	data, err = io.ReadAll(io.LimitReader(f, maxWritten+1))
	switch {
	case err != nil:
		return nil, name + " cannot be read"
	case len(data) > maxWritten:
		return nil, fmt.Sprintf("%s has more than %d MiB", name, maxWritten>>20)
	case len(data) == 0:
		return nil, ""
	}
	return data, ""
}
