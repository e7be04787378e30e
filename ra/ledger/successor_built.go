//go:build ra_successor

package ledger

// With the tag ra_successor, which only the test of an upgrade sets, this is the version
// after this one: it knows one schema version more.
const successorVersions = 1

func successorMigrations() [][]string {
	return [][]string{{`ALTER TABLE requests ADD COLUMN successor INTEGER NOT NULL DEFAULT 0`}}
}
