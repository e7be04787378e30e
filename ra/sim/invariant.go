package sim

// Invariant is what must hold of a history, whatever happened in it.
type Invariant struct {
	Name  string
	Check func(*History) []string // what breaks it, in a line each
}

// Invariants are all of them.
func Invariants() []Invariant {
	return []Invariant{
		{"nothing-waits-for-ever", nothingWaits},
		{"one-certificate", oneCertificate},
		{"right-certificate", rightCertificate},
		{"none-expired", noneExpired},
		{"none-lost", noneLost},
		{"bounded-fetches", boundedFetches},
		{"delivered-was-read", deliveredWasRead},
		{"orphans-have-a-reason", orphansHaveAReason},
		{"joins-end", joinsEnd},
	}
}
