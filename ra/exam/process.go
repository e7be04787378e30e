package exam

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// maxOutput is what is kept of what a client prints, of each of its two streams.
const maxOutput = 64 << 10

// lingering is how long a client's streams may stay open once it has ended: a child of
// its own that it left behind may hold them.
const lingering = 500 * time.Millisecond

// command is a client's process to be.
type command struct {
	args  []string
	env   []string
	limit time.Duration
	mark  string // NAME=VALUE in env, by which its children are found
	// secrets are looked for in all that it prints, also in what is not kept.
	secrets  []string
	children *children
}

// ended is how a process ended.
type ended struct {
	Exit   int    // of a process that ended by itself
	Signal string // "" = none
	Hung   bool   // it was killed at the limit
	Stdout string
	Stderr string
	Took   time.Duration
	MaxRSS int64 // bytes; 0 where that is not known
	Left   int   // children that it left behind, which were killed
	Told   bool  // a secret stands in what it printed
	Steers bool  // and bytes that steer a terminal
}

// run starts the command in a session of its own, without a terminal, and kills it with
// all its children at the limit, or when ctx ends. The error is that it could not be
// started, or ctx's.
func (c command) run(ctx context.Context) (ended, error) {
	out, log := head{secrets: c.secrets}, head{secrets: c.secrets}
	cmd := exec.Command(c.args[0], c.args[1:]...) //nolint:gosec,noctx // to run the user's command is the purpose; the group is killed below
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, &out, &log
	cmd.WaitDelay = lingering
	ownSession(cmd)
	began := time.Now()
	if err := c.children.start(cmd); err != nil {
		return ended{}, &startError{err}
	}
	var err error // of the end; read it after done
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = cmd.Wait()
		c.children.ended(cmd.Process.Pid)
	}()
	timer := time.NewTimer(c.limit)
	defer timer.Stop()
	var e ended
	select {
	case <-done:
	case <-timer.C:
		e.Hung = true
		killGroup(cmd.Process.Pid)
		<-done
	case <-ctx.Done():
		killGroup(cmd.Process.Pid)
		<-done
		killMarked(c.mark)
		return ended{}, context.Cause(ctx)
	}
	e.Took = time.Since(began)
	killGroup(cmd.Process.Pid)
	e.Left = killMarked(c.mark)
	c.children.reap(false) // of the others nobody knows which run they are of: another one's may be needed yet
	e.Stdout, e.Stderr = out.String(), log.String()
	e.Told, e.Steers = out.told || log.told, out.steers || log.steers
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) && !errors.Is(err, exec.ErrWaitDelay) {
		return e, fmt.Errorf("wait for the client's command: %w", err)
	}
	e.Exit, e.Signal = status(cmd.ProcessState)
	e.MaxRSS = maxRSS(cmd.ProcessState)
	return e, nil
}

// status tells an exit status from a signal. A shell reports its child's signal as 128
// and the number.
func status(state *os.ProcessState) (exit int, signal string) {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return -1, ws.Signal().String()
	}
	exit = state.ExitCode()
	if exit > 128 && exit <= 192 {
		signal = syscall.Signal(exit - 128).String()
	}
	return exit, signal
}

// head keeps what was written first, up to maxOutput, and counts the rest; it looks at all
// of it. Its fields are to be read once the process has been waited for.
type head struct {
	secrets []string
	kept    bytes.Buffer
	lost    int64
	last    []byte // the end of what was written: a secret may come in two pieces
	told    bool
	steers  bool
}

func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), maxOutput-h.kept.Len())
	h.kept.Write(p[:n])
	h.lost += int64(len(p) - n)
	h.steers = h.steers || bytes.ContainsAny(p, "\x1b\a")
	longest := 0
	for _, secret := range h.secrets {
		longest = max(longest, len(secret))
	}
	seam := slices.Concat(h.last, p[:min(len(p), longest)])
	for _, secret := range h.secrets {
		h.told = h.told || bytes.Contains(seam, []byte(secret)) || bytes.Contains(p, []byte(secret))
	}
	if len(p) > longest {
		seam = p
	}
	h.last = slices.Clone(seam[max(0, len(seam)-longest):])
	return len(p), nil
}

func (h *head) String() string {
	if h.lost > 0 {
		return fmt.Sprintf("%s\n[%d bytes more]", h.kept.String(), h.lost)
	}
	return h.kept.String()
}

// startError is a command that cannot be started: nothing can be examined then.
type startError struct{ err error }

func (e *startError) Error() string {
	text := fmt.Sprintf("the client's command cannot be started: %v", e.err)
	if errors.Is(e.err, exec.ErrNotFound) || errors.Is(e.err, os.ErrNotExist) {
		text += "; see that the program is there, and its path"
	}
	return text
}

func (e *startError) Unwrap() error { return e.err }
