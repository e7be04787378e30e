package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// maxIdentity bounds who asks, in bytes. It is part of the row's key, so that what is
// longer is not cut but told by its digest.
const maxIdentity = 512

// Identity is who asks, as rows have it: the method, and the account's name without
// regard to case. It is valid UTF-8, whatever bytes a client sent: what is not UTF-8 is
// read as ISO 8859-1, which old clients send in HTTP Basic (RFC 7617 leaves it to them).
func Identity(method, account string) string {
	return canonical(method + ":" + strings.ToLower(inUTF8(account)))
}

// canonical is an identity as a row can hold it, so that the row's text and its key agree.
// It changes nothing that it has returned.
func canonical(identity string) string {
	// PostgreSQL takes no NUL.
	identity = strings.ReplaceAll(inUTF8(identity), "\x00", `\00`)
	if len(identity) <= maxIdentity {
		return identity
	}
	digest := sha256.Sum256([]byte(identity))
	end := "...#" + hex.EncodeToString(digest[:])
	return strings.ToValidUTF8(identity[:maxIdentity-len(end)], "") + end
}

func inUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
