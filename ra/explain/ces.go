package explain

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// cesReader reads CES's NGINX error.log and its CiscoRA log: starts of CES, and the
// enrollments of its clients. The lines of CES itself have their connection; those of
// libest have not, and belong to whichever enrollment has come so far.
type cesReader struct {
	d *desk

	starting bool
	launched bool // by a line that CES has at its start alone
	start    trail
	alone    bool // it is the CiscoRA log, and nothing else
	service  bool // it is the CiscoRA log: its script's line was there
	failed   bool

	conns  map[int64]*conn
	free   []*conn
	before trail // libest's lines of the request so far

	// answered are the signatures of the connection that the last good answer was thought to
	// be of, and when. Where two clients wait for one certificate, the other may have
	// been written to in vain.
	answered   []int
	answeredAt int64

	// codes and rvs are what libest says last of a request that has failed, where the line that
	// says so first is not there: of each the same word. named says that it is.
	codes, rvs []*incident
	torn       *incident // the same of the request within which the log begins
	named      bool

	begun      bool // a request's beginning was read: it is not only the end of one
	challenges int  // answers 401 that only ask for credentials, still to come
	failures   []*cesFailure
	clock      int64
}

// conn is one client's connection.
type conn struct {
	id       int64
	pid      int64 // of its worker
	stage    stage
	failed   bool // a call of the CA has, by its own line
	answered bool // the CA has answered one, by its own line
	trail    trail
	turn     int64
}

// stage is how far an enrollment has come at the CA.
type stage int

const (
	stageNone stage = iota
	stageLogin
	stageList
	stageLogin2
	stageSubmit
	stageDone
)

// cesFailure is a request that libest has called failed, and whose access line has
// not come yet.
type cesFailure struct {
	rc    int
	trail trail
	conns []*conn // those that it may have failed on, the likeliest first
	asked bool    // its access line has come
	turn  int64
	maybe []int // signatures of a connection that may be another's
	torn  bool  // the log begins within it
}

const (
	maxConns    = 1024
	maxFailures = 256
	// patience is after how many lines of other connections one that has said nothing
	// more is the one that failed.
	patience = 64
)

func (r *cesReader) init(d *desk) { r.d, r.conns = d, map[int64]*conn{} }

var (
	loginDone    = []byte("login_to_certsrv_ca:Secure")
	listDone     = []byte("navigate_to_certsrv_page:Secure")
	submitBegun  = []byte("submit_cert_request:")
	fetchDone    = []byte("retrieve_cert:Secure")
	chainRead    = []byte("ra_certsrv_ca_plugin_postconf:CACertchainretrieved")
	chainMissing = []byte("ra_certsrv_ca_plugin_postconf:Unable")
	chainNotRead = []byte("retrieve_cacerts:Unable")
	startBegins  = []byte("CAChainrequestedbut")
	secured      = []byte(":SecureconnectiontoMSCertServ")
	challenge    = []byte("HTTPauthheadersmissing")
	noPeer       = []byte("TLS:nopeercertificate")
	failedWith   = []byte("Enrollmentfailedwithrc=")
	authFailed   = []byte("HTTPauthenticationfailed")
	errorAnswer  = []byte("[Error")
	errorCode    = []byte("ESTerrorresponsecode:")
	failedIn     = []byte("Incomingrequestfailed")
	failedInWith = []byte("Incomingrequestfailedrv=")
	accessPost   = []byte(`"POST/.well-known/est/`)
	accessGet    = []byte(`"GET/.well-known/est/`)
	chainAsked   = []byte(`"GET/.well-known/est/cacertsHTTP/1.1"500`)
	curlFailed   = []byte("failedwithreturncode")
)

func (r *cesReader) record(rec *record, found []int) {
	rec.tells = len(found) > 0
	switch rec.head.form {
	case formStart, formService:
		r.starts(rec, found)
	case formWorker:
		if rec.head.conn == 0 {
			r.starts(rec, found)
			return
		}
		r.running(rec, found)
	case formLibest:
		r.libest(rec, found)
	}
}

