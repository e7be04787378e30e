package console

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"ciscora/internal/printable"
	"ciscora/ra/admin"
	"ciscora/ra/ledger"
)

// story is one enrollment with all that is known of it.
type story struct {
	Title, State, Identity, Client, UserAgent, Label, Template, Error, Enrollment, Replica string
	Row                                                                                    int64
	ReqID, Status                                                                          int
	Challenged, Finished, Orphan                                                           bool
	Candidates                                                                             []int
	Began                                                                                  time.Time
	Took                                                                                   time.Duration
	Legs                                                                                   []leg
	Hint                                                                                   string
}

// leg is one exchange with the CA.
type leg struct {
	Name, Error   string
	Start         time.Time
	After         time.Duration // since the story began
	Took          time.Duration
	Status, Bytes int
}

func line(s string) string { return printable.Line(s, 2000) }

func (c *console) ofEnrollment(e admin.Enrollment) story {
	s := story{
		Title: line(e.CN), State: string(e.State), Identity: line(e.Identity), Client: line(e.Client), UserAgent: line(e.UserAgent),
		Label: line(e.Label), Template: line(e.Template), Error: line(e.Error), Enrollment: e.ID,
		ReqID: e.ReqID, Status: e.ESTStatus, Challenged: e.Challenged, Finished: e.Finished, Began: e.Started, Took: e.Duration,
	}
	for _, l := range e.Legs {
		s.Legs = append(s.Legs, leg{Name: l.Name, Error: line(l.Error), Start: l.Start, Took: l.Duration, Status: l.Status, Bytes: l.Bytes})
	}
	if !e.Finished {
		s.Took = c.Now().Sub(e.Started)
	}
	s.complete()
	return s
}

func ofRow(r ledger.Row) story {
	s := story{
		Title: line(r.CN), State: string(r.State), Identity: line(r.Identity), Label: line(r.Label), Template: line(r.Template),
		Error: line(r.Error), Enrollment: r.Enrollment, Replica: line(r.Replica), Row: r.ID, ReqID: r.ReqID,
		Finished: !r.Open || r.State == ledger.StateDelivered, Orphan: r.Orphan(), Candidates: r.Candidates, Began: r.Received,
	}
	for _, l := range r.Legs {
		s.Legs = append(s.Legs, leg{Name: l.Name, Error: line(l.Error), Start: l.Start, Took: l.Took})
	}
	if !r.Delivered.IsZero() {
		s.Took = r.Delivered.Sub(r.Received)
	}
	s.complete()
	return s
}

// complete counts times from the first thing that happened.
func (s *story) complete() {
	if s.Title == "" {
		s.Title = "(no name)"
	}
	for _, l := range s.Legs {
		if l.Start.Before(s.Began) {
			s.Began = l.Start
		}
	}
	for i := range s.Legs {
		l := &s.Legs[i]
		l.After = l.Start.Sub(s.Began)
		s.Took = max(s.Took, l.After+l.Took)
	}
	s.Hint = hint(*s)
}

// hint says what a person does next, where something is to be done.
func hint(s story) string {
	switch {
	case s.Orphan && len(s.Candidates) > 0:
		return fmt.Sprintf("A possible orphan: the CA may have issued it under one of the ReqIDs %v. Look them up there, then ra ledger resolve %d --req-id N.", s.Candidates, s.Row)
	case s.State == string(admin.Pending):
		return "A manager decides at the CA. The client comes again, and gets the certificate then."
	case s.State == string(admin.Challenged):
		return "The client was asked for credentials (401). It is to come again with them: that is another request."
	case s.Error != "":
		return "ra explain, given the logs of this minute, names the cause and the remedy."
	}
	return ""
}

func (c *console) enrollment(w http.ResponseWriter, r *http.Request) {
	id := chi.URLParam(r, "id")
	e, ok := c.Enrollments.Get(id)
	if !ok {
		c.problem(w, r, http.StatusNotFound, "This process knows no such enrollment: it was another one's, or is too long ago. The requests of the ledger stay.")
		return
	}
	c.theatre(w, r, c.ofEnrollment(e), "/console/enrollments/"+id)
}

func (c *console) theatre(w http.ResponseWriter, r *http.Request, s story, path string) {
	switch chi.URLParam(r, "format") {
	case "":
		c.show(w, r, http.StatusOK, "enrollment", page{Title: s.Title, Data: struct {
			story
			Drawing drawing
			Path    string
		}{s, draw(s), path}})
	case "svg":
		w.Header().Set("Content-Type", "image/svg+xml")
		if err := c.pages["enrollment"].ExecuteTemplate(w, "svg", draw(s)); err != nil {
			c.problem(w, r, http.StatusInternalServerError, "The picture cannot be made.")
		}
	case "txt":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(s.text())) //nolint:gosec // plain text, with nosniff
	default:
		c.problem(w, r, http.StatusNotFound, "There is .svg and .txt of it.")
	}
}

// text is the story for a mail.
func (s story) text() string {
	var b strings.Builder
	say := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-10s %s\n", name, value)
		}
	}
	say("enrollment", s.Enrollment)
	say("name", s.Title)
	say("identity", s.Identity)
	say("client", s.Client)
	say("label", s.Label)
	say("template", s.Template)
	say("state", s.State)
	if s.Status != 0 {
		say("answer", fmt.Sprint(s.Status))
	}
	if s.ReqID != 0 {
		say("ReqID", fmt.Sprint(s.ReqID))
	}
	say("began", instant(s.Began))
	say("took", took(s.Took))
	say("error", s.Error)
	say("next", s.Hint)
	b.WriteString("\n")
	for _, l := range s.Legs {
		fmt.Fprintf(&b, "%s  +%-9s %-10s %9s", clock(l.Start), took(l.After), l.Name, took(l.Took))
		if l.Status != 0 {
			fmt.Fprintf(&b, "  HTTP %d, %d bytes", l.Status, l.Bytes)
		}
		if l.Error != "" {
			b.WriteString("  " + l.Error)
		}
		b.WriteString("\n")
	}
	return b.String()
}
