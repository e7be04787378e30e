package exam

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// adopt has this process take in, from now on, each descendant whose parent has ended,
// whatever session it is in and whatever its environment.
func adopt(on bool) error {
	var value uintptr
	if on {
		value = 1
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, value, 0, 0, 0); err != nil {
		return fmt.Errorf("adopt what clients leave behind (prctl): %w", err)
	}
	return nil
}

// reap takes away the adopted ones that have ended; with kill it kills the others. It
// tells how many are left.
func (c *children) reap(kill bool) (left int) {
	if !c.adopts {
		return 0
	}
	c.mu.Lock() // none is started meanwhile that would be taken for an adopted one
	defer c.mu.Unlock()
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // a constant pattern
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || !isChild(file) {
			continue
		}
		if _, own := c.started[pid]; own {
			continue
		}
		if kill {
			_ = unix.Kill(pid, unix.SIGKILL) // that it has ended is as well
		}
		if reaped, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err == nil && reaped == 0 {
			left++
		}
	}
	return left
}

// isChild tells by its stat file whether a process is a child of this one.
func isChild(file string) bool {
	stat, err := os.ReadFile(file)
	if err != nil {
		return false // gone
	}
	// PID (NAME) STATE PARENT: the name may have anything in it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(fields) > 1 && string(fields[1]) == strconv.Itoa(os.Getpid())
}
