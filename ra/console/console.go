// Package console is the pages that people look at on the admin port: an overview, the
// requests of the ledger, and one page an enrollment with each of its legs. The pages
// are made here, need no JavaScript, and load nothing from elsewhere. What changes
// something is served in a lab alone.
package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"

	"ciscora/ra/admin"
	"ciscora/ra/ledger"
)

// Options is what the console shows. Enrollments and Look are needed; where one of the
// rest is nil its page is not served.
type Options struct {
	Look        func(context.Context) Overview
	Enrollments *admin.Enrollments // of this process
	Ledger      Ledger
	Recordings  Recordings // of wires; nil: none
	Lab         *Lab       // nil: nothing can be changed
	Now         func() time.Time
	Logger      *zap.Logger
}

// Ledger is what is read of the ledger.
type Ledger interface {
	List(context.Context, ledger.Filter) ([]ledger.Row, error)
	Get(ctx context.Context, id int64) (ledger.Row, error)
}

// Lab is what can be changed, in a lab.
type Lab struct {
	Faults   admin.Faults       // nil: none can be ordered
	Queue    admin.CertsrvQueue // nil: the CA does not run here
	Lockouts admin.Lockouts

	// The rest is the lab's own. Each may be nil.

	// Enroll lets the sample phone enroll, in the background, and returns its name.
	Enroll func() (name string, err error)
	// Reset takes back all faults, and forgets enrollments, recordings and lock-outs.
	Reset func(context.Context) error
	// FaultKinds are all that can be ordered.
	FaultKinds []FaultKind
	Cards      Cards
	// Capture writes the packets of an enrollment as .pcapng.
	Capture func(w io.Writer, enrollment string) error
	// PhoneLines is what CAPF's trace has of a phone.
	PhoneLines func(name string) []string
	// Explain says what the lines of logs, by the logs' names, tell of what failed. An
	// empty verdict: nothing.
	Explain func(ctx context.Context, logs map[string][]string) (Verdict, error)
}

// Overview is an RA's state at one moment, in words that are shown as they are.
type Overview struct {
	Version, Profile, CA string
	Readiness            admin.Readiness
	Warnings             []string
	InFlight, Waiting    int // at the CA, and in line for it
	CADown               string
	Certificates         []Certificate
	Replicas             []Replica
	Needs                []Need // what needs a person, worst first
}

// Certificate is one whose end is of interest.
type Certificate struct {
	What, Subject string
	NotAfter      time.Time
}

// Replica is a process on the same ledger.
type Replica struct {
	Name, Version string
	Live, Self    bool
	Offset        time.Duration // of its clock from the ledger's
}

// Need is something that a person is to do.
type Need struct {
	What, Remedy string
	Link         string // a page of the console; "" = none
}

//go:embed page
var files embed.FS

type console struct {
	Options

	pages  map[string]*template.Template
	assets map[string]asset // by their names in addresses
	feeds  feeds
}

// New returns the console's handler, for the paths / and /console/... The admin port
// cares for who may ask, and from where (see [admin.New]).
func New(o Options) (http.Handler, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	c := &console{Options: o, pages: map[string]*template.Template{}, feeds: feeds{shots: map[string]*shot{}}}
	var err error
	if c.assets, err = readAssets(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	for _, name := range []string{"overview", "requests", "live", "enrollment", "lab", "play", "problem"} {
		t, err := template.New("").Funcs(c.functions()).ParseFS(files, "page/layout.html", "page/wire.html", "page/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		c.pages[name] = t
	}
	r := chi.NewRouter()
	r.Use(headers)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		c.problem(w, r, http.StatusNotFound, "There is no such page: "+r.URL.Path)
	})
	get := func(pattern string, f http.HandlerFunc) { r.Get(pattern, f); r.Head(pattern, f) }
	get("/", c.overview)
	get("/console/assets/{name}", c.asset)
	r.Get("/console/feed", c.feed)
	get("/console/live", c.live)
	get("/console/live.{format}", c.live)
	get("/console/enrollments/{id}", c.enrollment)
	get("/console/enrollments/{id}.{format}", c.enrollment)
	if o.Ledger != nil {
		get("/console/requests", c.requests)
		get("/console/requests/{row}", c.request)
		get("/console/requests/{row}.{format}", c.request)
	}
	if o.Lab != nil {
		get("/console/lab", c.lab)
		r.Post("/console/lab", c.act)
		get("/console/lab/plays/{id}", c.play)
	}
	return r, nil
}

// headers forbid whatever the pages do not need.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// page is what each page has.
type page struct {
	Title   string
	Active  string // of the menu
	Feed    string // query of the feed by which it changes by itself; "" = it stays
	Refresh int    // seconds; 0 = it stays
	Lab     bool
	HasRows bool
	Data    any
}

// Anew is the page's own address with what is looked for, and renews it without
// JavaScript. What its feed is asked is what the page is asked, which leaves the rest alone.
func (p page) Anew() string { return "?" + p.Feed + "&live" }

// show writes a page once all of it could be made.
func (c *console) show(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.Lab, p.HasRows = c.Lab != nil, c.Ledger != nil
	if r.URL.Query().Has("live") {
		p.Refresh, p.Feed = 5, ""
	}
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, "layout", p); err != nil {
		c.Logger.Error("console: a page cannot be made", zap.String("page", name), zap.Error(err))
		http.Error(w, "The page cannot be made: see the log.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client is gone: nobody is left to tell
}

func (c *console) problem(w http.ResponseWriter, r *http.Request, status int, text string) {
	c.show(w, r, status, "problem", page{Title: http.StatusText(status), Data: text})
}

// outOfLedger tells why rows cannot be shown.
func (c *console) outOfLedger(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, ledger.ErrNotFound) {
		c.problem(w, r, http.StatusNotFound, "The ledger has no such row: it was removed (ledger.retention), or never was.")
		return
	}
	c.problem(w, r, http.StatusServiceUnavailable, err.Error())
}

// outcomes are the last enrollments of this process by their states.
type outcomes struct {
	InMinute, Open int
	Of             []count
}

type count struct {
	State admin.State
	N     int
}

func (c *console) count() outcomes {
	t := c.Enrollments.Tally(c.Now().Add(-time.Minute))
	o := outcomes{InMinute: t.Begun, Open: t.Open}
	for _, s := range []admin.State{admin.Issued, admin.Pending, admin.Denied, admin.Failed, admin.Challenged, admin.Submitted, admin.Authenticated, admin.Received} {
		if t.Of[s] > 0 {
			o.Of = append(o.Of, count{s, t.Of[s]})
		}
	}
	return o
}

type overviewData struct {
	Overview
	Outcomes outcomes
	Phases   []Phase
}

func (c *console) overviewData(ctx context.Context) overviewData {
	o := overviewData{Overview: c.Look(ctx), Outcomes: c.count()}
	o.Phases = c.phases()
	return o
}

func (c *console) overview(w http.ResponseWriter, r *http.Request) {
	c.show(w, r, http.StatusOK, "overview", page{Title: "Overview", Active: "overview", Feed: "page=overview", Data: c.overviewData(r.Context())})
}
