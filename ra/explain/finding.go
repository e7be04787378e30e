package explain

import (
	"fmt"
	"slices"
	"strings"
)

// maxWho is how many are named whom a failure has met.
const maxWho = 5

// when takes in the time of a case, as the log has it that says most.
func (f *Finding) when(j *judgement, k *affair) {
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
		return
	}
}

// whom takes in who has met it.
func (f *Finding) whom(cases []*affair) {
	met := map[string]bool{}
	for _, k := range cases {
		for _, i := range k.incidents {
			if i.who == "" || met[i.who] {
				continue
			}
			met[i.who] = true
			if len(f.Who) < maxWho {
				f.Who = append(f.Who, show(i.who))
			}
		}
	}
	f.MoreWho = len(met) - len(f.Who)
}

// finding makes a finding of the cases of one failure.
func (j *judgement) finding(g *group) *Finding {
	k, candidates, variants := g.shown, g.candidates, g.variants
	f := &Finding{Count: len(g.cases)}
	for _, k := range g.cases {
		f.when(j, k)
	}
	f.whom(g.cases)
	j.story(f, k)
	for _, i := range k.incidents {
		if !slices.Contains(f.Logs, i.in()) {
			f.Logs = append(f.Logs, i.in())
		}
	}
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
			if t, ok := first.tellsIn(i); ok && slices.Contains(t.has, n) {
				return true
			}
		}
		return false
	})
	f.Sure, f.Why = j.sure(k, candidates)
	f.Headline = headline(f.Title, f.Sure, len(candidates), k.vague() || j.lacking(k, first))
	// CES's logs, which may be this product's, do not say whether it is mended.
	f.Harmless = first.Harmless && (f.Sure == Certain || f.Sure == Likely) && k.has(RA)
	f.Apart = j.apartBy(k, candidates)
	f.severity = 4
	if k.incidents[0].start {
		f.severity = 0
	}
	if f.Sure == Possible {
		f.severity++
	}
	if f.Harmless || k.asked() {
		f.severity += 3
	}
	if k.cut() {
		f.severity += 8
	}
	return f
}

// asked tells whether it was a client's question alone, for the chain or the attributes, as far
// as NGINX's log tells: nobody lacks a certificate for it.
func (k *affair) asked() bool {
	i := k.incidents[0]
	return len(k.incidents) == 1 && i.log == NGINX && !i.start && slices.ContainsFunc(i.lines, func(m mark) bool { return strings.Contains(m.text, `] "GET /.well-known/est/`) })
}

// wordsFor are the words for a case: the output of a tool alone does not say which product
// it has asked, and at a site of which this product's own log alone was read there is no CES.
func wordsFor(k *affair) func(*entry) Words {
	tool := !slices.ContainsFunc(k.incidents, func(i *incident) bool { return i.log != Tool && i.in() != RA })
	return func(e *entry) Words {
		if tool && e.FromTool.Title != "" {
			return e.FromTool
		}
		return Words{e.Title, e.Cause, e.Fix}
	}
}

// vague tells whether CAPF's trace alone says that the log-in has failed, or that it had no answer in
// time: so it does of each failure towards the CA that CES's start has, too, once CES runs. Or whether CES's log alone says
// that it has no chain at its start: so it does whatever IIS answers in place of the log-in.
func (k *affair) vague() bool {
	if i := k.incidents[0]; i.start && len(k.incidents) == 1 && i.transport() == "" && !i.cut {
		return true
	}
	return k.alone("Enrollment rv = 22 ") || k.alone("enrollCertUsingEST() : 22") || k.waitedOut() || k.bare()
}

// bare tells whether what libest says in CES's log is all that there is, without CES's own
// lines: so it does of each failure towards the CA.
func (k *affair) bare() bool { return len(k.incidents) == 1 && k.incidents[0].bare }

// unauthorized tells whether libest says that the log-in has failed: the CA was not asked for
// a certificate.
func (k *affair) unauthorized() bool {
	return slices.ContainsFunc(k.incidents[0].lines, func(m mark) bool { return strings.Contains(m.text, "(EST_ERR_AUTH_FAIL)") })
}

// alone tells whether CAPF's trace alone has the case, with these words.
func (k *affair) alone(words string) bool {
	i := k.incidents[0]
	return len(k.incidents) == 1 && i.log == CAPF && slices.ContainsFunc(i.lines, func(m mark) bool { return strings.Contains(m.text, words) })
}

