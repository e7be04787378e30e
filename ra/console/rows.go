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

	"ciscora/internal/printable"
	"ciscora/ra/ledger"
)

const (
	rowsAPage = 50
	maxShown  = 1000
)

// search is what is looked for in the ledger, as it stands in the address.
type search struct {
	CN, Identity, Label, State, ReqID, Since, Until string
	Orphans                                         bool
	Before                                          int64
	Limit                                           int
}

// filter reads a query. Its errors are for whoever wrote that.
func (s *search) read(q url.Values) (f ledger.Filter, err error) {
	s.Limit = rowsAPage
	for name, values := range q {
		value := strings.TrimSpace(values[0])
		switch name {
		case "cn":
			s.CN, f.CN = value, value
		case "identity":
			s.Identity, f.Identity = value, value
		case "label":
			s.Label, f.Label = value, value
		case "state":
			if s.State = value; value != "" && !slices.Contains(ledger.States(), ledger.State(value)) {
				return f, fmt.Errorf("the state %q is not known, want one of %v", value, ledger.States())
			}
			f.State = ledger.State(value)
		case "req_id":
			if s.ReqID = value; value != "" {
				if f.ReqID, err = strconv.Atoi(value); err != nil || f.ReqID < 1 {
					return f, fmt.Errorf("the ReqID %q is no number", value)
				}
			}
		case "since", "until":
			if value == "" {
				continue
			}
			from, to, err := instants(value)
			if err != nil {
				return f, fmt.Errorf("%s: %w", name, err)
			}
			if name == "since" {
				s.Since, f.Since = value, from
			} else {
				s.Until, f.Until = value, to
			}
		case "orphans":
			s.Orphans, f.Orphans = value != "", value != ""
		case "before":
			if s.Before, err = strconv.ParseInt(value, 10, 64); err != nil || s.Before < 1 {
				return f, fmt.Errorf("before %q is no row", value)
			}
			f.Before = s.Before
		case "limit":
			if s.Limit, err = strconv.Atoi(value); err != nil || s.Limit < 1 || s.Limit > maxShown {
				return f, fmt.Errorf("the limit %q is out of range, want 1 to %d", value, maxShown)
			}
		case "format", "live", "page":
		default:
			return f, fmt.Errorf("%q is not known, want cn, identity, label, state, req_id, since, until, orphans, before, limit or format", name)
		}
	}
	f.Limit = s.Limit
	return f, nil
}

// Whole names what is looked for that is compared as a whole: for whoever finds nothing
// with the beginning of a name, which is enough elsewhere.
func (s search) Whole() string {
	switch {
	case s.CN != "":
		return "The name"
	case s.Identity != "":
		return "The identity"
	case s.Label != "":
		return "The label"
	}
	return ""
}

// instants are the beginning and the end of a day or of a minute.
func instants(value string) (from, to time.Time, err error) {
	if from, err = time.Parse("2006-01-02", value); err == nil {
		return from, from.AddDate(0, 0, 1), nil
	}
	if from, err = time.Parse("2006-01-02T15:04", value); err == nil {
		return from, from.Add(time.Minute), nil
	}
	return from, to, fmt.Errorf("%q is no day and no minute: write a day as 2026-11-27, a minute as 2026-11-27T14:05, in UTC", value)
}

func (s *search) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"cn": s.CN, "identity": s.Identity, "label": s.Label, "state": s.State, "req_id": s.ReqID, "since": s.Since, "until": s.Until} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if s.Orphans {
		q.Set("orphans", "1")
	}
	return q
}

// row is a row of the ledger for people.
type row struct {
	ID         int64     `json:"row"`
	CN         string    `json:"cn"`
	Identity   string    `json:"identity"`
	Label      string    `json:"label"`
	Template   string    `json:"template"`
	State      string    `json:"state"`
	ReqID      int       `json:"req_id"`
	Received   time.Time `json:"received"`
	Delivered  time.Time `json:"delivered,omitzero"`
	Enrollment string    `json:"enrollment"`
	Error      string    `json:"error"`
	Replica    string    `json:"replica"`
	Orphan     bool      `json:"possible_orphan"`
	Candidates []int     `json:"candidates,omitempty"`
}

