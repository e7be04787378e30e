package explain_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"ciscora/internal/peertest"
	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

// A perturbation is what happens to logs on their way to whoever reads them.
type perturbation struct {
	name string
	do   func(t *testing.T, log string, data []byte) []explain.Input
}

func eachLine(data []byte, f func(line string) string) []byte {
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		out.WriteString(f(strings.TrimSuffix(line, "\n")))
		out.WriteByte('\n')
	}
	return []byte(out.String())
}

// wrapped breaks a line at blanks, as mail does.
func wrapped(line string) string {
	var out []string
	for len(line) > 76 {
		at := strings.LastIndexByte(line[:76], ' ')
		if at < 20 {
			if at = strings.IndexByte(line[20:], ' '); at < 0 {
				break
			}
			at += 20
		}
		out = append(out, line[:at])
		line = line[at+1:]
	}
	return strings.Join(append(out, line), "\n")
}

var (
	nginxTime  = regexp.MustCompile(`\b(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)\b`)
	accessTime = regexp.MustCompile(`\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d) [+-]\d{4}\]`)
	iisTime    = regexp.MustCompile(`(?m)^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)`)
	capfTime   = regexp.MustCompile(`(?m)^(\d\d:\d\d:\d\d\.\d{3})`)
	connection = regexp.MustCompile(`#0: \*(\d+) `)
)

// fiveHoursWest moves what is in CUCM's own time; IIS stays with UTC.
func fiveHoursWest(log string, data []byte) []byte {
	if log == "iis" {
		return data
	}
	return moved(data, -5*time.Hour, "-0500")
}

// moved has the times of logs later by d, and of access lines in this zone.
func moved(data []byte, d time.Duration, zone string) []byte {
	shift := func(re *regexp.Regexp, layout, format string) {
		data = re.ReplaceAllFunc(data, func(found []byte) []byte {
			m := re.FindSubmatch(found)
			at, err := time.Parse(layout, string(m[1]))
			if err != nil {
				return found
			}
			return fmt.Appendf(nil, format, at.Add(d).Format(layout))
		})
	}
	shift(nginxTime, "2006/01/02 15:04:05", "%s")
	shift(accessTime, "02/Jan/2006:15:04:05", "[%s "+zone+"]")
	shift(iisTime, "2006-01-02 15:04:05", "%s")
	shift(capfTime, "15:04:05.000", "%s")
	return data
}

var device = regexp.MustCompile(`SEP[0-9A-F]{12}`)

// enrollmentOf is what stands in a log before its enrollments, and the lines of these.
func enrollmentOf(log, data string) (before string, lines []string) {
	at := 0
	switch log {
	case "ciscora":
		at = len(data)
	case "nginx":
		if at = strings.Index(data, "[est_enroll_auth"); at < 0 {
			at = strings.Index(data, "[log_access")
		}
		if at < 0 {
			at = len(data)
		}
		at = strings.LastIndexByte(data[:at], '\n') + 1
	case "iis":
		if at = strings.Index(data, "time-taken\n"); at >= 0 {
			at += len("time-taken\n")
		}
		at = max(at, 0)
	}
	return data[:at], strings.SplitAfter(data[at:], "\n")
}

