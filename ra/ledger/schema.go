package ledger

import (
	"fmt"
	"slices"
)

// schemaVersion is the newest that this package knows. A migration adds to
// migrations and leaves the earlier ones as they are. Replicas of the version before go
// on for some seconds after it, until they look ([postgres.probe]): what they write must
// still be right then.
const schemaVersion = ownVersions + successorVersions

// ownVersions are those of migrations.
const ownVersions = 5

// migrations are the steps from one version to the next, for both databases: %[1]s
// is the primary key's type, %[2]s the type of bytes. Times are microseconds since
// 1970, 0 = none; truths are 0 and 1.
var migrations = [ownVersions][]string{{
	`CREATE TABLE requests (
		id          %[1]s,
		key         %[2]s NOT NULL,
		csr         %[2]s NOT NULL,
		public_key  %[2]s NOT NULL,
		identity    TEXT NOT NULL,
		label       TEXT NOT NULL,
		template    TEXT NOT NULL,
		subject     TEXT NOT NULL,
		cn          TEXT NOT NULL,
		enrollment  TEXT NOT NULL,
		renewal     INTEGER NOT NULL,
		state       TEXT NOT NULL,
		uncertain   INTEGER NOT NULL,
		open        INTEGER NOT NULL,
		req_id      INTEGER NOT NULL,
		disposition INTEGER NOT NULL,
		hresult     BIGINT NOT NULL,
		certificate %[2]s NOT NULL,
		error       TEXT NOT NULL,
		legs        TEXT NOT NULL,
		received    BIGINT NOT NULL,
		submitted   BIGINT NOT NULL,
		issued      BIGINT NOT NULL,
		delivered   BIGINT NOT NULL,
		updated     BIGINT NOT NULL,
		next_poll   BIGINT NOT NULL,
		waited      BIGINT NOT NULL,
		polls       INTEGER NOT NULL,
		deliveries  INTEGER NOT NULL,
		replica     TEXT NOT NULL,
		token       TEXT NOT NULL,
		lease_until BIGINT NOT NULL
	)`,
	`CREATE UNIQUE INDEX requests_open ON requests (key) WHERE open = 1`,
	`CREATE INDEX requests_due ON requests (next_poll, id) WHERE state IN ('received', 'submitted', 'pending')`,
	`CREATE INDEX requests_claimed ON requests (id) WHERE lease_until > 0`,
	`CREATE INDEX requests_orphans ON requests (id) WHERE (uncertain = 1 OR state = 'issued' OR (state = 'submitted' AND req_id > 0 AND next_poll = 0))`,
	`CREATE INDEX requests_waited ON requests (template, id) WHERE waited > 0`,
	`CREATE INDEX requests_state ON requests (state, id)`,
	`CREATE INDEX requests_cn ON requests (cn, id)`,
	`CREATE INDEX requests_identity ON requests (identity, id)`,
	`CREATE INDEX requests_label ON requests (label, id)`,
	`CREATE INDEX requests_template ON requests (template, id)`,
	`CREATE INDEX requests_req_id ON requests (req_id, id) WHERE req_id > 0`,
	`CREATE INDEX requests_received ON requests (received)`,
	`CREATE INDEX requests_updated ON requests (updated)`,
}, {
	// A row's key is now that of what is asked for. Rows of version 1, whose what is
	// empty, keep theirs until they are joined ([Ledger.adopt]).
	`ALTER TABLE requests ADD COLUMN what %[2]s NOT NULL DEFAULT ''`,
	`ALTER TABLE requests ADD COLUMN subject_der %[2]s NOT NULL DEFAULT ''`,
	`ALTER TABLE requests ADD COLUMN names %[2]s NOT NULL DEFAULT ''`,
	`ALTER TABLE requests ADD COLUMN floor INTEGER NOT NULL DEFAULT 0`,
	`ALTER TABLE requests ADD COLUMN candidates TEXT NOT NULL DEFAULT '[]'`,
	`ALTER TABLE requests ADD COLUMN lost BIGINT NOT NULL DEFAULT 0`,
	// Claims have a holder, and no end by the clock.
	`DROP INDEX requests_claimed`,
	`ALTER TABLE requests DROP COLUMN lease_until`,
	`ALTER TABLE requests ADD COLUMN holder BIGINT NOT NULL DEFAULT 0`,
	`CREATE TABLE replicas (
		id        %[1]s,
		name      TEXT NOT NULL,
		beats     BIGINT NOT NULL DEFAULT 0,
		searching INTEGER NOT NULL DEFAULT 0
	)`,
	`CREATE UNIQUE INDEX replicas_searching ON replicas (searching) WHERE searching = 1`,
	`CREATE TABLE seen (
		req_id      INTEGER PRIMARY KEY,
		what        TEXT NOT NULL,
		certificate %[2]s NOT NULL,
		at          BIGINT NOT NULL
	)`,
	`DROP INDEX requests_orphans`,
	`CREATE INDEX requests_orphans ON requests (id) WHERE ` + isOrphan,
	// Each index that a change touches costs: most rows are delivered, without a
	// label, and Prune finds its rows by the time that they came.
	`DROP INDEX requests_updated`,
	`DROP INDEX requests_state`,
	`CREATE INDEX requests_state ON requests (state, id) WHERE state <> 'delivered'`,
	`DROP INDEX requests_label`,
	`CREATE INDEX requests_label ON requests (label, id) WHERE label <> ''`,
}, {
	// guesses.go
	`CREATE TABLE guesses (
		slot          BIGINT PRIMARY KEY,
		kind          TEXT NOT NULL,
		name          TEXT NOT NULL,
		refused       BIGINT NOT NULL,
		refused_until BIGINT NOT NULL,
		held          BIGINT NOT NULL,
		held_until    BIGINT NOT NULL
	)`,
	secretsTable,
}, {
	// about.go
	`ALTER TABLE replicas ADD COLUMN about TEXT NOT NULL DEFAULT ''`,
}, {
	// guesses.go: each guess that is under way ends by itself.
	`CREATE TABLE guess_holds (
		slot  BIGINT NOT NULL,
		hold  TEXT NOT NULL,
		until BIGINT NOT NULL,
		PRIMARY KEY (slot, hold)
	)`,
	`ALTER TABLE guesses DROP COLUMN held`,
	`ALTER TABLE guesses DROP COLUMN held_until`,
}}

// isOrphan is [Row.Orphan] in SQL. It is the same text in the index and in the
// queries: else SQLite would not see that it may use the index.
const isOrphan = `(uncertain = 1 OR state = 'issued' OR (state = 'submitted' AND req_id > 0 AND next_poll = 0) OR candidates <> '[]')`

// migration returns the statements from version to version+1.
func migration(version int, primaryKey, bytes string) []string {
	steps := slices.Concat(migrations[:], successorMigrations())[version]
	statements := make([]string, 0, len(steps))
	for _, s := range steps {
		statements = append(statements, fmt.Sprintf(s+"%.0[1]s%.0[2]s", primaryKey, bytes))
	}
	return statements
}

func newer(version int) error {
	return fmt.Errorf("was written by a newer version of ra (schema %d, this one knows %d): use that version, or another ledger", version, schemaVersion)
}

// older is for those who only look: they bring nothing up to date.
func older(version int) error {
	return fmt.Errorf("was written by an older version of ra (schema %d, this one reads %d): start the RA of this version once, which brings it up to date", version, schemaVersion)
}
