package explain

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// iisReader reads IIS's log: what clients of /certsrv ask. An entry has no
// connection, so that requests which belong together are told by their order and
// their client alone.
type iisReader struct {
	d       *desk
	clients map[string]*iisClient

	requests  int
	page      string // the one that all requests so far were for; see pages
	pages     bool   // they were for several
	loggedIn  bool   // CES has, or what comes behind its request was asked for
	onePage   int    // enrollments of which nothing more is there, since they were not
	last      stamp  // of the latest request, whoever's
	collected int    // of collections that are kept
}

// iisClient is one client's enrollments under way.
type iisClient struct {
	name string
	// open are the enrollments that have come as far as certrqxt.asp or certfnsh.asp,
	// the oldest first.
	open []*iisRun
	// denied are anonymous requests that were turned away and whom no log-in has
	// followed.
	denied *iisRun
	// torn are certificates that could not be fetched, and may be yet.
	torn []*tornFetch
	ces  bool // it is CES, which never asks without a log-in
	// enrolls says that it is CES, or this product.
	enrolls bool
}

// tornFetch is a GET of certnew.cer that nobody got an answer to.
type tornFetch struct {
	query string
	rec   record
	found []int
}

type iisRun struct {
	trail  trail
	posted bool
	at     int // the number of its last request, in the order of the log
	when   stamp
	maybe  []int
}

const (
	maxClients = 1024
	maxRuns    = 512
	maxTorn    = 64
	// atOnce is how long after one request the next begins: IIS counts whole seconds.
	atOnce = 1000
	// afterLogin is that where CES logs in once more before.
	afterLogin = 2000
	// maxCollected bounds how many collections are kept, which are good by themselves.
	maxCollected = 2000
	// abandoned is after how long nothing more of an enrollment comes: the longest that
	// anything waits is certfnsh.asp's script, 90 s.
	abandoned = 120 * 1000
	// uncollected is that behind the answer to certfnsh.asp: CES asks for its certificate at once,
	// and waits ten seconds for it.
	uncollected = 15 * 1000
)

func (r *iisReader) init(d *desk) { r.d, r.clients = d, map[string]*iisClient{} }

var (
	certsrv  = []byte("/certsrv")
	listPage = []byte("certrqxt.asp")
	postPage = []byte("certfnsh.asp")
	certPage = []byte("certnew.cer")
	cesAgent = []byte("CiscoRA")
	ownAgent = []byte("ra") // in the profile modern
	probing  = []byte(strings.ReplaceAll(ProbeAgent, " ", "+"))
)

// ProbeAgent is in the User-Agent of ra check. What it asks, and is refused, tells nothing
// of anybody's enrollments: it tries what nobody in earnest does.
const ProbeAgent = "(ra check)"

func (r *iisReader) record(rec *record, e *w3cEntry, found []int) {
	if len(e.stem) < len(certsrv) || !bytes.EqualFold(e.stem[:len(certsrv)], certsrv) {
		return
	}
	if bytes.Contains(e.agent, probing) {
		return
	}
	r.requests++
	file := fileOf(e.stem)
	if r.requests == 1 {
		r.page = string(file)
	}
	r.pages = r.pages || !strings.EqualFold(r.page, string(file))
	r.loggedIn = r.loggedIn || !bytes.HasPrefix(e.agent, cesAgent) || !bytes.EqualFold(file, listPage) && !bytes.EqualFold(file, postPage)
	c := r.clients[string(e.client)]
	if c == nil {
		if len(r.clients) >= maxClients {
			for _, old := range r.clients {
				r.finish(old)
				break
			}
		}
		c = &iisClient{name: string(e.client)}
		r.clients[c.name] = c
	}
	r.expire(c, e.when)
	if e.when.clock {
		r.last = e.when
	}
	if bytes.HasPrefix(e.agent, cesAgent) {
		c.ces = true
	}
	c.enrolls = c.enrolls || c.ces || bytes.Equal(e.agent, ownAgent)
	rec.tells = len(found) > 0
	status, sub, win := string(e.status), string(e.sub), string(e.win)
	good := (status == "200" || status == "301" || status == "302" || status == "304") && (win == "0" || win == "")
	if c.ces && status[0] == '3' && (e.user == nil || bytes.IndexByte(fileOf(e.stem), '.') >= 0) { // to its own folder it is led, once it has logged in, and to no page
		good = false
	}
	switch {
	case status == "401" && (win == "2148074254" || sub == "1" && win == "0"):
		// A leg of a log-in.
		return
	case status == "401" && sub == "2":
		if c.denied == nil {
			c.denied = &iisRun{when: e.when}
		}
		c.denied.trail.note(rec, found)
		return
	case !good:
		if !c.ces {
			c.denied = nil
		}
		if win == "64" && len(c.torn) < maxTorn && bytes.EqualFold(fileOf(e.stem), certPage) {
			torn := &tornFetch{query: string(e.query), rec: *rec, found: slices.Clone(found)}
			torn.rec.raw = bytes.Clone(rec.raw[:min(len(rec.raw), maxLineKept)])
			c.torn = append(c.torn, torn)
			return
		}
		run := &iisRun{}
		posting, fetching := bytes.EqualFold(e.method, []byte("POST")), bytes.EqualFold(fileOf(e.stem), certPage)
		if posting || fetching {
			if i := c.latest(e, fetching); i >= 0 {
				run = c.open[i]
				c.open = slices.Delete(c.open, i, i+1)
				run.trail.numbs = run.trail.numbs[:0] // the failure tells, not the way there
			}
		}
		run.trail.note(rec, found)
		if len(found) == 0 {
			r.d.strangers.add(IIS, rec)
		}
		i := run.trail.incident(IIS)
		i.enrolls, i.torn = c.enrolls, win == "64"
		r.d.report(i)
		return
	}
	if e.user != nil && !c.ces {
		c.denied = nil // somebody has logged in
	}
	switch {
	case bytes.EqualFold(file, listPage):
		if len(c.open) >= maxRuns {
			r.dangle(c.open[0], c, false)
			c.open = c.open[1:]
		}
		run := &iisRun{when: e.when, at: r.requests}
		run.trail.note(rec, found)
		c.open = append(c.open, run)
	case bytes.EqualFold(file, postPage):
		i := c.latest(e, false)
		if i < 0 {
			c.open = append(c.open, &iisRun{})
			i = len(c.open) - 1
		}
		run := c.open[i]
		run.posted, run.when, run.at = true, e.when, r.requests
		run.trail.note(rec, found)
	case bytes.EqualFold(file, certPage):
		// It was asked again, and nothing is lost.
		c.torn = slices.DeleteFunc(c.torn, func(t *tornFetch) bool { return t.query == string(e.query) })
		i := c.latest(e, true)
		if i < 0 {
			// It collects what was asked for before: the certificate, or that it was denied.
			if i := c.latest(e, false); i >= 0 {
				run := c.open[i]
				c.open = slices.Delete(c.open, i, i+1)
				if r.collected < maxCollected {
					r.collected++
					run.trail.note(rec, found)
					i := run.trail.incident(IIS)
					i.enrolls, i.mute = c.enrolls, true
					r.d.report(i)
				}
			}
			return
		}
		posted := c.open[i].at
		c.open = slices.Delete(c.open, i, i+1)
		for _, o := range c.open {
			// Who collects what was asked for before has come after it was.
			if !o.posted && o.at > posted && o.goesOnWith(e) {
				o.maybe = append(o.maybe[:0], found...)
			}
		}
		r.d.good(IIS)
	}
}

