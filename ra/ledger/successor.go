//go:build !ra_successor

package ledger

// The version after this one is played by a build of the tests, see successor_built.go.
const successorVersions = 0

func successorMigrations() [][]string { return nil }
