package explain

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
)

// plainReader reads every log whose lines are told by their words alone: a phone's
// console, an ASA, Expressway, TMS, pages of /certsrv, tools, this product's own log,
// and any of them in prose.
type plainReader struct {
	d      *desk
	window []byte // the paragraph so far, squeezed
	prior  []byte // the line before, raw
	runs   map[topic]*plainRun
	when   stamp
	log    Log // of the record that the paragraph began with; "" = prose

	// doubt is a line that speaks of an error, and that the next may explain.
	doubt    bool
	doubtful record

	// of the RA's record that the paragraph is: it, and whether a card or a doubt has it
	own       record
	ownRaw    []byte
	told      bool
	explained explained // enrollments that a card explains
	listed    explained // those of which a line is listed as not understood
	startTold bool      // a card explains what the RA's own log-in has met, of which its start says once more
	refusals  handshakes
	sent      sentChain
}

// topic is what lines of a log are about: failures that share a line are one.
type topic struct {
	log   Log
	group int
}

type plainRun struct {
	trail trail
	id    string // of the RA's enrollment
	reqID string // its ReqID at the CA
	stood Log    // see [incident]
	line  int
	file  int
}

const (
	maxWindow = 512
	// together is how many lines apart two lines of one incident may be.
	together = 300
	// oneCall is how many lines apart a tool may say the same thing of one call.
	oneCall = 40
)

func (r *plainReader) init(d *desk) { r.d, r.runs = d, map[topic]*plainRun{} }

// gap says that a paragraph ends.
func (r *plainReader) gap() {
	if r.doubt {
		if r.log != RA || r.unheardOf() && !r.refusals.take(&r.doubtful) {
			r.d.strangers.add(r.log, &r.doubtful)
		}
		r.doubt, r.told = false, true
	}
	if r.log == RA && !r.told {
		if shape, ok := refused(r.window); ok && r.unheardOf() {
			r.d.strangers.keep(RA, &r.own, shape)
		}
	}
	r.window, r.prior, r.log = r.window[:0], r.prior[:0], ""
	r.when = stamp{}
}

// unheardOf tells whether nothing was said yet of the enrollment that the RA's record is of:
// the same failure stands in several of its lines.
func (r *plainReader) unheardOf() bool {
	id := idOf(r.window)
	if id == "" && r.startTold && (bytes.Contains(r.window, startFailed) || bytes.Contains(r.window, ownRefused)) {
		return false
	}
	if r.explained.ids[id] || r.listed.ids[id] && !bytes.Contains(r.window, orphanMessage) { // what may be lost is told whatever else was
		return false
	}
	r.listed.add(id)
	return true
}

// record takes a record that begins a paragraph of its own.
func (r *plainReader) record(rec *record, log Log) {
	r.gap()
	if log == RA && bytes.Contains(rec.raw, ofFault) {
		return // a lab says which failure it has made
	}
	r.log, r.when, r.told = log, rec.head.when, false
	if log == RA {
		r.ownRaw = append(r.ownRaw[:0], rec.raw[:min(len(rec.raw), maxLineKept)]...)
		r.own = *rec
		r.own.raw = r.ownRaw
	}
	r.take(rec, true)
}

// more takes a line that goes on with the paragraph.
func (r *plainReader) more(rec *record) { r.take(rec, false) }

func (r *plainReader) take(rec *record, begins bool) {
	if len(r.window) > maxWindow {
		r.window = append(r.window[:0], r.window[len(r.window)-maxWindow:]...)
	}
	from := len(r.window)
	raw := rec.raw
	r.sent.line(rec.file, raw)
	if len(raw) > 64<<10 {
		raw = raw[:64<<10]
	}
	r.window = squeeze(r.window, raw)
	understood := false
	r.d.catalog.plain.each(r.window, from, func(n, begin int) {
		understood = true
		rec.head.when = r.when
		shown := *rec
		if begin < from && len(r.prior) > 0 {
			shown.raw = append(append(bytes.Clone(r.prior), ' '), raw[:min(len(raw), maxLineKept)]...)
		}
		shown.tells = true
		inQuotes := quotedIn(r.window, from, begin)
		if begin < from {
			r.doubt = false
		}
		topics := r.d.catalog.topicsOf[n]
		if len(topics) == 0 && (speaksOfError(raw) || bytes.Contains(raw, []byte("lert"))) {
			r.d.beside(n, r.log, &shown)
		}
		for _, about := range topics {
			if r.log != "" && about.log == Tool {
				continue // a product has its own words, in which a tool's may stand
			}
			shown.quoted = rec.quoted || inQuotes && r.log == "" || r.log == RA && !ownWords(r.window[:begin], r.d.catalog.book.signatures[n].parts[0])
			r.saw(about, n, &shown)
			if r.log == RA && about.log == RA {
				r.told = true
				id := idOf(r.window)
				r.explained.add(id)
				r.startTold = r.startTold || id == ""
			}
		}
	})
	if !understood && (begins || looksLogged(raw)) && speaksOfError(raw) {
		if r.doubt {
			r.d.strangers.add(r.log, &r.doubtful)
		}
		r.doubt = true
		r.doubtful = *rec
		r.doubtful.raw = bytes.Clone(raw[:min(len(raw), maxLineKept)])
	}
	r.prior = append(r.prior[:0], raw[:min(len(raw), maxLineKept)]...)
}

