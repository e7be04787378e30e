package explain

import (
	"bytes"
	"slices"
	"strings"
)

// w3cFields is where the fields stand that are looked at; -1 = not in the log.
type w3cFields struct {
	count                                                                         int
	date, time, method, stem, query, user, client, agent, status, sub, win, taken int
}

const w3cDefault = "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken"

// maxFields bounds what a #Fields line may name.
const maxFields = 64

func parseFields(names string) w3cFields {
	all := strings.Fields(names)
	all = all[:min(len(all), maxFields)]
	at := func(name string) int { return slices.Index(all, name) }
	return w3cFields{
		count: len(all),
		date:  at("date"), time: at("time"), method: at("cs-method"), stem: at("cs-uri-stem"), query: at("cs-uri-query"),
		user: at("cs-username"), client: at("c-ip"), agent: at("cs(User-Agent)"), status: at("sc-status"), sub: at("sc-substatus"), win: at("sc-win32-status"), taken: at("time-taken"),
	}
}

// isEntry tells whether a line that does not begin with a number is an entry all the same:
// the site's name may stand first, or what was asked for.
func (f *w3cFields) isEntry(line []byte) bool {
	if f.method < 0 || f.stem < 0 || len(bytes.Fields(line)) != f.count {
		return false
	}
	var e w3cEntry
	if !f.parse(line, &e) || e.stem[0] != '/' || len(e.method) < 3 {
		return false
	}
	return !bytes.ContainsFunc(e.method, func(c rune) bool { return c < 'A' || c > 'Z' })
}

// w3cEntry is one request; its fields are parts of the line.
type w3cEntry struct {
	method, stem, query, user, client, agent, status, sub, win []byte
	taken                                                      int64 // ms; -1 = the log does not say
	when                                                       stamp
}

// parse reads an entry. It returns false for what is none.
func (f *w3cFields) parse(line []byte, e *w3cEntry) bool {
	var at [maxFields][]byte
	n := 0
	for rest := line; n < f.count; n++ {
		for len(rest) > 0 && rest[0] == ' ' {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return false
		}
		i := bytes.IndexByte(rest, ' ')
		if i < 0 {
			i = len(rest)
		}
		at[n], rest = rest[:i], rest[i:]
	}
	get := func(i int) []byte {
		if i < 0 || i >= n || len(at[i]) == 1 && at[i][0] == '-' {
			return nil
		}
		return at[i]
	}
	*e = w3cEntry{
		method: get(f.method), stem: get(f.stem), query: get(f.query), user: get(f.user), client: get(f.client), agent: get(f.agent),
		status: get(f.status), sub: get(f.sub), win: get(f.win),
	}
	if len(e.status) == 0 || len(e.status) > 3 || !digit(e.status[0]) || len(e.stem) == 0 {
		return false
	}
	if get(f.taken) == nil {
		e.taken = -1
	}
	for _, c := range get(f.taken) {
		if !digit(c) || e.taken > 1e9 {
			break
		}
		e.taken = e.taken*10 + int64(c-'0')
	}
	if clock := get(f.time); clock != nil {
		if ms, ok := clockAt(clock, 0); ok {
			e.when = stamp{ms: ms, clock: true}
			if date := get(f.date); date != nil {
				if day, ok := dateAt(date, '-'); ok {
					e.when.ms += day
					e.when.date = true
				}
			}
		}
	}
	return true
}

// canonical appends what one entry says, whatever the order of its fields:
// `GET /certsrv 401 1 2148074252 -`, with U where somebody was logged in.
func (e *w3cEntry) canonical(dst []byte) []byte {
	dst = append(append(dst, e.method...), ' ')
	for _, c := range e.stem {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	for _, part := range [...][]byte{e.status, e.sub, e.win} {
		dst = append(dst, ' ')
		if part == nil {
			part = zero
		}
		dst = append(dst, part...)
	}
	if e.user != nil {
		dst = append(dst, " U"...)
	} else {
		dst = append(dst, " -"...)
	}
	// ASP writes its own error into the query: |19|ASP_0113|Script_timed_out
	if len(e.query) > 0 && e.query[0] == '|' {
		if parts := bytes.SplitN(e.query, []byte("|"), 4); len(parts) > 2 {
			dst = append(append(dst, ' '), parts[2]...)
		}
	}
	return dst
}

var zero = []byte("0")

// How long a request took that nobody waited for any more (sc-win32-status 64, and no
// answer): CES gives each of its own 10 s, so that one which ended long before was cut off,
// and timed out nowhere.
const (
	timedOut = 9000 // ms, and more
	late     = " late"
	soon     = " soon"
)

// entry appends the signatures that an entry has: that of what it says, and that of how
// long it took as well; both of them where the log does not say how long.
func (b *book) entry(dst []int, key []byte, e *w3cEntry) []int {
	for _, tail := range [...]string{"", late, soon} {
		if tail != "" && string(e.win) != "64" {
			break // it was answered, or refused
		}
		if tail == late && e.taken >= 0 && e.taken < timedOut || tail == soon && e.taken >= timedOut {
			continue
		}
		if n, ok := b.w3c[string(append(key, tail...))]; ok {
			dst = append(dst, n)
		}
	}
	return dst
}

// canonicalCard is the canonical form of a card's line, which has holes.
func canonicalCard(line string) string {
	fields, written := parseFields(w3cDefault), line
	line = strings.Replace(line, "{date}", "2019-01-16 14:05:02", 1)
	line = holeForm.ReplaceAllString(line, "1")
	var e w3cEntry
	if !fields.parse([]byte(line), &e) {
		return ""
	}
	key := string(e.canonical(nil))
	switch {
	case strings.HasSuffix(written, "{limit}"):
		key += late
	case strings.HasSuffix(written, "{soon}"):
		key += soon
	}
	return key
}

// w3cForPeople is a canonical form as it may be looked for in a log: the method and the
// path, and behind what differs the status, its two further numbers and ASP's error.
func w3cForPeople(key string) string {
	parts := strings.Fields(key)
	if len(parts) < 6 {
		return key
	}
	text := parts[0] + " " + parts[1] + " …"
	for _, more := range parts[6:] {
		if strings.HasPrefix(more, "ASP_") {
			text += more + "… "
		}
	}
	text += " " + strings.Join(parts[2:5], " ")
	switch parts[len(parts)-1] {
	case strings.TrimSpace(late):
		text += ", time-taken 9000 or more"
	case strings.TrimSpace(soon):
		text += ", time-taken less than 9000"
	}
	return strings.ReplaceAll(text, "…  ", "… ")
}
