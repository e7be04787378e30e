//go:build unix

package exam

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// ownSession gives the process a session of its own: a group to kill, and no terminal
// that it could ask a person at, or be stopped by.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// killGroup kills a process with all of its group.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) } // that it is gone is as well

// killMarked kills the processes that have a variable in their environment, in whatever
// group they are, and tells how many there were. Where there is no /proc none are found.
func killMarked(mark string) int {
	if mark == "" {
		return 0
	}
	killed := 0
	for range 10 { // one that forks meanwhile
		found := 0
		files, _ := filepath.Glob("/proc/[0-9]*/environ") // a constant pattern
		for _, file := range files {
			environ, err := os.ReadFile(file)
			if err != nil || !hasVariable(environ, mark) {
				continue // gone, or another's
			}
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err == nil && pid != os.Getpid() && syscall.Kill(pid, syscall.SIGKILL) == nil {
				found++
			}
		}
		killed += found
		if found == 0 {
			break
		}
	}
	return killed
}

func hasVariable(environ []byte, mark string) bool {
	return bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+mark+"\x00"))
}

// maxRSS is the most memory that a process has had, or one of its children, in bytes. A
// process begins with what the one had that started it (Linux counts on over exec), so
// what is not more than this one's own is not known: 0.
func maxRSS(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	var own syscall.Rusage
	if !ok || syscall.Getrusage(syscall.RUSAGE_SELF, &own) != nil || usage.Maxrss <= own.Maxrss {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss
	}
	return usage.Maxrss << 10
}
