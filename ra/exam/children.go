package exam

import (
	"os/exec"
	"sync"
	"time"
)

// children are those of this process: the clients that it has started, and those that it
// adopts: what clients leave behind.
type children struct {
	adopts bool // else all others are somebody else's, and are left alone

	mu      sync.Mutex
	started map[int]struct{} // by mu: those that are waited for by who started them
}

// start starts a command, and knows it from what is adopted.
func (c *children) start(cmd *exec.Cmd) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.started[cmd.Process.Pid] = struct{}{}
	return nil
}

// ended forgets one that has been waited for.
func (c *children) ended(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.started, pid)
}

// adoptedEnd is how long what was killed may take to end: it may be at the disk.
const adoptedEnd = time.Second

// killAdopted kills all that is adopted, and what that has started in turn.
func (c *children) killAdopted() {
	until := time.NewTimer(adoptedEnd)
	defer until.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for c.reap(true) > 0 {
		select {
		case <-tick.C:
		case <-until.C:
			return
		}
	}
}
