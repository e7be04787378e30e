package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	maxEvidence = 8
	maxStory    = 40
)

// text is the time as the log has it, without a zone.
func (s stamp) text() string {
	switch {
	case !s.clock:
		return ""
	case s.date:
		return time.UnixMilli(s.ms).UTC().Format("2006-01-02 15:04:05")
	}
	return time.UnixMilli(s.ms).UTC().Format("15:04:05.000")
}

// until takes another case into a finding that is there already.
func (f *Finding) until(j *judgement, k *affair) {
	for _, i := range k.incidents {
		if !i.first.clock {
			continue
		}
		if at := j.utc(i, i.first); f.First == "" || at < f.firstMS {
			f.First, f.firstMS = i.first.text(), at
		}
		if at := j.utc(i, i.last); f.Last == "" || at > f.lastMS {
			f.Last, f.lastMS = i.last.text(), at
		}
		return // the log that says most
	}
}

// finding makes a finding of a case.
func (j *judgement) finding(k *affair, candidates []*entry, variants map[*entry][]string) *Finding {
	f := &Finding{Count: 1}
	f.until(j, k)
	j.story(f, k)
	for _, i := range k.incidents {
		if !slices.Contains(f.Logs, i.log) {
			f.Logs = append(f.Logs, i.log)
		}
	}
	start := strings.HasPrefix(k.incidents[0].who, startOfCES)
	if len(candidates) == 0 {
		j.unknown(f, k)
		return f
	}
	first := candidates[0]
	words := wordsFor(k)
	said := words(first)
	f.Name, f.Title, f.Cause, f.Fix, f.Play, f.Document = first.Name, said.Title, said.Cause, said.Fix, first.Play, first.Document
	f.Variants = variants[first]
	for _, e := range candidates[1:] {
		f.Others = append(f.Others, Other{Name: e.Name, Title: words(e).Title, Lab: e.Lab, Variants: variants[e]})
	}
	f.Evidence = j.evidenceOf(k, func(n int) bool {
		for _, i := range k.incidents {
			if t, ok := first.tellsOf(i.log); ok && slices.Contains(t.has, n) {
				return true
			}
		}
		return false
	})
	f.Sure, f.Why = j.sure(k, candidates)
	f.Headline = headline(f.Title, f.Sure, len(candidates))
	f.Harmless = first.Harmless && (f.Sure == Certain || f.Sure == Likely)
	f.Apart = j.apartBy(k, candidates)
	f.severity = 4
	if start {
		f.severity = 0
	}
	if f.Sure == Possible {
		f.severity++
	}
	if k.cut() {
		f.severity += 8
	}
	return f
}

// wordsFor are the words for a case: the output of a tool alone does not say which product
// it has asked.
func wordsFor(k *affair) func(*entry) Words {
	tool := !slices.ContainsFunc(k.incidents, func(i *incident) bool { return i.log != Tool })
	return func(e *entry) Words {
		if tool && e.FromTool.Title != "" {
			return e.FromTool
		}
		return Words{e.Title, e.Cause, e.Fix}
	}
}

// headline is a title as a fact, or where others fit as well as a question.
func headline(title string, sure Sure, fit int) string {
	if sure != Possible {
		return title
	}
	for _, article := range [...]string{"The ", "A ", "An ", "There "} {
		if strings.HasPrefix(title, article) {
			title = strings.ToLower(title[:1]) + title[1:]
		}
	}
	if fit < 2 {
		return "Is it that " + title + "?"
	}
	return fmt.Sprintf("One of %d: is it that %s?", fit, title)
}

