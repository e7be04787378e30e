package admin

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/go-chi/chi/v5"
)

// route is one way into the port: what serves it, and what openapi.json says of it.
type route struct {
	method, path string
	name         string // in openapi.json: its operationId
	help         string
	query        []parameter
	takes        any      // the body's JSON; nil = it has none
	also         []string // what else the body may be
	status       int      // when it went well; 0 = 200
	// gives is the answer's JSON, of one of these types; none: it is of media.
	gives []any
	media string
	fails []int // statuses of problems besides 400, 401, 403 and 404
	on    bool  // where what it shows is there
	serve http.HandlerFunc
}

// mount serves a route. Of its query it takes what it knows, and nothing else.
func (t route) mount(r chi.Router) {
	serve := func(w http.ResponseWriter, req *http.Request) {
		q, err := parseQuery(req.URL.RawQuery, t.query)
		if err == nil && t.method != http.MethodGet {
			err = q.checkNamed()
		}
		if err == nil && t.method != http.MethodGet && t.takes == nil && hasBody(req) {
			err = errors.New("a body would be passed over here: leave it out; what is asked for stands in the query, as in /reset?label=test-a")
		}
		if err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
		t.serve(w, req.WithContext(context.WithValue(req.Context(), queryKey{}, q)))
	}
	r.MethodFunc(t.method, t.path, serve)
	if t.method == http.MethodGet {
		r.Head(t.path, serve)
	}
}

// hasBody tells whether a request has more than a head.
func hasBody(r *http.Request) bool {
	if r.ContentLength == 0 {
		return false
	}
	n, _ := io.ReadFull(r.Body, make([]byte, 1)) // one that ends before its first byte is none
	return n > 0
}

