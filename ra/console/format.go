package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

func (c *console) functions() template.FuncMap {
	return template.FuncMap{
		"clock":   clock,
		"instant": instant,
		"took":    took,
		"at":      c.at,
		"join":    strings.Join,
		"left":    func(end time.Time) string { return days(end.Sub(c.Now())) },
		"soon":    func(end time.Time) bool { return end.Sub(c.Now()) < 14*24*time.Hour },
	}
}

// clock is a time of day, to the millisecond, in UTC as the logs of CES are not: the
// date stands above the table.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("15:04:05.000")
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func days(d time.Duration) string {
	switch n := int(d / (24 * time.Hour)); {
	case d < 0:
		return "ended"
	case n < 1:
		return took(d)
	case n == 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}