// unknown says of what nothing known explains the lines that speak of it, and who to ask.
func (j *judgement) unknown(f *Finding, k *affair) {
	f.Title = "Something failed that no card knows"
	f.Sure, f.severity = Unknown, 20
	f.Why = "no known failure leaves these lines together"
	f.Fix = "Read the logs of the other products, of the same minute, together with this one: " + j.unread() + ". " + askCA + " asks the CA itself."
	if says := k.incidents[0].transport(); says != "" {
		f.Title = "The connection to the CA failed: curl's return code " + show(says)
		f.Why = "no card knows these lines together; a 401, or libest's 22, that came of it says nothing of the account"
		f.Fix = askCA + ", from the network of whoever calls the CA, shows where the connection ends."
	}
	f.Headline = f.Title
	for _, i := range k.incidents {
		of := 0
		for _, m := range i.lines {
			if of < maxEvidence && tellsOfFailure(i.log, m.text) {
				f.Evidence = append(f.Evidence, j.evidence(i.log, m))
				of++
			}
		}
		if of == 0 {
			for _, m := range i.lines[max(0, len(i.lines)-2):] {
				f.Evidence = append(f.Evidence, j.evidence(i.log, m))
			}
		}
	}
}

// askCA is the command that finds out at the CA itself.
const askCA = "ra check ca --url https://HOST/certsrv --trust FILE --password-file FILE --user 'DOMAIN\\ACCOUNT' --template NAME"

// unread are the logs of an enrollment that were not read.
func (j *judgement) unread() string {
	var titles []string
	for _, log := range [...]Log{CAPF, NGINX, IIS} {
		if s := j.r.seen[log]; s == nil || s.records == 0 {
			titles = append(titles, log.Title())
		}
	}
	if len(titles) == 0 {
		return "what CUCM, CES and the CA's event log have"
	}
	return strings.Join(titles, ", ")
}

// tellsOfFailure tells the lines of an incident that say that something failed from those
// that only lead there.
func tellsOfFailure(log Log, text string) bool {
	switch familyOf(log) {
	case familyCES:
		return strings.Contains(text, "failed with") || strings.Contains(text, "[log_access") || strings.HasPrefix(text, "***EST [WARNING]") ||
			strings.HasPrefix(text, "***EST [ERROR]") || strings.Contains(text, "[Error ") || strings.Contains(text, ": Unable ")
	case familyCAPF:
		return strings.Contains(text, "Enrollment rv = ") || strings.Contains(text, "Failed")
	}
	return true
}

// cut tells whether more of the case may have followed: its first log ends within it, and
// no other has a failure.
func (k *affair) cut() bool {
	return k.incidents[0].cut && !slices.ContainsFunc(k.incidents[1:], func(i *incident) bool { return !i.cut && !i.mute })
}

// sure says how sure it is that the first candidate is it.
func (j *judgement) sure(k *affair, candidates []*entry) (Sure, string) {
	where := j.where(k)
	waited := ""
	for _, i := range k.incidents {
		if i.wait >= 1000 && candidates[0].WaitMost > 0 {
			waited = fmt.Sprintf(", and the client's wait of %.1f s fits", float64(i.wait)/1000)
		}
	}
	if k.cut() {
		end := "ends"
		if strings.Contains(where, " and ") {
			end = "end"
		}
		return Possible, fmt.Sprintf("%s %s there: what is missing may have followed", where, end)
	}
	var lab, silent int
	firstMissed := j.missed(k, candidates[0]) // a log without lines of any tells nothing
	for _, e := range candidates[1:] {
		switch {
		case e.Lab:
			lab++
		case !firstMissed && j.missed(k, e):
			silent++
		}
	}
	rest := len(candidates) - 1 - lab - silent
	against, contradicted := j.contradicted(k, candidates[0])
	switch {
	case len(candidates) == 1 && contradicted:
		return Likely, fmt.Sprintf("no other failure that is known leaves these lines in %s%s, but the %s of that time has nothing of what it leaves there: is that of another server?", where, waited, strings.TrimPrefix(against.Title(), "the "))
	case len(candidates) == 1 && slices.ContainsFunc(k.incidents, func(i *incident) bool { return i.quoted }):
		return Likely, fmt.Sprintf("no other failure that is known leaves these lines in %s%s, but one of them stands within a sentence or a request, where anybody may have written it", where, waited)
	case len(candidates) == 1:
		return Certain, fmt.Sprintf("no other failure that is known leaves these lines in %s%s", where, waited)
	case rest == 0 && !candidates[0].Lab:
		return Likely, fmt.Sprintf("of what leaves these lines in %s, the others are made by tests alone or would have left more%s", where, waited)
	}
	return Possible, fmt.Sprintf("one of %d that %s alone cannot tell apart%s", len(candidates), where, waited)
}

