package ledger

import (
	"context"
	"crypto/rand"
	"fmt"
)

// secretsTable is that of what replicas share and restarts keep, and nobody
// else may know.
const secretsTable = `CREATE TABLE secrets (
		name  TEXT PRIMARY KEY,
		value %[2]s NOT NULL
	)`

// secretSize is that of a key for HMAC-SHA-256, in bytes.
const secretSize = 32

// Secret returns the random key of this name, which is made when it is first asked for:
// all replicas get the same, and so does whoever starts later. It is good for marks that
// live minutes, such as nonces. Who can read the ledger can make those; no password and
// no private key is ever derived from it.
func (l *Ledger) Secret(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, secretSize)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("ledger: read randomness: %w", err)
	}
	// The first one stays; whose it is, the second statement tells.
	if err := l.write(ctx, change{run: func(ctx context.Context, e execer) error {
		_, err := e.ExecContext(ctx, `INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, fresh)
		return err
	}}); err != nil {
		return nil, err
	}
	var secret []byte
	if err := l.store.row(ctx, `SELECT value FROM secrets WHERE name = $1`, name).Scan(&secret); err != nil {
		return nil, unavailable(err)
	}
	return secret, nil
}
