package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
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

// follow tells of each enrollment once, when it has ended, until ctx ends or the function
// that it returns is called; then of those that still run, as they are.
func (e *labEvents) follow(ctx context.Context, enrollments *admin.Enrollments) (end func()) {
	f, _, err := enrollments.Follow(admin.Filter{}, "0")
	if err != nil {
		return func() {} // there are none that follow at the start
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		defer f.Close()
		told := toldOnce{ids: map[string]bool{}}
		var open []admin.Enrollment
		for running := true; running; {
			select {
			case <-f.More():
			case <-ctx.Done():
				running = false
			}
			for changes := f.Next(100); len(changes) > 0; changes = f.Next(100) {
				for _, c := range changes {
					open = slices.DeleteFunc(open, func(o admin.Enrollment) bool { return o.ID == c.ID })
					switch {
					case !c.Finished:
						open = append(open, c.Enrollment)
					case c.State == admin.Challenged: // the client comes again with its password
					case told.first(c.ID) && e.tell("enrollment", c.Enrollment) != nil:
						return // nobody reads it any more
					}
				}
			}
		}
		for _, o := range open {
			if e.tell("enrollment", o) != nil {
				return
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// toldOnce knows the enrollments that were told, as many as the RA remembers: one that it
// has forgotten changes no more.
type toldOnce struct {
	ids   map[string]bool
	order []string
}

// first tells whether id has not been told yet, and notes that it is now.
func (t *toldOnce) first(id string) bool {
	if t.ids[id] {
		return false
	}
	if len(t.order) == admin.DefaultKept {
		delete(t.ids, t.order[0])
		t.order = t.order[1:]
	}
	t.ids[id], t.order = true, append(t.order, id)
	return true
}
