package explain

import (
	"bytes"
	"slices"
	"strings"
)

// record is one record of a log on its way through the desk.
type record struct {
	head  head
	raw   []byte // from its head to its end; valid during the call
	text  []byte // what it says, squeezed
	file  int
	line  int
	tells bool
	// quoted says that it stands within what somebody has written: a client's request in a
	// server's log, or prose that speaks of it.
	quoted bool
}

// desk reads the lines of one or more files of the same log, in their order, and
// hands each record to the reader of its kind.
type desk struct {
	catalog *Catalog
	file    int
	told    *FileRead // of that file
	fields  w3cFields
	custom  bool // #Fields was seen, and they are not the default ones

	ces   cesReader
	capf  capfReader
	iis   iisReader
	plain plainReader

	// open is a record whose text may go on in the next lines.
	open      bool
	openHead  head
	openRaw   []byte
	openOwn   int // bytes of its own line
	openLine  int
	openLines int
	openQuote bool // it is quoted
	prefixed  bool // the last record did not begin its line

	scratch, squeezed []byte
	found             []int

	incidents   []*incident
	unkept      int // that came behind [maxIncidents]
	strangers   strangers
	companions  map[int]*companion // by their signatures
	secrets     secrets
	reports     int // lines of reports of ra check and ra explain
	own         ownReport
	beyond      string // the last status of an enrollment that CES does not give; "" = none
	misfits     int    // lines that look like IIS's, and have other fields
	kinds       []string
	looked      []int  // bytes, for each mask
	named       []byte // how the line before ends, if a password's name stands there
	blank       int    // empty lines behind it
	inKey       int    // lines until a private key that has begun is over
	seen        map[Log]*seen
	lastSeen    *seen
	lastSeenLog Log
}

// seen is how much of a log was read.
type seen struct {
	records int64
	good    int64 // enrollments or starts that went well
	// Of NGINX's: it has lines that are no warnings or errors; libest's; and CES's own of enrollments.
	whole, libest, calls bool
	from, to             stamp
	// offset is the log's zone, in ms east of UTC, where the log tells it.
	offset    int64
	hasOffset bool
}

const (
	maxOpen      = 4 << 10
	maxOpenLines = 5
	maxIncidents = 20000 // that are kept one by one, of one log
)

func newDesk(c *Catalog) *desk {
	d := &desk{catalog: c, fields: parseFields(w3cDefault), seen: map[Log]*seen{}, looked: make([]int, len(masks)), companions: map[int]*companion{}}
	d.ces.init(d)
	d.capf.init(d)
	d.iis.init(d)
	d.plain.init(d)
	return d
}

// begin says that a file begins.
func (d *desk) begin(s sniffed, told *FileRead) {
	d.flush()
	d.ces.begin(s.ciscoRA)
	d.file, d.told = s.input, told
	d.lastSeen = nil
	d.fields, d.custom = parseFields(w3cDefault), false
	d.named, d.blank, d.inKey = d.named[:0], 0, 0
	d.strangers.mute, d.own = false, ownReport{}
}

// end says that there are no more files.
func (d *desk) end() {
	d.flush()
	d.ces.end()
	d.capf.end()
	d.iis.end()
	d.plain.end()
}

