package fault

import (
	"fmt"
	"slices"
	"strings"
)

// param is what a kind takes besides its value, as it was written.
type param struct{ name, value string }

// paramsOf are the parameters that a kind has of its own at a place.
func paramsOf(place Place, kind string) []string {
	if !place.AtEST() {
		return nil
	}
	switch kind {
	case "status":
		return []string{"retry-after", "body"}
	case "redirect":
		return []string{"code"}
	case "interim":
		return []string{"times"}
	case "hang":
		return []string{"after"}
	case "close":
		return []string{"when"}
	}
	return nil
}

// readParam reads one of paramsOf.
func (f *Fault) readParam(name, value string) error {
	allowed := map[string][]string{
		"body":  {"good", "text"},
		"code":  {"301", "302", "303", "307", "308"},
		"after": {"half"},
		"when":  {"idle"},
	}[name]
	switch {
	case allowed != nil && !slices.Contains(allowed, value):
		return fmt.Errorf("want %s", strings.Join(allowed, " or "))
	case name == "times":
		if _, err := readNumber(value, 1, 100); err != nil {
			return err
		}
	case name == "retry-after":
		// A number is the usual thing; what clients make of others is worth a try.
		if n, err := readNumber(value, 1, 1<<30); err == nil {
			f.RetryAfter = n
			return nil
		}
		if value == "" || len(value) > 64 || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("want seconds, date+SECONDS for a date, or other printable text without blanks")
		}
	}
	f.params = append(f.params, param{name, value})
	slices.SortFunc(f.params, func(a, b param) int { return strings.Compare(a.name, b.name) })
	return nil
}

// param returns a parameter's value, "" where it was not given.
func (f Fault) param(name string) string {
	for _, p := range f.params {
		if p.name == name {
			return p.value
		}
	}
	return ""
}