func (j *judgement) where(k *affair) string {
	var titles []string
	for _, i := range k.incidents {
		if t := "the " + strings.TrimPrefix(i.log.Title(), "the "); !slices.Contains(titles, t) {
			titles = append(titles, t)
		}
	}
	if n := len(titles); n > 1 {
		return strings.Join(titles[:n-1], ", ") + " and " + titles[n-1]
	}
	return titles[0]
}

// apartBy says which other log, or what else, would tell the candidates apart.
func (j *judgement) apartBy(k *affair, candidates []*entry) (all []TellApart) {
	if len(candidates) < 2 {
		return nil
	}
	for _, log := range logs {
		if log == CiscoRA || log == RA && !j.mayHaveRA() || slices.ContainsFunc(k.incidents, func(i *incident) bool { return i.log == log }) {
			continue
		}
		var keys []string
		by := map[string][]string{}
		for _, e := range candidates {
			key := j.lines(e, log)
			if by[key] == nil {
				keys = append(keys, key)
			}
			by[key] = append(by[key], e.Name)
		}
		if len(keys) < 2 {
			continue
		}
		for _, key := range keys {
			what := key
			if what == "" {
				what = "nothing of its own"
			}
			all = append(all, TellApart{Where: log.Title(), What: what, Names: by[key]})
		}
	}
	for n, e := range candidates {
		same := func(o *entry) bool { return o.Elsewhere == e.Elsewhere }
		if e.Elsewhere == "" || slices.ContainsFunc(candidates[:n], same) {
			continue
		}
		t := TellApart{Where: "elsewhere", What: e.Elsewhere}
		for _, o := range candidates {
			if same(o) {
				t.Names = append(t.Names, o.Name)
			}
		}
		all = append(all, t)
	}
	return all
}

// mayHaveRA tells whether this product's own log may be there: a site of which logs of
// CUCM and CES were read, and no such log, has CES.
func (j *judgement) mayHaveRA() bool {
	return j.r.seen[RA] != nil || j.r.seen[NGINX] == nil && j.r.seen[CiscoRA] == nil && j.r.seen[CAPF] == nil
}

// lines are the lines that a failure leaves in a log, in words.
func (j *judgement) lines(e *entry, log Log) string {
	t := e.tells[log]
	var words []string
	for _, n := range t.has {
		words = append(words, "`"+brief(j.c.lineOf(n))+"`")
	}
	for _, n := range t.lacks {
		words = append(words, "no `"+brief(j.c.lineOf(n))+"`")
	}
	if log == CAPF && e.WaitMost > 0 {
		words = append(words, fmt.Sprintf("after %v to %v", e.WaitLeast, e.WaitMost))
	}
	return strings.Join(words, ", ")
}

// brief is a card's line without its head; what differs from site to site is an ellipsis.
func brief(line string) string {
	m := []byte(line)
	if h, ok := headAt(m); ok && h.form != formW3C {
		m = messageOf(h, m)
	}
	return show(string(m))
}

// evidenceOf are the lines of a case whose signature tells.
func (j *judgement) evidenceOf(k *affair, tells func(n int) bool) (all []Evidence) {
	for _, i := range k.incidents {
		var of []Evidence
		for _, m := range i.lines {
			r := record{raw: []byte(m.text)}
			if m.tells && slices.ContainsFunc(j.numbersOf(i.log, r.raw), tells) {
				of = append(of, j.evidence(i.log, m))
			}
		}
		if len(of) == 0 { // what it lacks tells
			for _, m := range i.lines[max(0, len(i.lines)-2):] {
				of = append(of, j.evidence(i.log, m))
			}
		}
		for _, e := range of[:min(len(of), maxEvidence)] { // one line may be in two logs: the RA's, and a page's words in it
			if !slices.ContainsFunc(all, func(o Evidence) bool { return o.File == e.File && o.Line == e.Line }) {
				all = append(all, e)
			}
		}
	}
	return all
}