// line reads one line. It may hold several records, or a part of one, or none. next is
// how the line behind it begins, as far as that is known.
func (d *desk) line(raw, next []byte, number int) {
	b := d.clean(raw)
	if len(b) == 0 {
		d.own.gap()
		if d.blank++; d.blank > maxBlankLines {
			d.named = d.named[:0]
		}
		d.flush()
		d.plain.gap()
		return
	}
	b = d.withoutSecrets(b, number)
	if d.own.has(raw, b) {
		d.reports++
		d.flush()
		d.plain.gap()
		return
	}
	if d.open && d.openHead.form == formW3CHead && endsW3CHead(b[0]) {
		d.flush()
	}
	if d.custom {
		r := record{head: head{form: formW3C}, raw: b, file: d.file, line: number}
		if (digit(b[0]) || d.fields.isEntry(b)) && d.entry(&r) {
			return
		}
	}
	at := 0
	h, ok := headAt(b)
	if !ok {
		if at, h, ok = nextHead(b, 1); !ok && !d.open {
			at, h, ok = quotedRV(b)
		}
		if !ok {
			d.headless(b, number)
			return
		}
		// What goes before it may belong to the record before, unless all lines begin
		// with something, as syslog's do.
		if !d.prefixed && (d.open || len(d.plain.window) > 0) {
			d.headless(bytes.TrimRight(b[:at], " \t"), number)
		}
	}
	d.prefixed = at > 0
	quoted := !ownPrefix(b[:at])
	for ok {
		end, following, more := len(b), head{}, false
		var nextAt int
		if from := at + h.text + 1; from < len(b) && mayHoldAnother(h.form, b[from:]) {
			if nextAt, following, more = outsideQuotes(b, at, from); more {
				end = nextAt
			}
		}
		r := record{head: h, raw: bytes.TrimRight(b[at:end], " \t"), file: d.file, line: number, quoted: quoted}
		quoted = quoted || bytes.IndexByte(b[at:end], '"') >= 0 || bytes.Contains(b[at:end], headerMark) // from here on a client may have closed it
		if h.text > len(r.raw) {
			r.head.text = len(r.raw)
		}
		d.record(&r, !more && mayGoOn(h.form, next))
		at, h, ok = nextAt, following, more
	}
}

// withoutSecrets tells of what must not be passed on, whether or not its line is shown,
// and hides a password that the line before has named. What a line says by itself is
// hidden where it is shown.
func (d *desk) withoutSecrets(b []byte, number int) []byte {
	b, awaited := d.withoutAwaited(b)
	kinds, named := d.secretsIn(d.kinds[:0], b[:min(len(b), 64<<10)])
	d.named, d.blank = d.named[:0], 0
	if named {
		d.named = append(d.named, lastWords(b)...)
	}
	if awaited && !slices.Contains(kinds, "a password") {
		kinds = append(kinds, "a password")
	}
	for _, what := range kinds {
		d.secrets.saw(what, d.file, number)
	}
	d.kinds = kinds
	return d.withoutKey(b)
}

// mayHoldAnother tells quickly whether a second record may stand in a line: nearly
// none has one.
func mayHoldAnother(f form, rest []byte) bool {
	if len(rest) > maxOpen {
		return true // to look three times for each of its records would take long
	}
	switch f {
	case formStart, formWorker, formLibest, formService:
		return bytes.Contains(rest, libestMark) || bytes.Contains(rest, pidEnd) || bytes.Contains(rest, startMark) || bytes.Contains(rest, serviceMark)
	case formCAPF, formFrame:
		return bytes.Contains(rest, barMark)
	case formPhone:
		return bytes.Contains(rest, phoneMark)
	case formW3C, formASA, formW3CHead:
		return len(rest) > 160
	}
	return false
}

var (
	libestMark  = []byte("***EST [")
	startMark   = []byte("nginx: [")
	serviceMark = []byte("EnrollmentService")
	barMark     = []byte(" |")
	phoneMark   = []byte("VPNC: ")
)

// mayGoOn tells whether the next line goes on with a record, or may do so. IIS writes an
// entry next to the names of its fields, which are lower case.
func mayGoOn(f form, next []byte) bool {
	for len(next) > 0 && (next[0] == '>' || next[0] == ' ' || next[0] == '\t') {
		next = next[1:]
	}
	if len(next) == 0 || next[0] == '\r' || next[0] == '\n' {
		return false
	}
	if f == formW3CHead && endsW3CHead(next[0]) {
		return false
	}
	if !beginsRecord[next[0]] {
		return true
	}
	_, ok := headAt(next)
	return !ok
}

// endsW3CHead tells what begins an entry from what goes on with the names of its fields.
func endsW3CHead(c byte) bool { return digit(c) || c >= 'A' && c <= 'Z' }

