// Package nearest finds the name that was probably meant.
package nearest

import "strings"

// most is how much of a name is looked at.
const most = 64

// Name returns the one of names that is nearest to what was written, or "" where none
// is near.
func Name(written string, names []string) string {
	written = written[:min(len(written), most)]
	best, least := "", max(2, len(written)/3)+1
	for _, name := range names {
		d := distance(written, name)
		if len(written) > 2 && strings.HasPrefix(name, written) {
			d = 1
		}
		// With half of the letters wrong, any short word is near.
		if d < least && 2*d <= max(len(written), len(name)) {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap with their neighbour
// to get from a to b.
func distance(a, b string) int {
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	var d [most + 1][most + 1]int // of the first i letters of a and the first j of b
	for i := range d {
		d[i][0], d[0][i] = i, i
	}
	for i := range len(a) {
		for j := range len(b) {
			replace := d[i][j]
			if a[i] != b[j] {
				replace++
			}
			d[i+1][j+1] = min(replace, d[i][j+1]+1, d[i+1][j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d[i+1][j+1] = min(d[i+1][j+1], d[i-1][j-1]+1) //nolint:gosec // G602: neither i nor j is 0 here
			}
		}
	}
	return d[len(a)][len(b)]
}
