package explain

import (
	"cmp"
	"slices"
)

// rank orders the candidates, the likeliest first, and folds variants.
func (j *judgement) rank(k *affair) (first []*entry, variants map[*entry][]string) {
	variants = map[*entry][]string{}
	byName := map[string]*entry{}
	for _, e := range k.candidates {
		byName[e.Name] = e
	}
	for _, e := range k.candidates {
		if of := byName[e.Like]; of != nil {
			variants[of] = append(variants[of], e.Name)
			continue
		}
		first = append(first, e)
	}
	// A line that is there and that one failure alone leaves says more than one that is
	// not there: what IIS has not written yet, or in another file, is missed as well.
	missed, shared := map[*entry]bool{}, map[*entry]int{}
	for _, e := range first {
		missed[e], shared[e] = j.missed(k, e), k.shared(e)
	}
	slices.SortStableFunc(first, func(a, b *entry) int {
		return cmp.Or(
			before(shared[a] == 1, shared[b] == 1),
			before(a.foremost(k.incidents[0].chain), b.foremost(k.incidents[0].chain)),
			before(!a.Lab, !b.Lab),
			before(!a.Harmless, !b.Harmless), // who is told that nothing is to be mended looks no further
			before(!missed[a], !missed[b]),
			cmp.Compare(shared[a], shared[b]),
			cmp.Compare(k.specific(b), k.specific(a)),
			cmp.Compare(a.order, b.order))
	})
	return first, variants
}

// specific is how many lines speak for a failure.
func (k *affair) specific(e *entry) (n int) {
	for _, i := range k.incidents {
		t, _ := e.tellsIn(i)
		n += len(t.has) + len(t.lacks)
	}
	return n
}

// shared is by how many of the candidates that line of a failure is told which fewest
// tell: who alone tells a line that is there stands before those who share all of theirs.
func (k *affair) shared(e *entry) int {
	fewest := len(k.candidates)
	for _, i := range k.incidents {
		t, _ := e.tellsIn(i)
		for _, line := range t.has {
			n := 0
			for _, other := range k.candidates {
				if o, _ := other.tellsIn(i); slices.Contains(o.has, line) {
					n++
				}
			}
			fewest = min(fewest, n)
		}
	}
	return fewest
}

// before puts that of which something is true before that of which it is not.
func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