// record takes a record up; goesOn says that the next line may belong to it.
func (d *desk) record(r *record, goesOn bool) {
	d.flush()
	switch r.head.form {
	case formFrame:
		d.count(CAPF, r.head.when)
		d.plain.gap()
		return
	case formW3CHead:
		if goesOn {
			d.hold(r)
		} else {
			d.header(r.raw)
		}
		return
	case formW3C:
		switch {
		case d.entry(r):
		case goesOn:
			d.hold(r)
		default:
			d.misfit(r.raw)
		}
		return
	case formJSON:
		d.count(RA, stamp{})
		d.plain.record(r, RA)
		return
	case formPhone:
		d.count(Phone, r.head.when)
		d.plain.record(r, Phone)
		return
	case formASA:
		d.count(ASA, r.head.when)
		d.plain.record(r, ASA)
		return
	}
	d.plain.gap()
	if goesOn {
		d.hold(r)
		return
	}
	d.squeezed = wordsOf(d.squeezed[:0], r.head, r.raw)
	if !d.judge(r, d.squeezed) {
		d.unknown(r, d.squeezed)
	}
}

// judge hands a record of CES or CAPF to its reader where its text is known.
func (d *desk) judge(r *record, text []byte) bool {
	f := familyCES
	if r.head.form == formCAPF {
		f = familyCAPF
	}
	d.found = d.catalog.book.find(d.found[:0], f, text)
	if len(d.found) == 0 {
		return false
	}
	r.text = text
	d.deliver(r)
	return true
}

// unknown hands on a record whose text is not known.
func (d *desk) unknown(r *record, text []byte) {
	r.text = text
	d.found = d.found[:0]
	d.strangers.add(d.logOf(r), r)
	d.deliver(r)
}

func (d *desk) deliver(r *record) {
	log := d.logOf(r)
	d.count(log, r.head.when)
	if s := d.lastSeen; log == NGINX {
		s.whole = s.whole || !alarm.Match(r.raw)
		s.libest = s.libest || r.head.form == formLibest
		s.calls = s.calls || r.head.form == formWorker && r.head.conn != 0
	}
	if r.head.form == formCAPF {
		d.capf.record(r, d.found)
		return
	}
	d.ces.record(r, d.found)
}

// logOf is the log of a record of CES or CAPF.
func (d *desk) logOf(r *record) Log {
	switch {
	case r.head.form == formCAPF:
		return CAPF
	case d.ces.alone:
		return CiscoRA
	}
	return NGINX
}

// hold keeps a record until its text has been read to the end.
func (d *desk) hold(r *record) {
	d.open, d.openHead, d.openLine, d.openLines = true, r.head, r.line, 0
	d.openRaw = append(d.openRaw[:0], r.raw[:min(len(r.raw), maxOpen)]...)
	d.openOwn, d.openQuote = len(d.openRaw), r.quoted
}

// flush judges the open record: with the lines that went on, or, where these were
// something else, by its own line.
func (d *desk) flush() {
	if !d.open {
		return
	}
	d.open = false
	r := record{head: d.openHead, raw: d.openRaw, file: d.file, line: d.openLine, quoted: d.openQuote}
	switch r.head.form {
	case formW3C:
		d.misfit(r.raw) // entry has tried
		return
	case formW3CHead:
		d.header(r.raw)
		return
	}
	f := familyCES
	if r.head.form == formCAPF {
		f = familyCAPF
	}
	d.squeezed = wordsOf(d.squeezed[:0], r.head, r.raw)
	joined := d.catalog.book.find(nil, f, d.squeezed)
	if len(r.raw) > d.openOwn {
		own := wordsOf(nil, r.head, r.raw[:d.openOwn])
		if found := d.catalog.book.find(nil, f, own); len(joined) == 0 || slices.Equal(found, joined) { // the next lines are something else
			r.raw, d.squeezed = d.openRaw[:d.openOwn], append(d.squeezed[:0], own...)
		}
	}
	if d.judge(&r, d.squeezed) {
		return
	}
	d.unknown(&r, d.squeezed)
}

