package fault

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"ciscora/internal/nearest"
	"ciscora/internal/printable"
)

// Bounds of a spec: it may come from a URL or a CSR.
const (
	maxSpec  = 512
	maxCount = 1_000_000
	maxDelay = 24 * time.Hour
)

// Fault is one fault, read by [Parse].
type Fault struct {
	Place Place
	Kind  string
	Value string // as it was written; "" without one

	RetryAfter int // seconds, with status; 0 = no such header, or one that is no number: see paramsOf

	// How long it lives. Skip counts before Count does.
	Skip, Count int           // 0 = none, without end
	For         time.Duration // from the moment it is ordered; 0 = without end
	Probability float64       // 0 = always
	Seed        uint64        // of Probability

	// Whom it bites, of those that an EST server knows by label and name; "" = all.
	// With a * at the end: all that begin so.
	Label, CN string

	delay   time.Duration
	number  int
	hresult uint32
	params  []param // of its kind alone, in the order of paramsOf

	over    chan struct{}   // of one that is on: closed when it is removed
	cleared <-chan struct{} // of one that bites: closed by the next Clear
}

// SpecError is a spec that names no fault.
type SpecError struct {
	Spec    string
	Part    string // what is wrong of it
	Message string // why
	Nearest string // what may have been meant, "" where nothing is near
}

// Error is one line with the spec, the part and what may have been meant.
func (e *SpecError) Error() string {
	text := fmt.Sprintf("fault %q: %s", e.Spec, e.Message)
	if e.Nearest != "" {
		text += fmt.Sprintf(", did you mean %s?", e.Nearest)
	}
	return text
}

// Parse reads a spec. The error is a *SpecError.
func Parse(spec string) (Fault, error) {
	if len(spec) > maxSpec {
		return Fault{}, &SpecError{Spec: spec[:32] + "...", Message: fmt.Sprintf("is longer than %d bytes", maxSpec)}
	}
	wrong := func(part, format string, args ...any) error {
		return &SpecError{Spec: spec, Part: part, Message: fmt.Sprintf(format, args...)}
	}
	place, rest, ok := strings.Cut(strings.TrimSpace(spec), ":")
	if !ok {
		return Fault{}, wrong(spec, "has no kind: write PLACE:KIND, such as certsrv.login:hang")
	}
	f := Fault{Place: Place(place)}
	if !slices.Contains(Places(), f.Place) {
		var names []string
		for _, p := range Places() {
			names = append(names, string(p))
		}
		return Fault{}, &SpecError{Spec: spec, Part: place, Message: fmt.Sprintf("unknown place %q", place), Nearest: nearest.Name(place, names)}
	}
	parts := strings.Split(rest, ",")
	kind, value, hasValue := strings.Cut(parts[0], "=")
	entry, ok := entryOf(f.Place, kind)
	if !ok {
		return Fault{}, &SpecError{Spec: spec, Part: kind, Message: fmt.Sprintf("%s has no kind %q", place, kind), Nearest: nearest.Name(kind, kindsAt(f.Place))}
	}
	f.Kind, f.Value = kind, value
	if err := f.readValue(entry, hasValue); err != nil {
		return Fault{}, wrong(parts[0], "%v", err)
	}
	seeded := false
	seen := map[string]bool{}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		if seen[name] {
			return Fault{}, wrong(part, "%s is there twice", name)
		}
		seen[name] = true
		var err error
		switch {
		case name == "count":
			f.Count, err = readNumber(value, 1, maxCount)
		case name == "skip":
			f.Skip, err = readNumber(value, 1, maxCount)
		case name == "for":
			f.For, err = readDuration(value)
		case name == "probability":
			f.Probability, err = strconv.ParseFloat(value, 64)
			if err != nil || math.IsNaN(f.Probability) || f.Probability <= 0 || f.Probability > 1 {
				err = fmt.Errorf("want a number above 0, up to 1")
			}
		case name == "seed":
			f.Seed, err = strconv.ParseUint(value, 10, 64)
			if err != nil {
				err = fmt.Errorf("want a whole number")
			}
			seeded = true
		case name == "label":
			f.Label, err = readSelector(value)
		case name == "cn":
			f.CN, err = readSelector(value)
		case slices.Contains(paramsOf(f.Place, kind), name):
			err = f.readParam(name, value)
		default:
			names := append([]string{"count", "skip", "for", "probability", "seed", "label", "cn"}, paramsOf(f.Place, kind)...)
			return Fault{}, &SpecError{Spec: spec, Part: part, Message: fmt.Sprintf("unknown parameter %q", name), Nearest: nearest.Name(name, names)}
		}
		if err != nil {
			return Fault{}, wrong(part, "%s=%s: %v", name, value, err)
		}
	}
	switch {
	case f.Probability > 0 && !seeded:
		return Fault{}, wrong("probability", "probability needs a seed, so that it happens again: add seed=1")
	case seeded && f.Probability == 0:
		return Fault{}, wrong("seed", "seed is for a probability: add probability=0.5")
	case f.Place == ESTTLS && f.selects():
		return Fault{}, wrong(string(f.Place), "%s is before anybody has said a label or a name: leave label and cn away", f.Place)
	}
	return f, nil
}

