package tracelog

import (
	"fmt"
	"io"
)

// CiscoRA writes the CiscoRA log: what CES logs while it starts, and nothing
// of later enrollments (docs/reference/ces.md, "Four logs, four formats"). None of
// its lines has a time.
type CiscoRA struct{ sink *sink }

// NewCiscoRA writes to w.
func NewCiscoRA(w io.Writer) *CiscoRA { return &CiscoRA{sink: &sink{w: w}} }

// Err is the error of the last write; nil when it succeeded.
func (c *CiscoRA) Err() error { return c.sink.lastErr() }

// StartUp writes both trust stores and libest's version.
func (c *CiscoRA) StartUp(s StartUp) { c.sink.put(s.lines()...) }

// ChainRequested says that the chain is asked for before it is there.
func (c *CiscoRA) ChainRequested() { c.sink.put(chainRequestedLines()...) }

// ServerPID says that NGINX runs, as process pid; it ends the start.
func (c *CiscoRA) ServerPID(pid int) {
	c.sink.put(fmt.Sprintf("EnrollmentService.sh : nginx server PID value = %d", pid))
}

// LoginFailed says that the log-in at the start failed, so that there is no
// chain (docs/reference/ces.md F1 to F5, F7).
func (c *CiscoRA) LoginFailed(f Failure) {
	c.sink.put(failureLines(ciscoRALine, loginFunction, loginFailure, f, true)...)
}

// ChainFailed says that the chain could not be read after a good log-in
// (docs/reference/ces.md F8).
func (c *CiscoRA) ChainFailed(f Failure) {
	c.sink.put(failureLines(ciscoRALine, chainFunction, requestFailure, f, true)...)
}

func ciscoRALine(level, format string, args ...any) string {
	return startUpLine(level, fmt.Sprintf(format, args...))
}
