package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"ciscora/internal/printable"
	"ciscora/ra/admin"
	"ciscora/ra/ledger"
	"ciscora/ra/wire"
)

// story is one enrollment with all that is known of it.
type story struct {
	Title, CN, State, Identity, Client, UserAgent, Label, Template, Error, Enrollment, Replica string
	Row                                                                                        int64
	ReqID, Status                                                                              int
	Challenged, Finished, Orphan                                                               bool
	Candidates                                                                                 []int
	Began                                                                                      time.Time
	Took                                                                                       time.Duration
	Legs                                                                                       []leg
	Hint                                                                                       string
	Detail                                                                                     *detail // nil: nothing was recorded
	Verdict                                                                                    Verdict
}

// leg is one exchange with the CA.
type leg struct {
	Name, Error   string
	Start         time.Time
	After         time.Duration // since the story began
	Took          time.Duration
	Limit         time.Duration // that it took too long for; 0 = it did not
	Status, Bytes int
	Place         int         // of the legs
	Steps         []wire.Step // what it was made of, where that was recorded
}

func line(s string) string { return printable.Line(s, 2000) }

func (c *console) ofEnrollment(e admin.Enrollment) story {
	s := story{
		Title: line(e.CN), State: string(e.State), Identity: line(e.Identity), Client: line(e.Client), UserAgent: line(e.UserAgent),
		Label: line(e.Label), Template: line(e.Template), Error: line(e.Error), Enrollment: e.ID,
		ReqID: e.ReqID, Status: e.ESTStatus, Challenged: e.Challenged, Finished: e.Finished, Began: e.Started, Took: e.Duration,
	}
	for _, l := range e.Legs {
		s.Legs = append(s.Legs, leg{Name: l.Name, Error: line(l.Error), Start: l.Start, Took: l.Duration, Limit: l.Limit, Status: l.Status, Bytes: l.Bytes})
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
	if s.CN = s.Title; s.Title == "" {
		s.Title = "Enrollment " + s.Enrollment // until its CSR is read
	}
	for _, l := range s.Legs {
		if l.Start.Before(s.Began) {
			s.Began = l.Start
		}
	}
	for i := range s.Legs {
		l := &s.Legs[i]
		l.Place = i
		l.After = l.Start.Sub(s.Began)
		s.Took = max(s.Took, l.After+l.Took)
	}
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
	case s.Error != "" && s.Verdict.Title == "":
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

// theatreData is what the page of a story shows.
type theatreData struct {
	story

	Drawing drawing
	Path    string
	Acts    acts
	HasLab  bool
}

func (c *console) theatreData(ctx context.Context, s *story, path string) theatreData {
	c.addDetail(s)
	s.Verdict = c.explain(ctx, s)
	s.Hint = hint(*s)
	return theatreData{*s, draw(*s, s.Detail != nil), path, c.acts(s), c.Lab != nil}
}

// theatre shows a story in the form that the address asks for.
func (c *console) theatre(w http.ResponseWriter, r *http.Request, s story, path string) {
	format := chi.URLParam(r, "format")
	data := c.theatreData(r.Context(), &s, path)
	switch format {
	case "":
		p := page{Title: s.Title, Data: data}
		if !s.Finished && s.Row == 0 {
			p.Feed = url.Values{"page": {"enrollment"}, "id": {s.Enrollment}}.Encode()
		}
		c.show(w, r, http.StatusOK, "enrollment", p)
	case "svg":
		w.Header().Set("Content-Type", "image/svg+xml")
		if err := c.pages["enrollment"].ExecuteTemplate(w, "svg", draw(s, false)); err != nil {
			c.problem(w, r, http.StatusInternalServerError, "The picture cannot be made.")
		}
	case "txt":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(s.text())) //nolint:gosec // plain text, with nosniff
	case "json":
		writeJSON(w, s.export())
	case "pcapng":
		c.capture(w, r, &s)
	default:
		c.problem(w, r, http.StatusNotFound, "There is .svg, .txt and .json of it, and in a lab .pcapng.")
	}
}

// capture writes the packets of an enrollment, in a lab.
func (c *console) capture(w http.ResponseWriter, r *http.Request, s *story) {
	if c.Lab == nil || c.Lab.Capture == nil {
		c.problem(w, r, http.StatusNotFound, "Packets are kept in a lab alone.")
		return
	}
	var file bytes.Buffer
	if err := c.Lab.Capture(&file, s.Enrollment); err != nil {
		c.problem(w, r, http.StatusNotFound, "The packets cannot be written: "+err.Error()+".")
		return
	}
	w.Header().Set("Content-Type", "application/x-pcapng")
	w.Header().Set("Content-Disposition", `attachment; filename="enrollment-`+fileName(s.Enrollment)+`.pcapng"`)
	_, _ = w.Write(file.Bytes())
}

// fileName keeps what may stand in a file's name.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' {
			return r
		}
		return -1
	}, s)
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
	say("name", s.CN)
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
	say("verdict", s.Verdict.Headline)
	say("cause", s.Verdict.Cause)
	say("fix", s.Verdict.Fix)
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
