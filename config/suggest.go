package config

// Suggest returns a remedy for a name that is not among those known: the nearest
// of them, or all, introduced by the words of all.
func Suggest(name string, known []string, all string) string { return suggest(name, known, all) }
