//go:build unix

package exam

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
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

// maxRSS is the most memory that a process has had, or one of its children, in bytes; 0
// where that is not known. Until it is another program a new process is in the memory of
// this one, which Linux counts as its own: less than that says nothing.
func maxRSS(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss
	}
	if usage.Maxrss <= ownPeak() {
		return 0
	}
	return usage.Maxrss << 10
}

// ownPeak is the most memory that this process has had, in kB, on Linux.
func ownPeak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	peak, _ := strconv.ParseInt(number, 10, 64) // 0 where there is none
	return peak
}
