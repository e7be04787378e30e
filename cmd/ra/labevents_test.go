package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ciscora/ra/admin"
)

// Whoever counts the lines counts the enrollments, and does not miss the last.
func TestALabTellsOfEachEnrollmentOnceItHasEnded(t *testing.T) {
	for range 200 {
		var out bytes.Buffer
		events := &labEvents{out: json.NewEncoder(&out), now: time.Now}
		enrollments := admin.NewEnrollments(0, time.Now)
		state := func(to admin.State) func(*admin.Enrollment) {
			return func(e *admin.Enrollment) { e.State = to }
		}
		for _, id := range []string{"challenged", "issued", "running"} {
			enrollments.Begin(admin.Enrollment{ID: id})
		}
		end := events.follow(t.Context(), enrollments)
		enrollments.Finish("challenged", state(admin.Challenged))
		enrollments.Update("issued", state(admin.Submitted))
		enrollments.Finish("issued", state(admin.Issued))
		for told := false; !told; runtime.Gosched() {
			events.mu.Lock()
			told = out.Len() > 0
			events.mu.Unlock()
		}
		enrollments.Update("issued", func(e *admin.Enrollment) { e.CN = "known later" })
		enrollments.Begin(admin.Enrollment{ID: "last"})
		enrollments.Finish("last", state(admin.Failed))
		end()
		var told []string
		for line := range strings.Lines(out.String()) {
			var e struct {
				ID, State string
				Finished  bool
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			told = append(told, fmt.Sprint(e.ID, " ", e.State, " ", e.Finished))
		}
		if want := []string{"issued issued true", "last failed true", "running received false"}; !slices.Equal(told, want) {
			t.Fatalf("%q, want %q", told, want)
		}
	}
}