// callFailed tells whether CES itself says that a call of the CA failed: a client can say
// so in its request alone.
func callFailed(text []byte) bool {
	before, _, ok := bytes.Cut(text, curlFailed)
	return ok && bytes.IndexByte(before, '"') < 0
}

// starts takes a line of CES's start-up.
func (r *cesReader) starts(rec *record, found []int) {
	if bytes.HasPrefix(rec.text, startBegins) {
		r.endStart(false)
		r.service = r.alone
		r.restarted()
	}
	r.starting = true
	r.launched = r.launched || rec.head.form != formWorker
	r.start.note(rec, found)
	switch {
	case rec.head.form == formService:
		r.service = true
	case callFailed(rec.text):
		r.failed = true
	case bytes.HasPrefix(rec.text, chainNotRead):
		r.failed = true
	case bytes.HasPrefix(rec.text, chainMissing):
		r.failed = true
		r.endStart(false)
	case bytes.HasPrefix(rec.text, chainRead):
		r.start.reset()
		r.starting, r.launched, r.failed = false, false, false
	}
}

// begin says that another file begins: the CiscoRA log, which says nothing of enrollments, goes
// on in none that is not known to be one.
func (r *cesReader) begin(alone bool) {
	r.alone = alone
	if r.service && !r.alone {
		r.endStart(true)
	}
	r.service = r.alone
}

// serves says that CES answers clients: it is not starting, and it is not the CiscoRA log.
func (r *cesReader) serves() {
	r.endStart(false)
	r.service = r.alone
}

// endStart ends a start without a chain; last says that the log ends here. CES tries again
// without its script, so that what follows in the CiscoRA log is that log's as well.
func (r *cesReader) endStart(last bool) {
	defer func() { r.starting, r.launched, r.failed = false, false, false; r.start.reset() }()
	if !r.starting || len(r.start.numbs) == 0 || !r.launched && !r.failed { // a log-in of its own, later
		return
	}
	log := NGINX
	if r.service {
		// The CiscoRA log has only failures: nothing more is good.
		if !r.failed {
			return
		}
		log = CiscoRA
	}
	i := r.start.incident(log)
	i.who, i.start = "CES, at its start", true
	i.cut = last && !r.failed
	r.d.report(i)
}

// restarted says that nothing goes on that has begun before: connections are counted
// anew, from the same number.
func (r *cesReader) restarted() {
	for len(r.failures) > 0 {
		r.close(r.failures[0])
	}
	for _, c := range slices.SortedFunc(maps.Values(r.conns), func(a, b *conn) int { return int(a.turn - b.turn) }) {
		r.giveUp(c)
	}
	r.before.reset()
	r.challenges, r.answered = 0, nil
}

func (r *cesReader) connOf(id, pid int64) *conn {
	c := r.conns[id]
	if c != nil && c.pid != pid { // a restart whose own lines are not there
		r.restarted()
		c = nil
	}
	if c == nil {
		if n := len(r.free); n > 0 {
			c, r.free = r.free[n-1], r.free[:n-1]
		} else {
			c = &conn{}
		}
		c.id, c.pid, c.stage, c.failed, c.answered = id, pid, stageNone, false, false
		c.trail.reset()
		if len(r.conns) >= maxConns {
			r.dropOld()
		}
		r.conns[id] = c
	}
	r.clock++
	c.turn = r.clock
	return c
}

func (r *cesReader) drop(c *conn) {
	if c == nil {
		return
	}
	delete(r.conns, c.id)
	for _, f := range r.failures {
		f.conns = slices.DeleteFunc(f.conns, func(o *conn) bool { return o == c })
	}
	r.free = append(r.free, c)
}

