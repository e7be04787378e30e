package explain

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"strings"
)

// What a mail as it is saved may hold.
const (
	maxMail      = 64 << 20 // bytes, decoded
	maxMailDepth = 8        // of parts within parts
	maxMailParts = 256
)

var errMail = errors.New("the mail holds more than is read of one: save its logs as files")

// mailed reads a mail as it was saved (RFC 5322, RFC 2045): the text of its parts, decoded,
// one after another. Other files are left as they are.
func mailed(in *bufio.Reader) (text *bufio.Reader, mail bool) {
	begin, _ := in.Peek(lineBuffer)
	if !isMail(begin) {
		return in, false
	}
	m := &mailText{}
	message, err := netmail.ReadMessage(in)
	if err == nil {
		err = m.part(textproto.MIMEHeader(message.Header), message.Body, 0)
	}
	var end io.Reader = bytes.NewReader(nil)
	if err != nil {
		end = failing{err}
	}
	return bufio.NewReaderSize(io.MultiReader(&m.text, end), lineBuffer), true
}

// failing ends a text with an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// isMail tells whether a file begins with the header of a mail that may be encoded: one
// that is not reads like any text.
func isMail(begin []byte) bool {
	encoded := false
	for line := range bytes.Lines(begin) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			return encoded
		}
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t*|[{") {
			return false
		}
		switch strings.ToLower(string(name)) {
		case "mime-version", "content-transfer-encoding":
			encoded = true
		}
	}
	return false
}

type mailText struct {
	text  bytes.Buffer
	parts int
}

// part adds the text of a part, and of the parts in it.
func (m *mailText) part(header textproto.MIMEHeader, body io.Reader, depth int) error {
	if m.parts++; m.parts > maxMailParts || depth > maxMailDepth {
		return errMail
	}
	switch strings.ToLower(strings.TrimSpace(header.Get("Content-Transfer-Encoding"))) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	kind, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	switch {
	case err != nil:
		kind = "text/plain" // RFC 2045 section 5.2
	case strings.HasPrefix(kind, "multipart/"):
		return m.multipart(multipart.NewReader(body, parameters["boundary"]), kind == "multipart/alternative", depth)
	case kind == "message/rfc822":
		message, err := netmail.ReadMessage(body)
		if err != nil {
			return fmt.Errorf("a mail in the mail: %w", err)
		}
		return m.part(textproto.MIMEHeader(message.Header), message.Body, depth+1)
	}
	if strings.HasPrefix(kind, "image/") || strings.HasPrefix(kind, "audio/") || strings.HasPrefix(kind, "video/") {
		return nil
	}
	text, err := unzipped(body)
	if err != nil {
		return err
	}
	room := int64(maxMail - m.text.Len())
	n, err := io.CopyN(&m.text, decoded(text), room+1)
	m.text.WriteString("\n\n") // a part's last line and the next one's first are two
	switch {
	case n > room:
		return errMail
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("decode part %d of the mail: %w", m.parts, err)
	}
	return nil
}

// multipart adds the parts of one; of alternatives, which say the same, the plain text.
func (m *mailText) multipart(parts *multipart.Reader, alternative bool, depth int) error {
	said := false
	for {
		p, err := parts.NextRawPart()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the parts of the mail: %w", err)
		}
		if alternative && said {
			continue
		}
		before := m.text.Len()
		if err := m.part(p.Header, p, depth+1); err != nil {
			return err
		}
		said = said || len(bytes.TrimSpace(m.text.Bytes()[before:])) > 0
	}
}