// header reads a line of the head of IIS's log.
func (d *desk) header(line []byte) {
	if names, ok := bytes.CutPrefix(line, []byte("#Fields:")); ok {
		d.fields = parseFields(string(names))
		d.custom = strings.Join(strings.Fields(string(names)), " ") != w3cDefault
		d.count(IIS, stamp{})
		d.seen[IIS].records-- // the log is there, though perhaps nobody has asked anything
	}
}

// headless takes a line that begins no record: it goes on with the open one, or is
// of a log without heads, or prose.
func (d *desk) headless(b []byte, number int) {
	if d.open {
		d.openLines++
		d.openRaw = append(append(d.openRaw, ' '), b[:min(len(b), maxOpen)]...)
		if d.openHead.form == formW3C {
			r := record{head: d.openHead, raw: d.openRaw, file: d.file, line: d.openLine, quoted: d.openQuote}
			if d.entry(&r) {
				return
			}
		}
		if d.openLines >= maxOpenLines || len(d.openRaw) > maxOpen {
			d.flush()
		}
	}
	if len(b) > 24 && b[4] == '-' && b[10] == ' ' {
		_, date := dateAt(b, '-')
		if _, clock := clockAt(b, 11); date && clock {
			d.misfit(b)
		}
	}
	r := record{raw: b, file: d.file, line: number}
	d.plain.more(&r)
}

// companion is a line that stands in logs of failures, beside those that tell them.
type companion struct {
	stranger

	of []string // the failures
}

// beside keeps a line that is told if the failure in whose logs it stands was not found.
func (d *desk) beside(n int, log Log, r *record) {
	c := d.companions[n]
	if c == nil {
		c = &companion{of: d.catalog.beside[n], stranger: stranger{log: log, mark: mark{file: r.file, line: r.line, when: r.head.when, text: string(r.raw[:min(len(r.raw), maxLineKept)])}}}
		d.companions[n] = c
	}
	c.count++
}

// entry reads an entry of IIS's log.
func (d *desk) entry(r *record) bool {
	var e w3cEntry
	if !d.fields.parse(r.raw, &e) {
		return false
	}
	d.open = false
	d.plain.gap()
	r.head.when = e.when
	d.count(IIS, e.when)
	d.scratch = e.canonical(d.scratch[:0])
	d.found = d.catalog.book.entry(d.found[:0], d.scratch, &e)
	d.iis.record(r, &e, d.found)
	return true
}

// misfit counts what begins as an entry of IIS's log about /certsrv and cannot be read as one.
func (d *desk) misfit(raw []byte) {
	if bytes.Contains(raw, spaceCertsrv) {
		d.misfits++
	}
}

var spaceCertsrv = []byte(" /certsrv")

// count counts a record of a log.
func (d *desk) count(log Log, when stamp) {
	s := d.lastSeen
	if d.lastSeenLog != log || s == nil {
		s = d.seen[log]
		if s == nil {
			s = &seen{}
			d.seen[log] = s
		}
		if !slices.Contains(d.told.Logs, log) {
			d.told.Logs = append(d.told.Logs, log)
		}
		d.lastSeen, d.lastSeenLog = s, log
	}
	s.records++
	if when.clock && when.date == (log != CAPF) {
		s.saw(when)
	}
}

// saw takes in the time of an access line, which has no other, in the log of the last record.
func (d *desk) saw(when stamp) {
	if s := d.lastSeen; s != nil && when.clock && when.date {
		s.saw(when)
	}
}

func (s *seen) saw(when stamp) {
	if !s.from.clock {
		s.from = when
	}
	s.to = when
}

func (d *desk) good(log Log) {
	d.count(log, stamp{})
	d.seen[log].records--
	d.seen[log].good++
}

// report keeps an incident.
func (d *desk) report(i *incident) {
	if len(d.incidents) < maxIncidents {
		i.order = len(d.incidents)
		d.incidents = append(d.incidents, i)
		return
	}
	d.unkept++
}

// has tells whether one of the signatures found is one of these.
func hasAny(found, of []int) bool {
	return slices.ContainsFunc(found, func(n int) bool { return slices.Contains(of, n) })
}
