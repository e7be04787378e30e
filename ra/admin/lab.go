package admin

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Lab is what the port of a lab has besides, and that of no other RA.
type Lab struct {
	Info           func() Info
	Lines          func(log string) []Line // the last ones, oldest first
	ForgetLedger   func(context.Context) error
	ForgetRequests func() error // of the built-in CA
}

// Info is what a client's test needs to know of a lab. The addresses are by the name by
// which it was asked for.
type Info struct {
	Version  string      `json:"version"`
	Profile  string      `json:"profile"`
	EST      InfoEST     `json:"est"`
	Certsrv  InfoAddress `json:"certsrv"`
	Admin    InfoAddress `json:"admin"`
	Account  InfoAccount `json:"account"`
	Template string      `json:"template"`
	Seed     uint64      `json:"seed,omitempty"`
	Dir      string      `json:"dir"` // with the files below, on the lab's machine
	Trust    string      `json:"trust"`
	Logs     string      `json:"logs"`
}

// InfoAddress is where something is.
type InfoAddress struct {
	URL  string `json:"url"`
	Port int    `json:"port"` // as the lab has it, whatever a container's host makes of it
	// Local: it is on a loopback address, and only the lab's own machine reaches it.
	Local bool `json:"local"`
}

// InfoEST is where EST clients are served, and how.
type InfoEST struct {
	InfoAddress
	Hosts   []string `json:"hosts"`    // in the certificate
	AnyHost bool     `json:"any_host"` // a client is shown a certificate for the name that it asks for
	Labels  []string `json:"labels"`
}

// InfoAccount is the lab's account.
type InfoAccount struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

func (h *handler) info(w http.ResponseWriter, r *http.Request) {
	i := h.Lab.Info()
	if host := hostname(r.Host); host != "" {
		for _, at := range []*InfoAddress{&i.EST.InfoAddress, &i.Certsrv, &i.Admin} {
			u, err := url.Parse(at.URL)
			if err != nil || at.Local && !onLoopback(r) {
				continue
			}
			u.Host = net.JoinHostPort(host, u.Port())
			at.URL = u.String()
		}
	}
	answer(w, http.StatusOK, i)
}

// Line is one of an emulated log.
type Line struct {
	Number     int       `json:"number"`
	Time       time.Time `json:"time"`
	Enrollment string    `json:"enrollment,omitempty"` // that it is about
	Label      string    `json:"label,omitempty"`
	CN         string    `json:"cn,omitempty"`
	Text       string    `json:"text"`
}

// LogNames are the emulated logs.
func LogNames() []string { return []string{"nginx", "ciscora", "iis", "capf"} }

// LineList is what /logs/NAME answers.
type LineList struct {
	Lines []Line `json:"lines"`
	Next  string `json:"next"` // since of the next question
	// Lost tells that lines behind since are forgotten: other tests' are counted, too.
	Lost bool `json:"lost,omitempty"`
}

func (h *handler) log(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !slices.Contains(LogNames(), name) {
		fail(w, http.StatusNotFound, fmt.Sprintf("there is no log %q: they are %s", name, strings.Join(LogNames(), ", ")))
		return
	}
	q := queryOf(r)
	since := q.text("since")
	number, notNumber := strconv.Atoi(since)
	from, notTime := time.Parse(time.RFC3339, since)
	if since != "" && notNumber != nil && notTime != nil {
		fail(w, http.StatusBadRequest, fmt.Sprintf("since %q is none: take next of the answer before, or a time such as 2026-11-26T08:15:00Z", since))
		return
	}
	filter := filterOf(q)
	list := LineList{Lines: []Line{}, Next: strconv.Itoa(number)}
	lines := h.Lab.Lines(name)
	if since != "" && len(lines) > 0 {
		oldest := lines[0]
		list.Lost = oldest.Number > number+1 && !oldest.Time.Before(from)
	}
	for _, line := range lines {
		if line.CN == "" && line.Enrollment != "" && h.Enrollments != nil {
			e, _ := h.Enrollments.Get(line.Enrollment)
			line.CN = e.CN
		}
		if line.Number <= number || line.Time.Before(from) {
			continue
		}
		theirs := named(filter.CN, line.CN) && named(filter.Label, line.Label)
		if theirs && len(list.Lines) == q.number("limit") {
			break
		}
		list.Next = strconv.Itoa(line.Number)
		if theirs {
			list.Lines = append(list.Lines, line)
		}
	}
	answer(w, http.StatusOK, list)
}

// ResetDone tells what a reset has found to take back.
type ResetDone struct {
	Faults      int `json:"faults"`
	Lockouts    int `json:"lockouts"`
	Enrollments int `json:"enrollments"`
	Denied      int `json:"denied"` // requests that waited for a manager
}

// reset makes the lab as it was at its start, or what of it belongs to a label or a
// name, so that the next test finds nothing of the last.
func (h *handler) reset(w http.ResponseWriter, r *http.Request) {
	q := queryOf(r)
	filter := filterOf(q)
	everybodys := filter.CN == "" && filter.Label == ""
	if !everybodys && (q.has("ledger") || q.has("ca")) {
		fail(w, http.StatusBadRequest, "ledger and ca are everybody's: they go without cn and label")
		return
	}
	done, err := h.takeBack(r.Context(), filter)
	if err == nil && q.has("ca") && h.Lab.ForgetRequests != nil {
		err = h.Lab.ForgetRequests()
	}
	if err == nil && q.has("ledger") && h.Lab.ForgetLedger != nil {
		err = h.Lab.ForgetLedger(r.Context())
	}
	if err != nil {
		fail(w, http.StatusServiceUnavailable, "the reset is not whole: "+err.Error())
		return
	}
	answer(w, http.StatusOK, done)
}

func (h *handler) takeBack(ctx context.Context, filter Filter) (done ResetDone, err error) {
	everybodys := filter.CN == "" && filter.Label == ""
	done.Faults = h.clearFaultsOf(filter)
	if done.Lockouts, err = h.forgiveOf(ctx, filter); err != nil {
		return done, err
	}
	var theirs map[int]bool // requests
	if h.Enrollments != nil {
		theirs = map[int]bool{}
		for _, e := range h.Enrollments.List(filter) {
			theirs[e.ReqID] = true
		}
		done.Enrollments = h.Enrollments.Clear(filter)
	}
	if h.Certsrv == nil {
		return done, nil
	}
	const pending = 5 // CR_DISP_UNDER_SUBMISSION
	for _, request := range h.Certsrv.List() {
		if request.Disposition != pending || !everybodys && !theirs[request.ID] {
			continue
		}
		if err := h.Certsrv.Deny(request.ID); err != nil {
			return done, err
		}
		done.Denied++
	}
	return done, nil
}
