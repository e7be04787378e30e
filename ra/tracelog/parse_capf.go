package tracelog

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// CAPFKind tells what a line of CAPF's trace is.
type CAPFKind int

// The kinds.
const (
	CAPFInside CAPFKind = iota // ` | function text`
	CAPFEnter                  // ` |-->function`
	CAPFLeave                  // ` |<--function`
)

// CAPFLine is a line of CAPF's trace.
type CAPFLine struct {
	Clock time.Duration // since midnight, in CAPF's zone, in milliseconds; the trace has no date
	Kind  CAPFKind
	// Text is the function's name where the line enters or leaves it, and else the
	// name and what it says.
	Text string
}

var capfForm = regexp.MustCompile(`^(\d\d):(\d\d):(\d\d)\.(\d{3}) \|(-->|<--| )(.*)$`)

// ParseCAPF reads a line of CAPF's trace. It returns false for a line that has not
// its form. [CAPFLine.String] writes what it reads.
func ParseCAPF(line string) (CAPFLine, bool) {
	// In Cisco's document a line that leaves or enters is written without the
	// blank before the bar, too.
	m := capfForm.FindStringSubmatch(line)
	if m == nil {
		return CAPFLine{}, false
	}
	h, minute, s := atoi(m[1]), atoi(m[2]), atoi(m[3])
	if h > 23 || minute > 59 || s > 60 {
		return CAPFLine{}, false
	}
	l := CAPFLine{Text: m[6], Clock: time.Duration(h)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(s)*time.Second + time.Duration(atoi(m[4]))*time.Millisecond}
	switch m[5] {
	case "-->":
		l.Kind = CAPFEnter
	case "<--":
		l.Kind = CAPFLeave
	}
	return l, l.String() == line
}

// String writes the line as CAPF does, without a line end.
func (l CAPFLine) String() string {
	at := time.Time{}.Add(l.Clock).Format("15:04:05.000")
	switch l.Kind {
	case CAPFEnter:
		return at + " |-->" + l.Text
	case CAPFLeave:
		return at + " |<--" + l.Text
	}
	return at + " | " + l.Text
}

var (
	capfDevice     = regexp.MustCompile(`^debug (\d{1,18}):([^:]+):(.*)$`)
	capfEnrollment = regexp.MustCompile(`^Enrollment rv = (\d{1,4}) \((EST_ERR_[A-Z0-9_]+)\) with pkcs7 length = (\d{1,9})$`)
)

// Device returns the phone that the line tells of, and what it says.
func (l CAPFLine) Device() (d Device, text string, ok bool) {
	m := capfDevice.FindStringSubmatch(l.Text)
	if m == nil || l.Kind != CAPFInside {
		return Device{}, "", false
	}
	return Device{Index: atoi64(m[1]), Name: m[2]}, m[3], true
}

// Enrollment returns libest's number and name, and the PKCS #7's length in bytes,
// where the line tells how an enrollment ended.
func (l CAPFLine) Enrollment() (d Device, rv int, name string, pkcs7Length int, ok bool) {
	d, text, ok := l.Device()
	if !ok {
		return d, 0, "", 0, false
	}
	m := capfEnrollment.FindStringSubmatch(text)
	if m == nil {
		return d, 0, "", 0, false
	}
	return d, atoi(m[1]), m[2], atoi(m[3]), true
}

// ReturnValue returns libest's number where the line is the one that ends
// enrollCertUsingEST.
func (l CAPFLine) ReturnValue() (d Device, rv int, ok bool) {
	d, text, ok := l.Device()
	if !ok {
		return d, 0, false
	}
	digits, ok := strings.CutPrefix(text, "Return value from enrollCertUsingEST() : ")
	if !ok {
		return d, 0, false
	}
	rv, err := strconv.Atoi(digits)
	return d, rv, err == nil
}