// routes are all that the port can have.
func (h *handler) routes() []route {
	names := []parameter{
		{name: "cn", help: "of this name; with a * at its end, of those that begin so"},
		{name: "label", help: "of this EST label; with a * at its end, of those that begin so"},
		{name: "state", help: "in this state", kind: wordParameter, words: words(states)},
	}
	limit := parameter{name: "limit", help: "at most so many", kind: numberParameter, low: 1, high: maxLimit, fallback: defaultLimit}
	cursor := parameter{name: "cursor", help: "next of the answer before"}
	waitCursor := parameter{name: "cursor", help: "next of the answer before; with wait, also now of a list"}
	inLab := h.Lab != nil
	lab := h.Lab
	if lab == nil {
		lab = &Lab{}
	}
	return []route{
		{method: "GET", path: "/healthz", name: "health", help: "ok, while the process serves.", media: "text/plain", on: true, serve: h.healthz},
		{
			method: "GET", path: "/readyz", name: "ready", help: "Whether an enrollment would work now, and why not.", on: h.Ready != nil, serve: h.readyz,
			query: []parameter{{name: "verbose", help: "with warnings for operators", kind: flagParameter}}, gives: []any{Readiness{}}, fails: []int{503},
		},
		{method: "GET", path: "/servingz", name: "serving", help: "Whether a load balancer should send clients here.", on: h.Serving != nil, serve: h.servingz, gives: []any{Readiness{}}, fails: []int{503}},
		{method: "GET", path: "/roots", name: "roots", help: "The trust anchors, PEM.", on: h.Roots != nil, serve: h.roots, media: "application/x-pem-file", fails: []int{503}},
		{method: "GET", path: "/openapi.json", name: "openapi", help: "This description.", on: true, serve: h.openapi, media: "application/json"},
		{
			method: "GET", path: "/enrollments", name: "listEnrollments", on: h.Enrollments != nil, serve: h.listEnrollments,
			help: "The last enrollments of this process, newest first. With wait, the one that is waited for: the newest that has ended, at once or as soon as there is one; with after or cursor besides, the first to end behind that one, whenever it began. Who takes next of each answer as the cursor of the next question, and 0 for after or now of a list in the first, gets each that ends once, and misses none of those that are remembered. One that has not finished when the time is over is shown all the same, and next is then what it was.",
			query: append(names[:3:3],
				limit,
				parameter{name: "wait", help: "wait so long for one that ends, or comes into the state", kind: durationParameter, longest: MaxWait},
				parameter{name: "after", help: "behind the enrollment of this id; 0: all. In a list, those that began after it, oldest first; with wait, those that end after its end, or, where it has none yet, after its begin"},
				waitCursor),
			gives: []any{EnrollmentList{}, Enrollment{}}, fails: []int{503},
		},
		{method: "GET", path: "/enrollments/{id}", name: "getEnrollment", help: "One enrollment, with each exchange with the CA.", on: h.Enrollments != nil, serve: h.getEnrollment, gives: []any{Enrollment{}}},
		{
			method: "GET", path: "/events", name: "events", on: h.Enrollments != nil, serve: h.events, media: "text/event-stream", fails: []int{503},
			help:  "Server-sent events: each enrollment, as /enrollments/{id} shows it, whenever something of it has changed; the event lost where changes that were missed are forgotten. Last-Event-ID goes on behind an event.",
			query: append(names[:3:3], parameter{name: "after", help: "go on behind the event of this id, as the header Last-Event-ID; 0: begin with what is remembered"}),
		},
		{
			method: "DELETE", path: "/enrollments", name: "forgetEnrollments", on: inLab && h.Enrollments != nil, serve: h.forgetEnrollments, query: names, gives: []any{Removed{}},
			help: "Forget enrollments, those under way too. In a lab alone.",
		},
		{method: "GET", path: "/info", name: "info", help: "Addresses, account, files: all that a client's test needs. In a lab alone.", on: lab.Info != nil, serve: h.info, gives: []any{Info{}}},
		{
			method: "GET", path: "/logs/{name}", name: "log", on: lab.Lines != nil, serve: h.log, gives: []any{LineList{}},
			help: "The last lines of the log nginx, ciscora, iis or capf; with cn or label those of its enrollments. In a lab alone.",
			query: append(names[:2:2],
				parameter{name: "since", help: "lines behind this one, next of the answer before; or since a time"},
				parameter{name: "limit", help: "at most so many", kind: numberParameter, low: 1, high: maxLimit, fallback: maxLimit}),
		},
		{
			method: "POST", path: "/reset", name: "reset", on: inLab, serve: h.reset, gives: []any{ResetDone{}}, fails: []int{503},
			help: "Take back what tests have left: faults, lock-outs, enrollments, requests that wait for a manager; of one label or name, or of all. By name no lock-outs: they are not counted by it. In a lab alone.",
			query: append(names[:2:2],
				parameter{name: "ledger", help: "and empty the ledger", kind: flagParameter},
				parameter{name: "ca", help: "and forget the CA's requests", kind: flagParameter}),
		},
		{method: "GET", path: "/lockouts", name: "listLockouts", help: "At whom, and from where, was guessed.", on: h.Lockouts != nil, serve: h.listLockouts, query: names[1:2:2], gives: []any{LockoutList{}}, fails: []int{503}},
		{method: "DELETE", path: "/lockouts", name: "forgiveAll", help: "Open all doors, or those under a label.", on: h.Lockouts != nil, serve: h.forgive, query: names[1:2:2], gives: []any{Forgiven{}}, fails: []int{503}},
		{method: "DELETE", path: "/lockouts/{name}", name: "forgive", help: "Open the door of an account, a user or an address.", on: h.Lockouts != nil, serve: h.forgive, gives: []any{Forgiven{}}, fails: []int{503}},
		{method: "GET", path: "/faults", name: "listFaults", help: "The faults that are on.", on: h.Faults != nil, serve: h.listFaults, query: names[:2:2], gives: []any{FaultList{}}},
		{
			method: "POST", path: "/faults", name: "orderFault", on: h.Faults != nil, serve: h.orderFault, takes: FaultOrder{}, also: []string{"text/plain", "application/x-www-form-urlencoded"}, status: 201, gives: []any{Fault{}},
			help: "Turn a fault on, and say what it will do, and to whom. The body is JSON, or the spec alone as text; docs/faults.md has the words.",
		},
		{method: "DELETE", path: "/faults", name: "clearFaults", help: "Turn all faults off, or those that were ordered for a label or a name.", on: h.Faults != nil, serve: h.clearFaults, query: names[:2:2], gives: []any{Removed{}}},
		{method: "DELETE", path: "/faults/{id}", name: "removeFault", help: "Turn a fault off.", on: h.Faults != nil, serve: h.removeFault, gives: []any{Removed{}}},
		{
			method: "GET", path: "/certsrv/requests", name: "listRequests", on: h.Certsrv != nil, serve: h.listRequests, gives: []any{RequestList{}},
			help:  "The built-in CA's last requests, newest first; limit=1000 gives as many as there are to be had at once.",
			query: []parameter{limit, cursor},
		},
		{method: "POST", path: "/certsrv/requests/{id}/approve", name: "approve", help: "Issue what waits for a manager.", on: h.Certsrv != nil, serve: h.approve, gives: []any{Request{}}, fails: []int{409, 500}},
		{method: "POST", path: "/certsrv/requests/{id}/deny", name: "deny", help: "Deny what waits for a manager.", on: h.Certsrv != nil, serve: h.deny, gives: []any{Request{}}, fails: []int{409, 500}},
	}
}

func words[S ~string](all []S) []string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = string(s)
	}
	return texts
}
