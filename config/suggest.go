package config

import (
	"strings"

	"ciscora/internal/nearest"
)

// Suggest returns a remedy for a name that is not among those known: the
// nearest of them, or all, introduced by the words of all.
func Suggest(name string, known []string, all string) string {
	if name := nearest.Name(name, known); name != "" {
		return "did you mean " + name + "?"
	}
	return all + " " + strings.Join(known, ", ")
}