// dropOld gives up the half of the connections that have said nothing for longest.
func (r *cesReader) dropOld() {
	all := slices.SortedFunc(maps.Values(r.conns), func(a, b *conn) int { return int(a.turn - b.turn) })
	for _, c := range all[:len(all)/2] {
		r.giveUp(c)
	}
}

// giveUp drops a connection of which nothing more comes. One whose call of the CA has
// failed is told, though libest's lines of it are not there: a log is often passed on
// by the lines of CES alone.
func (r *cesReader) giveUp(c *conn) {
	if c.failed {
		r.d.report(c.trail.incident(NGINX))
	}
	r.drop(c)
}

// oldest is the connection that fits and whose last line is longest ago.
func (r *cesReader) oldest(fits func(*conn) bool) (best *conn) {
	for _, c := range r.conns {
		if fits(c) && (best == nil || c.turn < best.turn) {
			best = c
		}
	}
	return best
}

// running takes a line of CES about an enrollment.
func (r *cesReader) running(rec *record, found []int) {
	r.serves()
	c := r.connOf(rec.head.conn, rec.head.pid)
	// A connection that goes on is not one that has failed.
	for _, f := range r.failures {
		f.conns = slices.DeleteFunc(f.conns, func(o *conn) bool { return o == c })
	}
	r.settle()
	switch t := rec.text; {
	case bytes.HasPrefix(t, loginDone):
		if c.stage >= stageLogin {
			c.stage = stageLogin2
		} else {
			c.stage = stageLogin
		}
	case bytes.HasPrefix(t, listDone):
		c.stage = stageList
	case bytes.HasPrefix(t, submitBegun):
		c.stage = stageSubmit
	case bytes.HasPrefix(t, fetchDone):
		c.stage = stageDone
	}
	c.failed = c.failed || callFailed(rec.text)
	c.answered = c.answered || bytes.Contains(rec.text, secured)
	c.trail.note(rec, found)
}

// libest takes a line of libest's server.
func (r *cesReader) libest(rec *record, found []int) {
	t := rec.text
	switch {
	case bytes.HasPrefix(t, noPeer):
		r.serves()
		r.begun = true
	case bytes.HasPrefix(t, challenge):
		r.serves()
		r.begun = true
		r.challenges = min(r.challenges+1, 1000)
	case bytes.HasPrefix(t, authFailed):
		r.before.note(rec, found)
	case bytes.HasPrefix(t, failedWith):
		r.fails(rec, found)
	case bytes.HasPrefix(t, errorAnswer), bytes.HasPrefix(t, errorCode), bytes.HasPrefix(t, failedIn):
		for _, f := range r.failures {
			if f.asked || hasAny(f.trail.numbs, found) {
				continue
			}
			f.trail.note(rec, found)
			return
		}
		r.nameless(rec)
	case bytes.HasPrefix(t, accessPost), bytes.HasPrefix(t, accessGet):
		r.access(rec, found)
	default:
		if r.starting {
			r.start.note(rec, found)
		} else if bytes.HasPrefix(rec.raw, libestStart) {
			r.starting, r.launched = true, true
			r.start.note(rec, found)
		}
	}
}

// nameless keeps a line that says the code of a failed request, of which the line that such a
// request is told by is not there.
func (r *cesReader) nameless(rec *record) {
	of := &r.codes
	code, ok := bytes.CutPrefix(rec.text, errorCode)
	if !ok {
		of = &r.rvs
		if code, ok = bytes.CutPrefix(rec.text, failedInWith); !ok {
			return
		}
	}
	if len(*of) >= maxFailures {
		return
	}
	var t trail
	t.note(rec, r.d.catalog.book.find(nil, familyCES, slices.Concat(failedWith, code)))
	i := t.incident(NGINX)
	*of = append(*of, i)
	if r.torn == nil && !r.begun && !r.named {
		r.torn = i
		i.abridged, i.bare = true, r.clock == 0
	}
}

var libestStart = []byte("***EST [INFO][est_log_version")