// numbersOf are the signatures of one line.
func (j *judgement) numbersOf(log Log, raw []byte) []int {
	switch familyOf(log) {
	case familyIIS:
		// The order of the fields is not known here any more: the incident has it.
		return j.w3cNumbers(raw)
	case familyPlain:
		var found []int
		j.c.plain.each(squeeze(nil, raw), 0, func(n, _ int) { found = append(found, n) })
		return found
	}
	h, ok := headAt(raw)
	if !ok {
		return nil
	}
	return j.c.book.find(nil, familyOf(log), wordsOf(nil, h, raw))
}

func (j *judgement) w3cNumbers(raw []byte) []int {
	fields := parseFields(w3cDefault)
	var e w3cEntry
	if !fields.parse(raw, &e) {
		return nil
	}
	return j.c.book.entry(nil, e.canonical(nil), &e)
}

func (j *judgement) evidence(log Log, m mark) Evidence {
	name := ""
	if m.file < len(j.r.files) {
		name = show(j.r.files[m.file].Name)
	}
	return Evidence{File: name, Line: m.line, Log: log, Time: m.when.text(), Text: show(m.text), at: m.when.ms, timed: m.when.clock}
}

// story puts the lines of all logs of a case into one order.
func (j *judgement) story(f *Finding, k *affair) {
	dated := int64(0)
	for _, i := range k.incidents {
		if i.first.date && dated == 0 {
			dated = j.utc(i, i.first)
		}
	}
	for _, i := range k.incidents {
		last := int64(-1)
		answered := false
		for _, m := range i.lines {
			e := j.evidence(i.log, m)
			answered = answered || familyOf(i.log) == familyCAPF && strings.Contains(m.text, string(rvWords))
			e.place = placeOf(i.log, answered)
			e.at = j.utc(i, m.when)
			if e.timed && !m.when.date && dated != 0 {
				e.at = onDay(e.at, dated)
			}
			if !e.timed { // it comes right behind the line before it
				e.at = last
			}
			last = e.at
			f.Story = append(f.Story, e)
		}
		// Lines before the first time stand right before it.
		for n := len(f.Story) - 1; n >= 0; n-- {
			if f.Story[n].at < 0 && n+1 < len(f.Story) && f.Story[n+1].at >= 0 && f.Story[n].Log == i.log {
				f.Story[n].at = f.Story[n+1].at
			}
		}
	}
	// NGINX and IIS write whole seconds: within one of them causes come before effects.
	slices.SortStableFunc(f.Story, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(a.at/1000, b.at/1000), cmp.Compare(a.place, b.place), cmp.Compare(a.at, b.at))
	})
	reached := int64(-1)
	for n := range f.Story {
		e := &f.Story[n]
		if !e.timed {
			continue
		}
		if reached >= 0 && e.at > reached && e.at-reached < day {
			e.After = e.at - reached
		}
		reached = max(reached, e.at)
	}
	if len(f.Story) > maxStory {
		f.Story = append(f.Story[:maxStory/2:maxStory/2], f.Story[len(f.Story)-maxStory/2:]...)
	}
}

// placeOf is where a line stands among those of the same second: CAPF asks CES, which asks
// IIS; IIS writes when it has answered, then CES, and CAPF last.
func placeOf(log Log, answered bool) int {
	switch {
	case familyOf(log) == familyCAPF && !answered:
		return 0
	case log == IIS:
		return 1
	case familyOf(log) == familyCAPF:
		return 3
	}
	return 2
}

// onDay moves a time of day to the day on which it is nearest to another time.
func onDay(at, other int64) int64 {
	difference := ((at-other)%day + day) % day
	if difference > day/2 {
		difference -= day
	}
	return other + difference
}
