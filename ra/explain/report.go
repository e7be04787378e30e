package explain

import "slices"

// Report is what was found.
type Report struct {
	Findings []*Finding `json:"findings"` // the worst first
	Files    []FileRead `json:"files"`
	Read     []LogRead  `json:"read"`
	// NotUnderstood are lines that speak of an error and that nothing known explains.
	NotUnderstood []Stranger `json:"not_understood"`
	NotListed     int64      `json:"not_listed,omitempty"` // further ones
	Secrets       []Secret   `json:"secrets"`
	Notes         []string   `json:"notes,omitempty"` // on how the logs were read
	// NotSought are lines that name passwords or the like, and of which it was not told
	// whether one stands there: there are too many. What is shown is always looked at.
	NotSought int64 `json:"secrets_not_sought,omitempty"`
	// Unfinished counts the enrollments that the end of an IIS log cuts off, and no other log tells of.
	Unfinished int `json:"unfinished,omitempty"`
}

// Sure is how sure a finding is.
type Sure string

// How sure a finding is.
const (
	Certain  Sure = "sure"     // nothing else that is known leaves these lines
	Likely   Sure = "likely"   // what else leaves them is made by tests alone, or should have left more
	Possible Sure = "possible" // the logs that were read cannot tell
	Unknown  Sure = "unknown"  // something failed that nothing known explains
)

// Finding is one failure, and how often it was found.
type Finding struct {
	Name     string      `json:"name,omitempty"`
	Title    string      `json:"title"`
	Headline string      `json:"headline"` // the title, or where it is not likely, whether it is that
	Sure     Sure        `json:"sure"`
	Why      string      `json:"why"`
	Count    int         `json:"count"`
	First    string      `json:"first,omitempty"`
	Last     string      `json:"last,omitempty"`
	Who      []string    `json:"who,omitempty"`      // the phones, or CES at its start, as far as the logs name them
	MoreWho  int         `json:"more_who,omitempty"` // further ones
	Logs     []Log       `json:"logs"`
	Evidence []Evidence  `json:"evidence"`
	Cause    string      `json:"cause,omitempty"`
	Fix      string      `json:"fix,omitempty"`
	Document string      `json:"document,omitempty"`
	Play     string      `json:"play,omitempty"`
	Harmless bool        `json:"harmless,omitempty"` // nothing has to be done
	Variants []string    `json:"variants,omitempty"`
	Others   []Other     `json:"others,omitempty"`
	Apart    []TellApart `json:"what_would_tell,omitempty"`
	Story    []Evidence  `json:"story,omitempty"`

	severity int
	firstMS  int64
	lastMS   int64
}

// Other is a failure that could be it as well.
type Other struct {
	Name     string   `json:"name"`
	Title    string   `json:"title"`
	Lab      bool     `json:"lab_only,omitempty"` // only a test makes it
	Variants []string `json:"variants,omitempty"`
}

// TellApart is where to look to tell candidates apart, and what each leaves there.
type TellApart struct {
	Where string   `json:"where"`
	What  string   `json:"what"`
	Names []string `json:"names"`
}

// Evidence is a line.
type Evidence struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Log  Log    `json:"log,omitempty"`
	Time string `json:"time,omitempty"`
	// After is how long after the line before it came, in ms.
	After int64  `json:"after_ms,omitempty"`
	Text  string `json:"text"`

	at    int64
	timed bool
	place int
}

// LogRead tells how much of a log was read.
type LogRead struct {
	Log     Log    `json:"log"`
	Title   string `json:"title"`
	Records int64  `json:"records"`
	Good    int64  `json:"good"` // enrollments, of NGINX's requests, without a failure
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`
	Zone    string `json:"zone,omitempty"` // in which its times were taken
}

// Stranger is a line that is not understood.
type Stranger struct {
	Evidence

	Count int64 `json:"count"`
	// Of are the failures in whose logs such a line stands, with others that are not here.
	Of []string `json:"of,omitempty"`
}

// Readable tells whether anything in the input was a log.
func (r *Report) Readable() bool {
	return len(r.Read) > 0 || len(r.Findings) > 0 || len(r.NotUnderstood) > 0
}

// tells tells whether one of these failures was found, or may be what was.
func (r *Report) tells(of []string) bool {
	return slices.ContainsFunc(r.Findings, func(f *Finding) bool {
		return slices.Contains(of, f.Name) || slices.ContainsFunc(f.Others, func(o Other) bool { return slices.Contains(of, o.Name) })
	})
}

// Failed tells whether something is wrong.
func (r *Report) Failed() bool {
	return len(r.NotUnderstood) > 0 || slices.ContainsFunc(r.Findings, func(f *Finding) bool { return !f.Harmless })
}
