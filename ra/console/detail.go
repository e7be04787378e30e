package console

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"ciscora/ra/wire"
)

// Recordings is what is remembered of wires and logs.
type Recordings interface {
	Get(id string) (wire.Record, bool)
}

// detail is what was recorded of an enrollment, by its legs.
type detail struct {
	Client   *wire.Exchange
	UnderWay []wire.Step
	Logs     []logOf
	Cut      bool

	own []string // what the RA's structured log says of legs that failed
}

// logOf is what one of the logs has of an enrollment.
type logOf struct {
	Name, Title string
	Lines       []logLine
}

// logLine is a line with the leg that it tells of.
type logLine struct {
	Of   string // "client", or the leg's place
	Text string
}

// ofClient is the exchange with the client, among the legs.
const ofClient = "client"

// The emulated logs, in the order in which a request passes their writers.
var logTitles = [][2]string{
	{"capf", "CAPF's trace"},
	{"nginx", "NGINX error.log of CES"},
	{"ciscora", "CiscoRA log of CES"},
	{"iis", "IIS's log of the CA"},
}

// addDetail finds what was recorded of a story, and gives its legs what is theirs.
func (c *console) addDetail(s *story) {
	if c.Recordings == nil || s.Enrollment == "" {
		return
	}
	record, ok := c.Recordings.Get(s.Enrollment)
	if !ok {
		return
	}
	d := &detail{Client: record.Client, UnderWay: record.UnderWay, Cut: record.Cut}
	for _, l := range record.Legs {
		if l.Kind == "" {
			continue
		}
		own, err := json.Marshal(struct {
			Level      string  `json:"level"`
			Time       float64 `json:"ts"`
			Message    string  `json:"msg"`
			Enrollment string  `json:"enrollment"`
			Phase      string  `json:"phase"`
			Kind       string  `json:"kind"`
			Symbol     string  `json:"symbol,omitempty"`
		}{"warn", float64(l.End.UnixMilli()) / 1000, "ca leg", s.Enrollment, l.Name, l.Kind, l.Symbol})
		if err == nil {
			d.own = append(d.own, string(own))
		}
	}
	places := s.takeLegs(record.Legs)
	lines := map[string][]logLine{}
	for _, l := range record.Lines {
		of := ofClient
		if place, ok := places[l.Leg]; ok {
			of = strconv.Itoa(place)
		}
		lines[l.Log] = append(lines[l.Log], logLine{of, line(l.Text)})
	}
	if c.Lab != nil && c.Lab.PhoneLines != nil && s.CN != "" {
		for _, text := range c.Lab.PhoneLines(s.CN) {
			lines["capf"] = append(lines["capf"], logLine{ofClient, line(text)})
		}
	}
	for _, t := range logTitles {
		if len(lines[t[0]]) > 0 {
			d.Logs = append(d.Logs, logOf{t[0], t[1], lines[t[0]]})
		}
	}
	s.Detail = d
}

// takeLegs gives the story's legs the steps of the recorded ones, which are the same
// unless a part is not kept any more, and tells where each went.
func (s *story) takeLegs(recorded []wire.Leg) map[int]int {
	places := map[int]int{}
	next := 0
	for i, r := range recorded {
		for j := next; j < len(s.Legs); j++ {
			// The ledger keeps milliseconds, and some databases microseconds.
			if off := s.Legs[j].Start.Sub(r.Start).Abs(); s.Legs[j].Name == r.Name && off < 2*time.Millisecond {
				s.Legs[j].Steps, places[i], next = r.Steps, j, j+1
				break
			}
		}
	}
	return places
}

// texts are the lines of each log, by its name.
func (d *detail) texts() map[string][]string {
	texts := map[string][]string{}
	for _, l := range d.Logs {
		for _, line := range l.Lines {
			texts[l.Name] = append(texts[l.Name], line.Text)
		}
	}
	return texts
}

// export is a story as JSON.
func (s *story) export() any {
	type exportedLeg struct {
		Name   string      `json:"name"`
		Start  time.Time   `json:"start"`
		Took   float64     `json:"took_ms"`
		Limit  float64     `json:"limit_ms,omitempty"`
		Status int         `json:"status,omitempty"`
		Bytes  int         `json:"bytes,omitempty"`
		Error  string      `json:"error,omitempty"`
		Wire   []wire.Step `json:"wire,omitempty"`
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	out := struct {
		Enrollment string              `json:"enrollment"`
		CN         string              `json:"cn"`
		State      string              `json:"state"`
		Status     int                 `json:"est_status,omitempty"`
		ReqID      int                 `json:"req_id,omitempty"`
		Identity   string              `json:"identity,omitempty"`
		Label      string              `json:"label,omitempty"`
		Template   string              `json:"template,omitempty"`
		Began      time.Time           `json:"began"`
		Took       float64             `json:"took_ms"`
		Error      string              `json:"error,omitempty"`
		Verdict    *Verdict            `json:"verdict,omitempty"`
		Client     *wire.Exchange      `json:"client,omitempty"`
		Legs       []exportedLeg       `json:"legs"`
		Logs       map[string][]string `json:"logs,omitempty"`
		Cut        bool                `json:"cut,omitempty"`
	}{
		Enrollment: s.Enrollment, CN: s.CN, State: s.State, Status: s.Status, ReqID: s.ReqID, Identity: s.Identity, Label: s.Label,
		Template: s.Template, Began: s.Began.UTC(), Took: ms(s.Took), Error: s.Error, Legs: []exportedLeg{},
	}
	if s.Verdict.Title != "" {
		out.Verdict = &s.Verdict
	}
	for _, l := range s.Legs {
		out.Legs = append(out.Legs, exportedLeg{l.Name, l.Start.UTC(), ms(l.Took), ms(l.Limit), l.Status, l.Bytes, l.Error, l.Steps})
	}
	if s.Detail != nil {
		out.Client, out.Logs, out.Cut = s.Detail.Client, s.Detail.texts(), s.Detail.Cut
	}
	return out
}

// marking is the style by which a leg marks its lines, and a line its leg and the others
// of that: whoever is the address's fragment marks all that belong to it. So it needs no
// JavaScript.
func marking() string {
	var b strings.Builder
	rule := func(of string) {
		b.WriteString("main:has(#leg-" + of + ":target) .of-" + of + "{background:var(--markbg)}\n")
	}
	rule(ofClient)
	for i := range maxMarked {
		rule(strconv.Itoa(i))
	}
	return b.String()
}

const maxMarked = 64 // legs that the admin port keeps of an enrollment