func (f *Fault) readValue(entry Entry, hasValue bool) (err error) {
	if !hasValue || f.Value == "" {
		switch entry.value {
		case noValue, optionalText:
			if hasValue {
				return fmt.Errorf("%s= has nothing behind it", f.Kind)
			}
			return nil
		case optionalHRESULT:
			f.hresult = 0x80094012 // CERTSRV_E_TEMPLATE_DENIED
			return nil
		}
		return fmt.Errorf("%s needs a value: %s=%s", f.Kind, f.Kind, entry.Value)
	}
	switch entry.value {
	case noValue:
		return fmt.Errorf("%s takes no value", f.Kind)
	case duration:
		f.delay, err = readDuration(f.Value)
	case status:
		f.number, err = readNumber(f.Value, 200, 599)
	case number:
		f.number, err = readNumber(f.Value, 1, 9)
	case hresult, optionalHRESULT:
		var code uint64
		code, err = strconv.ParseUint(f.Value, 0, 32)
		if err != nil || code < 0x80000000 {
			return fmt.Errorf("%s=%s: want an HRESULT such as 0x80094012", f.Kind, f.Value)
		}
		f.hresult = uint32(code)
	case language:
		if !slices.Contains(Languages(), f.Value) {
			return fmt.Errorf("%s=%s: want one of %s", f.Kind, f.Value, strings.Join(Languages(), ", "))
		}
	case oneOf:
		if words := strings.Split(entry.Value, "|"); !slices.Contains(words, f.Value) {
			return fmt.Errorf("%s=%s: want one of %s", f.Kind, f.Value, strings.Join(words, ", "))
		}
	case size:
		f.number, err = readNumber(f.Value, 1, 1<<20)
	case text, optionalText:
		if strings.ContainsFunc(f.Value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%s: the value has a control character", f.Kind)
		}
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", f.Kind, f.Value, err)
	}
	return nil
}

// Languages are those that the CA's pages come in besides English.
func Languages() []string { return []string{"fr", "de", "ja", "ru"} }

func readNumber(text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("want a whole number from %d to %d", low, high)
	}
	return n, nil
}

func readDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > maxDelay {
		return 0, fmt.Errorf("want a time such as 12s or 1m30s, at most %s", maxDelay)
	}
	return d, nil
}

// String writes the spec that Parse reads.
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%s", f.Place, f.Kind)
	if f.Value != "" {
		fmt.Fprintf(&b, "=%s", f.Value)
	}
	if f.RetryAfter > 0 {
		fmt.Fprintf(&b, ",retry-after=%d", f.RetryAfter)
	}
	for _, p := range f.params {
		fmt.Fprintf(&b, ",%s=%s", p.name, p.value)
	}
	if f.Skip > 0 {
		fmt.Fprintf(&b, ",skip=%d", f.Skip)
	}
	if f.Count > 0 {
		fmt.Fprintf(&b, ",count=%d", f.Count)
	}
	if f.For > 0 {
		fmt.Fprintf(&b, ",for=%s", f.For)
	}
	if f.Probability > 0 {
		fmt.Fprintf(&b, ",probability=%s,seed=%d", strconv.FormatFloat(f.Probability, 'g', -1, 64), f.Seed)
	}
	if f.Label != "" {
		fmt.Fprintf(&b, ",label=%s", f.Label)
	}
	if f.CN != "" {
		fmt.Fprintf(&b, ",cn=%s", f.CN)
	}
	return b.String()
}

// Delay is the value of delay and drip.
func (f Fault) Delay() time.Duration { return f.delay }

// Number is the value of status, renewed and keepalive.
func (f Fault) Number() int { return f.number }

// HRESULT is the value of denied.
func (f Fault) HRESULT() uint32 { return f.hresult }

// nameSuffix is the domain whose names select faults.
const nameSuffix = ".fault.invalid"

// ParseName reads the fault that a common name or DNS name selects; ok is false
// for other names. The name is the spec with its place in front, dots for the
// colon, and dashes for "=": certsrv.submit.hang.fault.invalid,
// certsrv.login.delay-12s.fault.invalid. Parameters follow as labels of their own:
// certsrv.submit.delay-12s.count-1.fault.invalid.
func ParseName(name string) (f Fault, ok bool, err error) {
	inner, ok := strings.CutSuffix(strings.ToLower(strings.TrimSuffix(name, ".")), nameSuffix)
	if !ok {
		return Fault{}, false, nil
	}
	spec, err := specOfName(inner)
	if err == nil {
		f, err = Parse(spec)
	}
	if err != nil {
		return Fault{}, true, fmt.Errorf("the name %q selects no fault: %w", printable.Shorten(name, 80), err)
	}
	return f, true, nil
}

func specOfName(inner string) (string, error) {
	if len(inner) > maxSpec {
		return "", &SpecError{Spec: inner[:32] + "...", Message: "is too long"}
	}
	// The place is what of the front is one: no place begins another.
	for _, p := range Places() {
		rest, ok := strings.CutPrefix(inner, string(p)+".")
		if !ok {
			continue
		}
		// The kind, whose name may have dots (403.4, tls1.0) and dashes.
		kinds := kindsAt(p)
		slices.SortFunc(kinds, func(a, b string) int { return len(b) - len(a) })
		for _, kind := range kinds {
			after, ok := strings.CutPrefix(rest, kind)
			if !ok || after != "" && after[0] != '-' && after[0] != '.' {
				continue
			}
			spec := string(p) + ":" + kind
			labels := strings.Split(after, ".")
			if labels[0] != "" {
				spec += "=" + labels[0][1:]
			}
			for _, label := range labels[1:] {
				name, value, _ := strings.Cut(label, "-")
				if name == "retry" { // retry-after-5
					name, value = "retry-after", strings.TrimPrefix(value, "after-")
				}
				spec += "," + name + "=" + value
			}
			return spec, nil
		}
		return string(p) + ":" + strings.ReplaceAll(rest, ".", ","), nil // Parse says what is wrong
	}
	place, _, _ := strings.Cut(inner, ".")
	return place + ":", nil
}
