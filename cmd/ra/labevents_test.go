package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"ciscora/ra/admin"
)

// Whoever reads what a lab has told must not miss the last enrollment.
func TestALabTellsWhatHappenedBeforeItsEnd(t *testing.T) {
	for range 200 {
		var out bytes.Buffer
		events := &labEvents{out: json.NewEncoder(&out), now: time.Now}
		enrollments := admin.NewEnrollments(0, time.Now)
		enrollments.Begin(admin.Enrollment{ID: "before"})
		end := events.follow(t.Context(), enrollments)
		told := func(id string) int {
			events.mu.Lock()
			defer events.mu.Unlock()
			return strings.Count(out.String(), `"id":"`+id+`"`)
		}
		for told("before") == 0 {
			runtime.Gosched()
		}
		enrollments.Begin(admin.Enrollment{ID: "last"})
		end()
		for _, id := range []string{"before", "last"} {
			if told(id) != 1 {
				t.Fatalf("%s is not told: %s", id, out.String())
			}
		}
	}
}
