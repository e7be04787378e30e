package tracelog

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Form is the shape of a line in NGINX's error.log or the CiscoRA log (see
// docs/reference/ces.md, "Four logs, four formats").
type Form int

// The forms.
const (
	// FormStartUp is NGINX before its workers run: `nginx: [warn] text`.
	FormStartUp Form = iota
	// FormStarted has time and process id: `2019/03/05 12:31:21 [info] 31067#0: text`.
	FormStarted
	// FormRunning has the EST client's connection besides: `... 3187#0: *2 text while
	// SSL EST handshaking, client: ..., server: ...`.
	FormRunning
	// FormLibest is libest's: `***EST [LEVEL][function:line]--> text`.
	FormLibest
	// FormService is the script's that starts CES: `EnrollmentService.sh : text`.
	FormService
)

// NGINXLine is a line of NGINX's error.log, libest's lines in it included, or of
// the CiscoRA log. Fields that the form does not have are zero.
type NGINXLine struct {
	Form       Form
	Time       time.Time // FormStarted and FormRunning
	Level      string    // warn, info, error; WARNING, INFO, ERROR with FormLibest
	PID        int
	Connection int64
	Function   string // FormLibest; the others' stands in Text
	Line       int    // in libest's source
	Text       string
	Client     string
	Server     string
}

const (
	nginxTime   = "2006/01/02 15:04:05"
	tailBegin   = " while SSL EST handshaking, client: "
	tailServer  = ", server: "
	servicePart = "EnrollmentService.sh : "
)

var (
	startUpForm = regexp.MustCompile(`^nginx: \[([a-z]+)\] (.*)$`)
	workerForm  = regexp.MustCompile(`^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[([a-z]+)\] (\d{1,10})#0: (?:\*(\d{1,18}) )?(.*)$`)
	libestForm  = regexp.MustCompile(`^\*\*\*EST \[([A-Z]+)\]\[([A-Za-z0-9_]+):(\d{1,9})\]--> (.*)$`)
)

// ParseNGINX reads a line of NGINX's error.log or of the CiscoRA log; zone is that
// of the log. It returns false for a line that is in none of their forms.
// [NGINXLine.String] writes what it reads.
func ParseNGINX(line string, zone *time.Location) (NGINXLine, bool) {
	if m := libestForm.FindStringSubmatch(line); m != nil {
		l := NGINXLine{Form: FormLibest, Level: m[1], Function: m[2], Line: atoi(m[3]), Text: m[4]}
		return l, l.String() == line
	}
	if m := startUpForm.FindStringSubmatch(line); m != nil {
		return NGINXLine{Form: FormStartUp, Level: m[1], Text: m[2]}, true
	}
	if text, ok := strings.CutPrefix(line, servicePart); ok {
		return NGINXLine{Form: FormService, Text: text}, true
	}
	m := workerForm.FindStringSubmatch(line)
	if m == nil {
		return NGINXLine{}, false
	}
	at, err := time.ParseInLocation(nginxTime, m[1], zone)
	if err != nil {
		return NGINXLine{}, false
	}
	l := NGINXLine{Form: FormStarted, Time: at, Level: m[2], PID: atoi(m[3]), Text: m[5]}
	if m[4] != "" {
		// The last tail: the text before it is CES's own, and may say anything. A
		// line without one has no connection, whatever its text begins with.
		i := strings.LastIndex(m[5], tailBegin)
		client, server, ok := "", "", false
		if i >= 0 {
			client, server, ok = strings.Cut(m[5][i+len(tailBegin):], tailServer)
		}
		if ok {
			l.Form, l.Text, l.Client, l.Server = FormRunning, m[5][:i], client, server
			l.Connection = atoi64(m[4])
		} else {
			l.Text = "*" + m[4] + " " + m[5]
		}
	}
	// Leading zeros, and hours that a zone skips, are read but not written so.
	return l, l.String() == line
}

// String writes the line as its product does, without a line end.
func (l NGINXLine) String() string {
	switch l.Form {
	case FormStartUp:
		return startUpLine(l.Level, l.Text)
	case FormLibest:
		return libestLine(l.Level, l.Function, l.Line, l.Text)
	case FormService:
		return servicePart + l.Text
	}
	head := fmt.Sprintf("%s [%s] %d#0: ", l.Time.Format(nginxTime), l.Level, l.PID)
	if l.Form == FormStarted {
		return head + l.Text
	}
	return fmt.Sprintf("%s*%d %s%s%s%s%s", head, l.Connection, l.Text, tailBegin, l.Client, tailServer, l.Server)
}

var (
	curlFailure  = regexp.MustCompile(`^([A-Za-z0-9_]+): (?:Curl call for MS CA login|Curl request) failed with return code (\d{1,4}) \((.*)\)$`)
	urlUsed      = regexp.MustCompile(`^([A-Za-z0-9_]+): URL used: (.*)$`)
	urlCompleted = regexp.MustCompile(`^([A-Za-z0-9_]+): Secure connection to MS CertServ completed successfully using the following URL (.*)$`)
	accessLine   = regexp.MustCompile(`^(\S+) \[([^\]]+)\] "([A-Z]+) (.*) (HTTP/\d\.\d)" (-?\d{1,3}) (\d{1,18})$`)
	libestCode   = regexp.MustCompile(`^(?:Enrollment failed with rc=|EST error response code: |Incoming request failed rv=)(\d{1,4}) ?\((EST_ERR_[A-Z0-9_]+)\)$`)
)

// Failure returns curl's code and text where the line tells of a request to the CA
// that failed, and the function of CES that made it.
func (l NGINXLine) Failure() (function string, code int, text string, ok bool) {
	m := curlFailure.FindStringSubmatch(l.Text)
	if m == nil || l.Form == FormLibest {
		return "", 0, "", false
	}
	return m[1], atoi(m[2]), m[3], true
}

// URL returns the URL that the line tells of: of a request that succeeded, or, with
// failed, of one that did not.
func (l NGINXLine) URL() (function, url string, failed, ok bool) {
	if m := urlCompleted.FindStringSubmatch(l.Text); m != nil {
		return m[1], m[2], false, true
	}
	if m := urlUsed.FindStringSubmatch(l.Text); m != nil {
		return m[1], m[2], true, true
	}
	return "", "", false, false
}

// Code returns libest's number and name where the line tells how a request ended.
func (l NGINXLine) Code() (rc int, name string, ok bool) {
	m := libestCode.FindStringSubmatch(l.Text)
	if m == nil || l.Form != FormLibest {
		return 0, "", false
	}
	return atoi(m[1]), m[2], true
}

// Access returns what an access line tells, and when; Referer and User-Agent stand
// in lines of their own. Status is -1 for a success (docs/reference/libest.md).
func (l NGINXLine) Access() (a Access, at time.Time, ok bool) {
	m := accessLine.FindStringSubmatch(l.Text)
	if m == nil || l.Form != FormLibest || l.Function != "log_access" {
		return Access{}, time.Time{}, false
	}
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[2])
	if err != nil {
		return Access{}, time.Time{}, false
	}
	return Access{Client: m[1], Method: m[3], Path: m[4], Proto: m[5], Status: atoi(m[6]), Bytes: atoi(m[7])}, at, true
}

// atoi reads a number that a pattern has found: digits, and few enough.
func atoi(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

func atoi64(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}
