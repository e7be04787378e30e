// Package printable makes words from outside fit for a log line, an answer of one line,
// or a column: one line, printable, of a bounded length.
package printable

import (
	"strings"
	"unicode"
)

// Line is foreign text on one line: what is not UTF-8 becomes a question mark, and
// each run of space, control characters and format characters (those that turn the
// direction of writing or have no width, Unicode's Cf) one blank. It is at most limit
// bytes long, and then "..." where something was cut off; 0 = no limit.
func Line(s string, limit int) string {
	shown := s
	unread := limit > 0 && len(s)/4 > limit // more than can be shown, were it all four bytes to the rune
	if unread {
		shown = s[:4*limit]
	}
	shown = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(shown, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
	}), " ")
	switch {
	case limit <= 0:
		return shown
	case unread && len(shown) <= limit:
		return shown + "..."
	}
	return Shorten(shown, limit)
}

// Shorten is at most limit bytes of s, cut at a rune's border, and then "..." where
// something was cut off.
func Shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return Cut(s, limit) + "..."
}

// Cut is at most limit bytes of s, cut at a rune's border. Where something is cut off
// it is a copy, so that a short text does not keep a long one in memory.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:limit]), "")
}
