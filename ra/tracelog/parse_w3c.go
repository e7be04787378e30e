package tracelog

import (
	"strconv"
	"strings"
	"time"
)

// W3CParser reads IIS's access log. Its lines are told by the #Fields line before
// them, which may leave fields out or have them in another order; without one
// IIS's default fields are taken. The zero value is ready.
type W3CParser struct{ fields []string }

const w3cFields = "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken"

// maxFields bounds what a #Fields line may name.
const maxFields = 64

// Parse reads one line. It returns false for a line without an entry: the log's
// head, and what is no line of it. Blanks in a User-Agent, which IIS writes as
// plus signs, stay so.
func (p *W3CParser) Parse(line string) (W3CEntry, bool) {
	if names, ok := strings.CutPrefix(line, "#Fields:"); ok {
		fields := strings.Fields(names)
		p.fields = fields[:min(len(fields), maxFields)]
		return W3CEntry{}, false
	}
	if strings.HasPrefix(line, "#") {
		return W3CEntry{}, false
	}
	fields := p.fields
	if fields == nil {
		fields = strings.Fields(w3cFields)
	}
	values := strings.Split(line, " ")
	if len(values) != len(fields) {
		return W3CEntry{}, false
	}
	var e W3CEntry
	var date, clock string
	good := true
	number := func(text string, bits int) uint64 {
		n, err := strconv.ParseUint(text, 10, bits)
		good = good && err == nil
		return n
	}
	for i, name := range fields {
		value := values[i]
		if value == "-" {
			value = ""
		}
		switch name {
		case "date":
			date = value
		case "time":
			clock = value
		case "s-ip":
			e.ServerIP = value
		case "cs-method":
			e.Method = value
		case "cs-uri-stem":
			e.URIStem = value
		case "cs-uri-query":
			e.URIQuery = value
		case "s-port":
			e.Port = int(number(value, 16))
		case "cs-username":
			e.User = value
		case "c-ip":
			e.ClientIP = value
		case "cs(User-Agent)":
			e.UserAgent = value
		case "cs(Referer)":
			e.Referer = value
		case "sc-status":
			e.Status = int(number(value, 16))
		case "sc-substatus":
			e.SubStatus = int(number(value, 16))
		case "sc-win32-status":
			e.Win32 = uint32(number(value, 32))
		case "time-taken":
			e.Taken = time.Duration(number(value, 31)) * time.Millisecond
		}
	}
	if date != "" || clock != "" {
		var err error
		e.Time, err = time.Parse(time.DateTime, strings.TrimSpace(date+" "+clock))
		good = good && err == nil
	}
	return e, good
}

// String writes the entry as IIS does with its default fields, without a line end.
func (e W3CEntry) String() string { return strings.TrimSuffix(e.line(), "\n") }
