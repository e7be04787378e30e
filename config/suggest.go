package config

import "strings"

// Suggest returns a remedy for a name that is not among those known: the
// nearest of them, or all, introduced by the words of all.
func Suggest(name string, known []string, all string) string {
	best, distance := "", max(2, len(name)/3)+1
	for _, k := range known {
		d := editDistance(name, k)
		if len(name) > 2 && strings.HasPrefix(k, name) {
			d = 1
		}
		// With half of the letters wrong, any short word is near.
		if d < distance && 2*d <= max(len(name), len(k)) {
			best, distance = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return all + " " + strings.Join(known, ", ")
}

// editDistance counts the letters to insert, remove or replace to get from a to
// b. Its cost is bounded by cutting both.
func editDistance(a, b string) int {
	const most = 64
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