// fails begins a failed request, and looks for the connection that it is of.
func (r *cesReader) fails(rec *record, found []int) {
	r.serves()
	r.named = true
	f := &cesFailure{turn: r.clock}
	digits := rec.text[len(failedWith):]
	for i := 0; i < len(digits) && i < 3 && digit(digits[i]); i++ {
		f.rc = f.rc*10 + int(digits[i]-'0')
	}
	f.trail.add(&r.before)
	r.before.reset()
	f.trail.note(rec, found)
	for _, c := range r.conns {
		if f.rc == 22 && c.stage > stageList || c.stage == stageDone && f.rc != 10 {
			continue
		}
		f.conns = append(f.conns, c)
	}
	if len(f.conns) == 0 && f.rc == 10 && r.clock-r.answeredAt < patience {
		f.maybe, r.answered = r.answered, nil
	}
	f.torn = !r.begun
	// The latest lines are likeliest its own.
	slices.SortFunc(f.conns, func(a, b *conn) int { return int(b.turn - a.turn) })
	if len(r.failures) >= maxFailures {
		r.close(r.failures[0])
	}
	r.failures = append(r.failures, f)
}

var csrAttributes = []byte("/csrattrs HTTP/")

// access takes the line that ends a request.
func (r *cesReader) access(rec *record, found []int) {
	r.offset(rec)
	t := rec.text
	if r.starting && bytes.HasPrefix(t, chainAsked) {
		return // whoever asks before the start is over does not end it
	}
	r.serves()
	quote := bytes.LastIndexByte(t, '"')
	if quote < 0 {
		return
	}
	// The status is squeezed together with the bytes sent: 401 0 is 4010.
	status := string(rest(rec.raw))
	post := bytes.HasPrefix(t, accessPost)
	if post && slices.Contains(beyondCES, status) {
		r.d.beyond = status
	}
	switch {
	case status == "401" && r.challenges > 0:
		r.challenges--
		return
	case status == "401" && !r.begun && len(r.failures) == 0:
		return // the log was cut before what it answers
	case status == "-1" && !post:
		return
	case status == "204" && bytes.Contains(rec.raw, csrAttributes): // there is nothing to ask for (RFC 7030 §4.5.2)
		return
	}
	rec.head.when = accessTime(rec.raw)
	r.d.saw(rec.head.when)
	for _, f := range r.failures {
		if !f.asked && (status != "-1" || f.rc == 10) {
			f.asked = true
			f.trail.note(rec, found)
			r.settle()
			return
		}
	}
	if status == "-1" || status == "200" {
		r.d.good(NGINX)
		if c := r.oldest(func(c *conn) bool { return c.stage == stageDone && !r.suspected(c) }); c != nil {
			r.answered, r.answeredAt = append(r.answered[:0], c.trail.numbs...), r.clock
			r.drop(c)
		}
		return
	}
	// An answer that nothing before has explained.
	f := &cesFailure{asked: true, turn: r.clock}
	f.trail.note(rec, found)
	if post {
		if c := r.oldest(func(c *conn) bool { return c.stage != stageDone && !r.suspected(c) }); c != nil && status != "401" {
			f.conns = []*conn{c}
		}
	}
	r.failures = append(r.failures, f)
	r.settle()
}

// beyondCES are the statuses of an RA in the profile modern to an enrollment, which CES does not
// give: whatever fails is 400 or 401 there (docs/reference/libest.md, docs/reference/ces.md).
var beyondCES = []string{"403", "502", "503", "504"}

// suspected tells whether a failure is thought to be on a connection.
func (r *cesReader) suspected(c *conn) bool {
	return slices.ContainsFunc(r.failures, func(f *cesFailure) bool { return len(f.conns) > 0 && f.conns[0] == c })
}

// rest is the status in an access line.
func rest(raw []byte) []byte {
	i := bytes.LastIndexByte(raw, '"')
	if i < 0 {
		return nil
	}
	fields := bytes.Fields(raw[i+1:])
	if len(fields) == 0 {
		return nil
	}
	return fields[0]
}

