package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"ciscora/ra/admin"
)

// labEvents prints what `ra lab --json` has to say, one JSON object a line.
type labEvents struct {
	now func() time.Time

	mu  sync.Mutex // guards out
	out *json.Encoder
}

// tell prints an event, with the members of what it is about.
func (e *labEvents) tell(name string, about any) error {
	line := map[string]any{}
	if about != nil {
		data, err := json.Marshal(about)
		if err == nil {
			err = json.Unmarshal(data, &line)
		}
		if err != nil {
			return fmt.Errorf("tell of %s: %w", name, err)
		}
	}
	line["event"], line["time"] = name, e.now().UTC().Format(time.RFC3339Nano)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.out.Encode(line)
}

// follow tells of each enrollment as it changes, until ctx ends or the function that it
// returns is called; and of all that had changed till then.
func (e *labEvents) follow(ctx context.Context, enrollments *admin.Enrollments) (end func()) {
	f, _, err := enrollments.Follow(admin.Filter{}, "0")
	if err != nil {
		return func() {} // there are none that follow at the start
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		defer f.Close()
		for running := true; running; {
			select {
			case <-f.More():
			case <-ctx.Done():
				running = false
			}
			for changes := f.Next(100); len(changes) > 0; changes = f.Next(100) {
				for _, c := range changes {
					if e.tell("enrollment", c.Enrollment) != nil {
						return // nobody reads it any more
					}
				}
			}
		}
	})
	return func() { cancel(); done.Wait() }
}