func withoutTimes(log string, data []byte) []byte {
	switch log {
	case "capf":
		return regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3}`).ReplaceAll(data, nil)
	case "iis":
		data = bytes.ReplaceAll(data, []byte("#Fields: date time "), []byte("#Fields: "))
		return regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d `).ReplaceAll(data, nil)
	}
	data = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `).ReplaceAll(data, nil)
	return accessTime.ReplaceAll(data, []byte("[-]"))
}

const prose = "Guten Tag,\n\nbeim Kunden fällt seit gestern die Zertifikatserneuerung aus, siehe unten. Ich habe\nalles versucht. 请帮助我们, شكرا\n\n"

func perturbations(good explaintest.Logs) []perturbation {
	one := func(f func(log string, data []byte) []byte) func(*testing.T, string, []byte) []explain.Input {
		return func(_ *testing.T, log string, data []byte) []explain.Input {
			return []explain.Input{explaintest.Input(log, f(log, data))}
		}
	}
	line := func(f func(string) string) func(*testing.T, string, []byte) []explain.Input {
		return one(func(_ string, data []byte) []byte { return eachLine(data, f) })
	}
	return []perturbation{
		{"a syslog prefix", line(func(l string) string { return "Mar  5 12:31:21 cucm1-pub daemon[31067]: " + l })},
		{"CRLF", line(func(l string) string { return l + "\r" })},
		{"UTF-16", one(func(_ string, data []byte) []byte {
			out := []byte{0xff, 0xfe}
			for _, u := range utf16.Encode([]rune(string(data))) {
				out = append(out, byte(u), byte(u>>8))
			}
			return out
		})},
		{"gzip", func(t *testing.T, log string, data []byte) []explain.Input {
			var out bytes.Buffer
			w := gzip.NewWriter(&out)
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return []explain.Input{explaintest.Input(log+".gz", out.Bytes())}
		}},
		{"cut lines", line(wrapped)},
		{"quoting", line(func(l string) string { return "> > " + l })},
		{"two interleaved enrollments", one(func(log string, data []byte) []byte {
			before, mine := enrollmentOf(log, string(data))
			_, other := enrollmentOf(log, string(good[log]))
			for i := range other {
				other[i] = device.ReplaceAllString(connection.ReplaceAllString(other[i], "#0: *1000$1 "), "SEP00000000FFFF")
			}
			var out strings.Builder
			for i := range max(len(mine), len(other)) {
				if i < len(mine) {
					out.WriteString(mine[i])
				}
				if i < len(other) {
					out.WriteString(other[i])
				}
			}
			if log == "iis" { // and the log goes on
				out.WriteString("2000-01-01 02:00:00 127.0.0.1 GET /certsrv - 443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074254 0\n")
			}
			return []byte(before + out.String())
		})},
		{"another zone", one(fiveHoursWest)},
		{"rotated in the middle", func(_ *testing.T, log string, data []byte) []explain.Input {
			all := strings.SplitAfter(string(data), "\n")
			at := len(all) / 2
			return []explain.Input{explaintest.Input(log, []byte(strings.Join(all[at:], ""))), explaintest.Input(log+".1", []byte(strings.Join(all[:at], "")))}
		}},
		{"HTML", one(func(_ string, data []byte) []byte {
			body := eachLine(data, func(l string) string { return html.EscapeString(l) + "<br>" })
			return append(append([]byte("<html><body><pre class=\"log\">\n"), body...), "</pre></body></html>\n"...)
		})},
		{"HTML, quoted and wrapped", one(func(_ string, data []byte) []byte {
			body := eachLine(eachLine(data, wrapped), func(l string) string { return html.EscapeString("> > "+l) + "<br>" })
			return append(append([]byte("<html><body>"), body...), "</body></html>\n"...)
		})},
		{"no time stamps", one(withoutTimes)},
		{"IIS's fields as IIS orders all of them", one(reordered("date time s-sitename s-computername s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs-version cs(User-Agent) cs(Cookie) cs(Referer) cs-host sc-status sc-substatus sc-win32-status sc-bytes cs-bytes time-taken"))},
		{"IIS's fields without an address", one(reordered("date time cs-method cs-uri-stem cs-uri-query cs-username c-ip cs(User-Agent) sc-status sc-substatus sc-win32-status time-taken"))},
		{"IIS's fields, the request first", one(reordered("cs-method cs-uri-stem cs-uri-query sc-status sc-substatus sc-win32-status time-taken c-ip cs(User-Agent) cs-username date time"))},
		// What everybody does first: connections are counted from one again.
		{"CES is restarted, and works", one(func(log string, data []byte) []byte {
			return append(bytes.Clone(data), moved(good[log], 2*time.Hour, "+0000")...)
		})},
		{"prose around", one(func(_ string, data []byte) []byte {
			return append(append([]byte(prose), data...), "\n"+prose...)
		})},
	}
}

// reordered has the entries of IIS's log with other fields.
func reordered(names string) func(log string, data []byte) []byte {
	return func(log string, data []byte) []byte {
		if log != "iis" {
			return data
		}
		var have []string
		return eachLine(data, func(l string) string {
			if fields, ok := strings.CutPrefix(l, "#Fields: "); ok {
				have = strings.Fields(fields)
				return "#Fields: " + names
			}
			values := strings.Fields(l)
			if strings.HasPrefix(l, "#") || len(values) != len(have) {
				return l
			}
			var out []string
			for _, name := range strings.Fields(names) {
				value := "-"
				if i := slices.Index(have, name); i >= 0 {
					value = values[i]
				} else if name == "s-sitename" {
					value = "W3SVC1"
				}
				out = append(out, value)
			}
			return strings.Join(out, " ")
		})
	}
}

// Whatever happened to the logs on their way, each card is found in them, as before.
func TestAPerturbedLogIsTakenForTheSame(t *testing.T) {
	peertest.Unraced(t)
	logs := recorded(t)
	c := catalog(t)
	every := len(cards(t)) / peertest.Many("Perturbed", 24, len(cards(t))) // each perturbation begins with another
	for n, p := range perturbations(logs["good-enrollment"]) {
		t.Run(p.name, func(t *testing.T) {
			as := func(log string, data []byte) []explain.Input { return p.do(t, log, data) }
			for i, card := range cards(t) {
				if i%every != n%every {
					continue
				}
				outcomes, err := explaintest.Outcomes(t.Context(), c, card, logs[card.Name], as)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range outcomes {
					if strings.HasPrefix(o.How, explaintest.Wrong) {
						t.Errorf("%s, %s: %s %v", o.Card, o.Log, o.How, o.Also)
					}
				}
			}
		})
	}
}
