package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"ciscora/ra/admin"
)

// maxForm bounds a form, in bytes.
const maxForm = 8 << 10

// FaultKind is a kind of fault that can be ordered.
type FaultKind struct {
	Spec string // what is ordered, with an example of the value that it wants
	Help string // what it does
}

// Cards are failures that can be played, each in a lab of its own.
type Cards interface {
	List() []Card
	// Play begins to play the card of a name; the error is for whoever named it.
	Play(name string) (play string, err error)
	// Played is how far a play has come.
	Played(play string) (Play, bool)
	// Plays are the last ones, the newest first.
	Plays() []Play
}

// Card is a failure.
type Card struct{ Name, Title, Document string }

// Play is a card that is being played, or was.
type Play struct {
	ID    string
	Card  Card
	Began time.Time
	Took  time.Duration
	Done  bool
	Good  bool // it left what its card says
	Lines []PlayLine
	// Differs is what was not as the card says.
	Differs            []string
	Cause, Fix, Failed string
}

// PlayLine is a line of one of the logs; one without a log is a heading.
type PlayLine struct{ Log, Text string }

func (c *console) lab(w http.ResponseWriter, r *http.Request) { c.showLab(w, r, http.StatusOK, "", "") }

func (c *console) showLab(w http.ResponseWriter, r *http.Request, status int, said, problem string) {
	data := struct {
		Said, Problem             string
		Faults                    []admin.Fault
		Kinds                     []FaultKind
		CanFault, HasCA           bool
		CanEnroll, CanReset, Play bool
		Pending, Decided          []admin.Request
		Lockouts                  []admin.Lockout
		Cards                     []Card
		Plays                     []Play
	}{
		Said: said, Problem: problem, CanFault: c.Lab.Faults != nil, HasCA: c.Lab.Queue != nil, Kinds: c.Lab.FaultKinds,
		CanEnroll: c.Lab.Enroll != nil, CanReset: c.Lab.Reset != nil,
	}
	if c.Lab.Faults != nil {
		data.Faults = c.Lab.Faults.List()
	}
	if c.Lab.Cards != nil {
		data.Play, data.Cards, data.Plays = true, c.Lab.Cards.List(), c.Lab.Cards.Plays()
	}
	if c.Lab.Queue != nil {
		for _, q := range c.Lab.Queue.List() {
			q.Subject, q.Requester, q.Message = line(q.Subject), line(q.Requester), line(q.Message)
			const pending = 5 // CR_DISP_UNDER_SUBMISSION
			if q.Disposition == pending {
				data.Pending = append(data.Pending, q)
			} else {
				data.Decided = append(data.Decided, q)
			}
		}
		const newest = 20
		slices.Reverse(data.Decided)
		data.Decided = data.Decided[:min(len(data.Decided), newest)]
	}
	if c.Lab.Lockouts != nil {
		list, err := c.Lab.Lockouts.List(r.Context())
		if err != nil {
			data.Problem += " " + err.Error()
		}
		data.Lockouts = list
	}
	c.show(w, r, status, "lab", page{Title: "Lab", Active: "lab", Data: data})
}

// act does what a form of the lab's page asks for. Other origins are refused by the
// admin port.
func (c *console) act(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		c.showLab(w, r, http.StatusBadRequest, "", "The form cannot be read.")
		return
	}
	what, of := r.PostForm.Get("do"), strings.TrimSpace(r.PostForm.Get("of"))
	if to, err := c.begin(what, of); to != "" && err == nil {
		http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // a page of this console, whatever was posted
		return
	} else if err != nil {
		c.showLab(w, r, http.StatusBadRequest, "", err.Error())
		return
	}
	said, err := c.do(r.Context(), what, of)
	if err != nil {
		c.showLab(w, r, http.StatusBadRequest, "", err.Error())
		return
	}
	c.showLab(w, r, http.StatusOK, said, "")
}

// begin does what takes its time, and returns the page on which it is watched; "" for
// what is done at once.
func (c *console) begin(what, of string) (page string, err error) {
	switch {
	case what == "enroll" && c.Lab.Enroll != nil:
		// Its name is known once the RA has read its CSR, which it does after the log-in:
		// the list of all shows it before.
		_, err := c.Lab.Enroll()
		return "/console/live", err
	case what == "play" && c.Lab.Cards != nil:
		id, err := c.Lab.Cards.Play(of)
		return "/console/lab/plays/" + url.PathEscape(id), err
	}
	return "", nil
}

func (c *console) do(ctx context.Context, what, of string) (said string, err error) {
	l := c.Lab
	switch {
	case what == "order" && l.Faults != nil:
		id, err := l.Faults.Order(of)
		return fmt.Sprintf("The fault %s is on, as %s.", line(of), id), err
	case what == "remove" && l.Faults != nil:
		if !l.Faults.Remove(of) {
			return "", fmt.Errorf("the fault %s is not on", line(of))
		}
		return "The fault is off.", nil
	case what == "clear" && l.Faults != nil:
		n := l.Faults.Clear()
		if n == 1 {
			return "1 fault is off.", nil
		}
		return fmt.Sprintf("%d faults are off.", n), nil
	case (what == "approve" || what == "deny") && l.Queue != nil:
		id, err := strconv.Atoi(of)
		if err != nil {
			return "", fmt.Errorf("%q is no ReqID", line(of))
		}
		if what == "approve" {
			return fmt.Sprintf("Request %d is approved.", id), l.Queue.Approve(id)
		}
		return fmt.Sprintf("Request %d is denied.", id), l.Queue.Deny(id)
	case what == "forgive" && l.Lockouts != nil:
		found, err := l.Lockouts.Forgive(ctx, of)
		if err == nil && !found {
			return "Nothing was counted.", nil
		}
		return "It is forgotten.", err
	case what == "reset" && l.Reset != nil:
		return "The lab is as it was: no fault is on, nobody is locked out, no enrollment is remembered, and nothing waits in the CA's queue. Its ledger and its certificates stay.", l.Reset(ctx)
	}
	return "", fmt.Errorf("%q cannot be done here", line(what))
}

// playData is what the page of a play shows.
func (c *console) playData(id string) (Play, error) {
	if c.Lab == nil || c.Lab.Cards == nil {
		return Play{}, errNoPlay
	}
	p, ok := c.Lab.Cards.Played(id)
	if !ok {
		return Play{}, errNoPlay
	}
	for i := range p.Lines {
		p.Lines[i].Text = line(p.Lines[i].Text)
	}
	return p, nil
}

var errNoPlay = errors.New("no such card was played, or it is too long ago")

func (c *console) play(w http.ResponseWriter, r *http.Request) {
	id := chi.URLParam(r, "id")
	p, err := c.playData(id)
	if err != nil {
		c.problem(w, r, http.StatusNotFound, "There is "+err.Error()+".")
		return
	}
	shown := page{Title: p.Card.Title, Active: "lab", Data: p}
	if !p.Done {
		shown.Feed = url.Values{"page": {"play"}, "id": {id}}.Encode()
	}
	c.show(w, r, http.StatusOK, "play", shown)
}

func (c *console) fedPlay(id string) (feedPage, error) {
	p, err := c.playData(id)
	if err != nil {
		return feedPage{name: "problem", data: "There is " + err.Error() + ".", last: true}, nil //nolint:nilerr // the page tells it
	}
	return feedPage{name: "play", data: p, last: p.Done}, nil
}