// latest finds the enrollment that a request goes on with: CES and the RA go on at once, so
// it is the oldest of those whose own request had ended just before this one began; one
// from before that has failed. Without times it is the oldest. -1 = none.
func (c *iisClient) latest(e *w3cEntry, posted bool) int {
	found := -1
	for i, o := range c.open {
		if o.posted != posted {
			continue
		}
		found = i
		if o.goesOnWith(e) {
			break
		}
	}
	return found
}

// goesOnWith tells whether a request began as soon as CES's next one does.
func (o *iisRun) goesOnWith(e *w3cEntry) bool {
	within := int64(atOnce)
	if !o.posted {
		within = afterLogin
	}
	return !e.when.clock || !o.when.clock || e.when.ms-max(e.taken, 0)-o.when.ms <= within
}

// expire reports what has not gone on.
func (r *iisReader) expire(c *iisClient, now stamp) {
	if !now.clock {
		return
	}
	for i := 0; i < len(c.open); {
		if !c.open[i].over(now) {
			i++
			continue
		}
		r.dangle(c.open[i], c, false)
		c.open = slices.Delete(c.open, i, i+1)
	}
	for len(c.torn) > 0 && c.torn[0].rec.head.when.clock && now.ms-c.torn[0].rec.head.when.ms > abandoned {
		r.lose(c)
	}
	if c.denied != nil && c.denied.when.clock && now.ms-c.denied.when.ms > abandoned {
		r.dangle(c.denied, c, false)
		c.denied = nil
	}
}

// over tells whether nothing more of an enrollment comes.
func (o *iisRun) over(now stamp) bool {
	within := int64(abandoned)
	if o.posted {
		within = uncollected
	}
	return now.clock && o.when.clock && now.ms-o.when.ms > within
}

func (r *iisReader) dangle(run *iisRun, c *iisClient, cut bool) {
	i := run.trail.incident(IIS)
	i.enrolls, i.cut, i.maybe, i.dangles = c.enrolls, cut, run.maybe, run != c.denied
	i.late = run.posted && r.last.clock && run.when.clock && r.last.ms-run.when.ms > afterLogin
	r.d.report(i)
}

// lose reports the oldest certificate that was not fetched again.
func (r *iisReader) lose(c *iisClient) {
	torn := c.torn[0]
	c.torn = c.torn[1:]
	var t trail
	t.note(&torn.rec, torn.found)
	if len(torn.found) == 0 {
		r.d.strangers.add(IIS, &torn.rec)
	}
	i := t.incident(IIS)
	i.enrolls, i.torn = c.enrolls, true
	r.d.report(i)
}

// fileOf is the last part of a path.
func fileOf(stem []byte) []byte { return stem[bytes.LastIndexByte(stem, '/')+1:] }

func (r *iisReader) finish(c *iisClient) {
	for len(c.torn) > 0 {
		r.lose(c)
	}
	for _, run := range c.open {
		r.dangle(run, c, !run.over(r.last))
	}
	if c.denied != nil {
		r.dangle(c.denied, c, true)
	}
	delete(r.clients, c.name)
}

func (r *iisReader) end() {
	for _, name := range slices.Sorted(maps.Keys(r.clients)) {
		r.finish(r.clients[name])
	}
	if r.requests > 0 && (!r.pages || !r.loggedIn) { // as grep leaves a log: what followed is not in it
		r.d.incidents = slices.DeleteFunc(r.d.incidents, func(i *incident) bool {
			gone := i.log == IIS && i.dangles
			if gone {
				r.onePage++
			}
			return gone
		})
	}
}