func rowOf(r ledger.Row) row {
	p := func(s string) string { return printable.Line(s, len(s)*4) }
	return row{
		ID: r.ID, CN: p(r.CN), Identity: p(r.Identity), Label: p(r.Label), Template: p(r.Template), State: string(r.State), ReqID: r.ReqID,
		Received: r.Received.UTC(), Delivered: utc(r.Delivered), Enrollment: r.Enrollment, Error: p(r.Error), Replica: p(r.Replica),
		Orphan: r.Orphan(), Candidates: r.Candidates,
	}
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// requestsData is what the list of the ledger shows.
type requestsData struct {
	Search       search
	States       []ledger.State
	Rows         []row
	More, Export string
}

// errQuery is an error of whoever wrote the address.
type errQuery struct{ error }

func (c *console) requestsData(ctx context.Context, query url.Values) (d requestsData, err error) {
	filter, err := d.Search.read(query)
	if err != nil {
		return d, errQuery{err}
	}
	found, err := c.Ledger.List(ctx, filter)
	if err != nil {
		return d, err
	}
	d.States, d.Rows = ledger.States(), make([]row, len(found))
	for i, f := range found {
		d.Rows[i] = rowOf(f)
	}
	if len(d.Rows) == d.Search.Limit {
		q := d.Search.query()
		q.Set("before", strconv.FormatInt(d.Rows[len(d.Rows)-1].ID, 10))
		d.More = "/console/requests?" + q.Encode()
	}
	export := d.Search.query()
	export.Set("limit", strconv.Itoa(maxShown))
	d.Export = "/console/requests?" + export.Encode()
	return d, nil
}

func (c *console) requests(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		c.problem(w, r, http.StatusBadRequest, "The query is not well-formed.")
		return
	}
	d, err := c.requestsData(r.Context(), query)
	var wrong errQuery
	switch {
	case errors.As(err, &wrong):
		c.problem(w, r, http.StatusBadRequest, wrong.Error())
		return
	case err != nil:
		c.outOfLedger(w, r, err)
		return
	}
	switch query.Get("format") {
	case "json":
		writeJSON(w, d.Rows)
	case "csv":
		writeCSV(w, "enrollments.csv", tableOf(d.Rows))
	default:
		p := page{Title: "Requests in the ledger", Active: "requests", Data: d}
		if d.Search.Before == 0 { // older pages stay as they are
			feed := d.Search.query()
			feed.Set("page", "requests")
			p.Feed = feed.Encode()
		}
		c.show(w, r, http.StatusOK, "requests", p)
	}
}

func tableOf(rows []row) [][]string {
	table := [][]string{{"row", "cn", "identity", "label", "template", "state", "req_id", "received", "delivered", "enrollment", "error", "replica"}}
	for _, r := range rows {
		delivered := ""
		if !r.Delivered.IsZero() {
			delivered = r.Delivered.Format(time.RFC3339)
		}
		table = append(table, []string{
			strconv.FormatInt(r.ID, 10), r.CN, r.Identity, r.Label, r.Template, r.State, strconv.Itoa(r.ReqID),
			r.Received.Format(time.RFC3339), delivered, r.Enrollment, r.Error, r.Replica,
		})
	}
	return table
}

func (c *console) request(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(chi.URLParam(r, "row"), 10, 64)
	if err != nil {
		c.problem(w, r, http.StatusNotFound, "A row of the ledger has a number.")
		return
	}
	found, err := c.Ledger.Get(r.Context(), id)
	if err != nil {
		c.outOfLedger(w, r, err)
		return
	}
	c.theatre(w, r, ofRow(found), fmt.Sprintf("/console/requests/%d", id))
}