// saw adds a line to the incident of its log.
func (r *plainReader) saw(about topic, n int, rec *record) {
	run := r.runs[about]
	if run != nil {
		// A tool says a thing twice in one call.
		call := oneCall
		if r.sent.in(rec.file) != "" {
			call = together // openssl s_client prints the certificates in between
		}
		same := about.log == Tool && rec.file == run.file && rec.line-run.line <= call
		polled := r.log == RA && run.reqID != "" && bytes.Contains(r.window, stillPending) && run.reqID == reqIDOf(r.window)
		switch { // what the CA said stands in each record of an enrollment, and in what ra ends with
		case bytes.HasPrefix(rec.raw, []byte("ra: ")):
			same = same || run.id != ""
		case r.log == RA:
			same = same || run.id != "" && run.id == idOf(r.window) || polled
		}
		if slices.Contains(run.trail.numbs, n) && !same || rec.file == run.file && rec.line-run.line > together && !polled {
			r.report(about)
			run = nil
		}
	}
	if run == nil {
		run = &plainRun{}
		if r.log == RA {
			run.id, run.reqID = idOf(r.window), reqIDOf(r.window)
		}
		r.runs[about] = run
	}
	if r.log == RA && about.log != RA {
		run.stood = RA
	} else if r.log != about.log {
		r.d.count(about.log, r.when)
	}
	run.trail.note(rec, []int{n})
	run.line, run.file = rec.line, rec.file
}

func (r *plainReader) report(about topic) {
	run := r.runs[about]
	delete(r.runs, about)
	i := run.trail.incident(about.log)
	i.stood = run.stood
	if about.log == Tool {
		i.chain = r.sent.in(run.file)
	}
	if run.reqID != "" {
		i.who = "ReqID " + run.reqID
	}
	r.d.report(i)
}

func (r *plainReader) end() {
	r.gap()
	r.refusals.end(func(rec *record) { r.d.strangers.add(RA, rec) })
	for _, about := range slices.SortedFunc(maps.Keys(r.runs), func(a, b topic) int {
		return cmp.Or(cmp.Compare(a.log, b.log), a.group-b.group)
	}) {
		r.report(about)
	}
}

// looksLogged tells a line of some log from prose.
func looksLogged(b []byte) bool {
	for _, level := range [...]string{"[crit]", "[error]", "[alert]", "[emerg]", "ERROR", " ERR ", "error:", "Error:", "ERROR:", "FATAL"} {
		if bytes.Contains(b[:min(len(b), 160)], []byte(level)) {
			return true
		}
	}
	return false
}

// plainIndex finds signatures anywhere in a text: a first look at four bytes leaves
// few places to compare.
type plainIndex struct {
	book  *book
	maybe [1 << 13]byte // one bit for each of 65,536 hashes
	at    map[uint32][]int
}

func (p *plainIndex) build(b *book) {
	p.book, p.at = b, map[uint32][]int{}
	for _, n := range b.short[familyPlain] {
		part := b.signatures[n].parts[0]
		key := binary.LittleEndian.Uint32([]byte(part[:4]))
		p.at[key] = append(p.at[key], n)
		h := hash(key)
		p.maybe[h>>3] |= 1 << (h & 7)
	}
}

func hash(key uint32) uint32 { return key * 2654435761 >> 16 }

// each calls f for each signature that ends behind from, with the place where it
// begins.
func (p *plainIndex) each(text []byte, from int, f func(n, begin int)) {
	if len(text) < 4 {
		return
	}
	for i := 0; i+4 <= len(text); i++ {
		key := binary.LittleEndian.Uint32(text[i:])
		h := hash(key)
		if p.maybe[h>>3]&(1<<(h&7)) == 0 {
			continue
		}
		for _, n := range p.at[key] {
			if end := p.book.signatures[n].endAt(text[i:]); end >= 0 && i+end > from {
				f(n, i)
			}
		}
	}
}

// endAt is where the signature ends in text that begins with it; -1 = it does not.
func (s *signature) endAt(text []byte) int {
	if !s.in(text, true) {
		return -1
	}
	at := 0
	for n, part := range s.parts {
		if n > 0 {
			at += index(text[at:], part)
		}
		at += len(part)
	}
	return at
}
