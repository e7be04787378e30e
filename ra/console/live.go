package console

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"ciscora/ra/admin"
)

const shownLive = 100

type liveData struct {
	CN    string
	Query string // of the same list in other forms
	List  []admin.Enrollment
}

func (c *console) liveData(cn string) liveData {
	d := liveData{CN: cn, List: c.Enrollments.List(admin.Filter{CN: cn, Limit: shownLive})}
	if cn != "" {
		d.Query = "?" + url.Values{"cn": {cn}}.Encode()
	}
	for i := range d.List {
		e := &d.List[i]
		for _, s := range []*string{&e.CN, &e.Identity, &e.Client, &e.Error, &e.UserAgent, &e.Label, &e.Template} {
			*s = line(*s)
		}
	}
	return d
}

func (c *console) live(w http.ResponseWriter, r *http.Request) {
	cn := r.URL.Query().Get("cn")
	d := c.liveData(cn)
	switch chi.URLParam(r, "format") {
	case "":
		c.show(w, r, http.StatusOK, "live", page{Title: "Enrollments of this process", Active: "live", Feed: url.Values{"page": {"live"}, "cn": {cn}}.Encode(), Data: d})
	case "json":
		writeJSON(w, d.List)
	case "csv":
		table := [][]string{{"began", "enrollment", "cn", "state", "est_status", "took_ms", "req_id", "identity", "client", "error", "label"}}
		for _, e := range d.List {
			table = append(table, []string{
				e.Started.UTC().Format(time.RFC3339Nano), e.ID, e.CN, string(e.State), strconv.Itoa(e.ESTStatus), strconv.FormatInt(e.Duration.Milliseconds(), 10),
				strconv.Itoa(e.ReqID), e.Identity, e.Client, e.Error, e.Label,
			})
		}
		writeCSV(w, "live.csv", table)
	default:
		c.problem(w, r, http.StatusNotFound, "There is .csv and .json of it.")
	}
}

// Phase is how long one kind of leg took in the last enrollments.
type Phase struct {
	Name             string
	N, Failed        int
	Half, Most, Last time.Duration // the median, the 95th percentile, the longest
}

// phases are the legs of the last enrollments, in the order in which a request takes
// them.
func (c *console) phases() (all []Phase) {
	const recent = 500
	took := map[string][]time.Duration{}
	failed := map[string]int{}
	for _, e := range c.Enrollments.List(admin.Filter{Limit: recent}) {
		for _, l := range e.Legs {
			took[l.Name] = append(took[l.Name], l.Duration)
			if l.Error != "" {
				failed[l.Name]++
			}
		}
	}
	order := []string{"resolve", "connect", "handshake", "login", "chain", "template", "submit", "fetch"}
	for name, list := range took {
		slices.Sort(list)
		all = append(all, Phase{name, len(list), failed[name], list[len(list)/2], list[len(list)*95/100], list[len(list)-1]})
	}
	slices.SortFunc(all, func(a, b Phase) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Name), slices.Index(order, b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// fedEnrollment is the part of an enrollment's page that changes.
func (c *console) fedEnrollment(ctx context.Context, id string) (feedPage, error) {
	e, ok := c.Enrollments.Get(id)
	if !ok {
		return feedPage{name: "problem", data: "This process has forgotten it.", last: true}, nil
	}
	s := c.ofEnrollment(e)
	return feedPage{name: "enrollment", data: c.theatreData(ctx, &s, "/console/enrollments/"+id), last: e.Finished}, nil
}