// settle reports the failures of which it is clear where they belong.
func (r *cesReader) settle() {
	for i := 0; i < len(r.failures); {
		f := r.failures[i]
		if !f.asked || len(f.conns) > 0 && len(r.failures) < maxFailures/2 && r.clock-f.turn < patience {
			i++
			continue
		}
		r.close(f)
	}
}

// close reports a failed request.
func (r *cesReader) close(f *cesFailure) {
	r.failures = slices.DeleteFunc(r.failures, func(o *cesFailure) bool { return o == f })
	bare := f.torn
	if len(f.conns) > 0 {
		c := f.conns[0]
		bare = bare && !c.failed && !c.answered
		f.trail.add(&c.trail)
		r.drop(c)
	}
	i := f.trail.incident(NGINX)
	i.maybe, i.abridged, i.bare = f.maybe, f.torn, bare
	r.d.report(i)
}

// offset learns the log's zone from an access line.
func (r *cesReader) offset(rec *record) {
	i := bytes.IndexByte(rec.raw, '[')
	if i < 0 {
		return
	}
	s := r.d.seen[NGINX]
	if s == nil || s.hasOffset {
		return
	}
	// ... [27/Feb/2019:16:53:28 -0500] "POST
	j := bytes.Index(rec.raw, []byte(`] "`))
	if j < 6 {
		return
	}
	sign := rec.raw[j-5]
	h, ok1 := number(rec.raw, j-4, 2)
	m, ok2 := number(rec.raw, j-2, 2)
	if !ok1 || !ok2 || sign != '+' && sign != '-' {
		return
	}
	s.offset, s.hasOffset = (h*60+m)*60000, true
	if sign == '-' {
		s.offset = -s.offset
	}
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// accessTime reads [27/Feb/2019:16:53:28 -0500], in the log's zone.
func accessTime(raw []byte) (s stamp) {
	i := bytes.IndexByte(raw[min(len(raw), len(accessHead)):], '[')
	for i >= 0 {
		b := raw[len(accessHead)+i:]
		if len(b) > 21 && b[3] == '/' && b[7] == '/' && b[12] == ':' {
			month := strings.Index(months, string(b[4:7]))
			if month < 0 || month%3 != 0 {
				return stamp{}
			}
			date := fmt.Appendf(nil, "%s-%02d-%s", b[8:12], month/3+1, b[1:3])
			day, ok1 := dateAt(date, '-')
			ms, ok2 := clockAt(b, 13)
			if ok1 && ok2 {
				return stamp{ms: day + ms, date: true, clock: true}
			}
			return stamp{}
		}
		next := bytes.IndexByte(b[1:], '[')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return stamp{}
}

func (r *cesReader) end() {
	r.endStart(true)
	r.restarted()
	s := r.d.seen[NGINX]
	abridged := s != nil && !s.whole
	switch {
	case abridged && !r.named: // grep ERROR leaves the code alone, and both say the same of a request
		all := r.codes
		if len(r.rvs) > len(all) {
			all = r.rvs
		}
		for _, i := range all {
			r.d.report(i)
		}
	case r.torn != nil:
		r.d.report(r.torn)
	}
	if !abridged {
		return
	}
	r.d.incidents = slices.DeleteFunc(r.d.incidents, func(i *incident) bool {
		i.abridged = i.log == NGINX
		i.bare = i.abridged && r.clock == 0
		return i.abridged && i.start && !slices.ContainsFunc(i.lines, func(m mark) bool { return failure.MatchString(m.text) })
	})
}

// failure is what a line says that tells of one, and not of what may yet go well.
var failure = regexp.MustCompile(`(?i)fail|unable|\[error|\[crit`)

// alarming tells whether who looks for warnings and errors in a log finds such a line.
func alarming(line string) bool { return alarm.MatchString(line) }

var alarm = regexp.MustCompile(`(?i)fail|unable|error|warn|crit|alert|emerg`)
