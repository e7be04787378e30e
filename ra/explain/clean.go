package explain

import (
	"bytes"
	"strings"
)

// clean takes from a line what mail, terminals and browsers have put around it: the
// quotation marks of mail, escape sequences, NULs, HTML entities and tags.
func (d *desk) clean(raw []byte) []byte {
	b := bytes.TrimRight(raw, "\r\n \t")
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	b = unquoted(b)
	if bytes.IndexByte(b, 0x1b) >= 0 || bytes.IndexByte(b, 0) >= 0 {
		b = withoutEscapes(b)
	}
	if hasMarkup(b) {
		b = unquoted(withoutMarkup(b)) // of a mail in HTML the marks are &gt;
	}
	return b
}

// unquoted takes the marks of a quotation from a line.
func unquoted(b []byte) []byte { return bytes.TrimLeft(b, "> \t") }

func withoutEscapes(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case 0:
		case 0x1b:
			// ESC [ ... letter, or ESC ] ... BEL
			if i+1 < len(b) && (b[i+1] == '[' || b[i+1] == ']') {
				i += 2
				for i < len(b) && i < cap(out) && (b[i] < '@' || b[i] > '~') && b[i] != 7 {
					i++
				}
			}
		default:
			out = append(out, c)
		}
	}
	return out
}

// hasMarkup tells whether a line may hold HTML.
func hasMarkup(b []byte) bool {
	if i := bytes.IndexByte(b, '&'); i >= 0 && bytes.IndexByte(b[i:], ';') > 0 {
		return true
	}
	for rest := b; ; {
		i := bytes.IndexByte(rest, '<')
		if i < 0 || i+2 >= len(rest) {
			return false
		}
		if c := rest[i+1]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '/' {
			return true
		}
		rest = rest[i+1:]
	}
}

var entities = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'", "nbsp": " ", "#39": "'", "#34": `"`, "#x27": "'", "#160": " ", "#62": ">", "#60": "<"}

// tags that only lay a text out. Others are left: <VPNPhone> is a group's name.
var layout = map[string]bool{
	"br": true, "p": true, "pre": true, "span": true, "div": true, "td": true, "tr": true, "th": true, "table": true, "tbody": true,
	"code": true, "tt": true, "font": true, "b": true, "i": true, "html": true, "body": true, "head": true, "li": true, "ul": true, "ol": true, "a": true, "samp": true, "blockquote": true,
}

const maxTag = 256

func withoutMarkup(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '&':
			if end := bytes.IndexByte(b[i:min(len(b), i+8)], ';'); end > 1 {
				if text, ok := entities[string(b[i+1:i+end])]; ok {
					out = append(out, text...)
					i += end
					continue
				}
			}
		case '<':
			if end := bytes.IndexByte(b[i:min(len(b), i+maxTag)], '>'); end > 1 {
				tag := strings.ToLower(strings.Trim(string(b[i+1:i+end]), "/ "))
				name, attributes, _ := strings.Cut(tag, " ")
				// The pages of /certsrv are told by their ids.
				if layout[name] && !strings.Contains(attributes, "id=") {
					out = append(out, ' ')
					i += end
					continue
				}
			}
		}
		out = append(out, b[i])
	}
	return bytes.TrimSpace(out)
}
