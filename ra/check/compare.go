package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Difference is what a real CA does and the built-in one does not, or does otherwise.
type Difference struct {
	Step  string `json:"step"`
	What  string `json:"what"`
	Real  string `json:"real"`
	Built string `json:"built_in"`
}

// sizesThatCount are steps whose answer has the same size everywhere.
var sizesThatCount = []string{"anonymous", "anonymous, a page", "NTLM, first message", "no such page"}

// Compare lists where the built-in CA answers otherwise than the real one did. Names,
// times, the number of templates and the keys of the certificates are not looked at.
func Compare(seen, built *Recording) []Difference {
	list := []Difference{}
	for i := range seen.Steps {
		theirs := &seen.Steps[i]
		name := theirs.Step
		if theirs.Agent == browserAgent {
			name += ", for a browser"
		}
		add := func(what, a, b string) {
			if a != b {
				list = append(list, Difference{name, what, a, b})
			}
		}
		ours := built.find(theirs.Step, theirs.Agent)
		switch {
		case theirs.Failed != "" && ours != nil:
			add("answer", theirs.Failed, fmt.Sprintf("status %d", ours.Status))
			continue
		case theirs.Failed != "":
			continue
		case ours == nil:
			add("answer", fmt.Sprintf("status %d", theirs.Status), "none")
			continue
		}
		add("status", fmt.Sprint(theirs.Status), fmt.Sprint(ours.Status))
		add("interim answers", fmt.Sprint(theirs.Interim), fmt.Sprint(ours.Interim))
		add("heads", strings.Join(headNames(theirs), ", "), strings.Join(headNames(ours), ", "))
		for _, head := range headNames(theirs) {
			if !slices.ContainsFunc(headNames(ours), func(n string) bool { return strings.EqualFold(n, head) }) {
				continue // said above
			}
			add(head, strings.Join(theirs.values(head), " | "), strings.Join(ours.values(head), " | "))
		}
		compareBodies(theirs, ours, add)
	}
	return list
}

// headNames are the names of a head's lines, each once.
func headNames(s *Step) (names []string) {
	for _, line := range s.Head {
		name, _, _ := strings.Cut(line, ":")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func compareBodies(theirs, ours *Step, add func(what, a, b string)) {
	either := map[string]string{}
	maps.Copy(either, theirs.Body)
	maps.Copy(either, ours.Body)
	for _, key := range slices.Sorted(maps.Keys(either)) {
		a, b := theirs.Body[key], ours.Body[key]
		switch key {
		case "size":
			if !slices.Contains(sizesThatCount, theirs.Step) {
				continue
			}
		case "kind":
			// Without the keys, which are each CA's own.
			a, b = withoutKeys(a), withoutKeys(b)
		case "templates":
			_, a, _ = strings.Cut(a, "fields: ")
			_, b, _ = strings.Cut(b, "fields: ")
		}
		add("body, "+key, orNo(a), orNo(b))
	}
}

// withoutKeys is what a file is, without what its certificates are.
func withoutKeys(kind string) string {
	kind, _, _ = strings.Cut(kind, "; ")
	var words []string
	for part := range strings.SplitSeq(kind, ", ") {
		if strings.Contains(part, " signed ") {
			break
		}
		if strings.HasPrefix(part, "PKCS #7 of ") {
			part = "PKCS #7"
		}
		words = append(words, part)
	}
	return strings.Join(words, ", ")
}