// waitedOut tells whether CAPF's trace alone says that its ten seconds were over: whatever CES has
// waited for.
func (k *affair) waitedOut() bool {
	return k.incidents[0].wait >= 9000 && k.alone("Enrollment rv = 35 ")
}

// headline is a title as a fact, or where others fit as well as a question; more says that
// these are not all.
func headline(title string, sure Sure, fit int, more bool) string {
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
	if more {
		return fmt.Sprintf("One of %d or more: is it that %s?", fit, title)
	}
	return fmt.Sprintf("One of %d: is it that %s?", fit, title)
}

// unknown says of what nothing known explains the lines that speak of it, and who to ask.
func (j *judgement) unknown(f *Finding, k *affair) {
	f.Title = "Something failed that no card knows"
	f.Sure, f.severity = Unknown, 20
	f.Why = "no known failure leaves these lines together"
	f.Fix = "Read the logs of the other products, of the same minute, together with this one: " + j.unread() + ". " + askCA + " asks the CA itself, and " + askEST + " the EST server."
	switch i := k.incidents[0]; {
	case i.start && i.abridged:
		f.Title = "CES has no chain at its start, and the lines that say why are not there"
	case i.start:
		f.Title = "CES has no chain at its start, for a reason that no card knows"
	case len(k.incidents) == 1 && i.log == NGINX && !slices.ContainsFunc(i.lines, func(m mark) bool { return strings.Contains(m.text, "rc=") || strings.Contains(m.text, "(EST_ERR_") }):
		f.Title = "CES answered an enrollment with an error, and the lines that say why are not there"
		f.Fix = "Read the whole log: libest's lines (***EST) have no time and no connection's number, so that grep loses them. " + f.Fix
	case len(k.incidents) == 1 && i.log == CAPF && !slices.ContainsFunc(i.lines, func(m mark) bool {
		return strings.Contains(m.text, "Enrollment rv = ") || strings.Contains(m.text, "Return value")
	}):
		f.Title = "An enrollment failed, and the line that says how (Enrollment rv = ...) is not there"
	}
	if says := k.incidents[0].transport(); says != "" {
		f.Title = "The connection to the CA failed: curl's return code " + show(says)
		f.Why = "no card knows these lines together; a 401, or libest's 22, that came of it says nothing of the account"
		f.Fix = askCA + ", from the network of whoever calls the CA, shows where the connection ends."
		if k.incidents[0].fetching() {
			f.Fix += " The CA has issued the certificate, and CES does not come for it again: where the client enrolls anew, revoke the one that nobody has (certsrv.msc, Issued Certificates)."
		}
	}
	if page, status := refusedPage(k); page != "" && k.incidents[0].transport() == "" {
		f.Title = "IIS answered " + show(page) + " with " + status
		f.Why = "no card knows these lines together"
		f.Fix = "See IIS's log and the CA's event log of that moment for why. " + askCA + " asks the CA itself; with --enroll it hands in a request, too."
	}
	f.Headline = f.Title
	for _, i := range k.incidents {
		of := 0
		for _, m := range i.lines {
			if of < maxEvidence && tellsOfFailure(i.log, m.text) {
				f.Evidence = append(f.Evidence, j.evidence(i.in(), m))
				of++
			}
		}
		if of == 0 {
			for _, m := range i.lines[max(0, len(i.lines)-2):] {
				f.Evidence = append(f.Evidence, j.evidence(i.in(), m))
			}
		}
	}
}

// refusedPage is the page that IIS's lines of a case say was not given, and the status; "" =
// they do not.
func refusedPage(k *affair) (page, status string) {
	fields := parseFields(w3cDefault)
	for _, i := range k.incidents {
		for _, m := range i.lines {
			var e w3cEntry
			if i.log == IIS && fields.parse([]byte(m.text), &e) && len(e.status) == 3 && e.status[0] >= '3' && string(e.status) != "401" && (string(e.win) != "64" || e.status[0] > '3') { // 64: nobody waited for it
				page, status = string(fileOf(e.stem)), string(e.status)
			}
		}
	}
	return page, status
}

// askCA is the command that finds out at the CA itself.
const askCA = "ra check ca --url https://HOST/certsrv --trust FILE --password-file FILE --user 'DOMAIN\\ACCOUNT' --template NAME"

// askEST is the command that finds out at the EST server.
const askEST = "ra check est https://HOST:8084 --cacert FILE"

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
