package est

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Base64 chooses the form of the base64 in answers. The clients of one listener
// may want opposite ones (docs/reference/libest.md L4).
type Base64 int

const (
	// Base64Auto gives one line to a client that sends no User-Agent, which is
	// strongSwan, and lines to all others.
	Base64Auto Base64 = iota
	// Base64Wrapped gives lines of 64 columns, each ended by LF: what libest needs.
	Base64Wrapped
	// Base64Single gives one line without a line end: what strongSwan 5.9.8 needs.
	Base64Single
)

func (b Base64) String() string {
	switch b {
	case Base64Auto:
		return "auto"
	case Base64Wrapped:
		return "wrapped"
	case Base64Single:
		return "single"
	}
	return fmt.Sprintf("Base64(%d)", int(b))
}

// single tells whether the answer to r has its base64 on one line.
func (b Base64) single(r *http.Request) bool {
	return b == Base64Single || b == Base64Auto && r.UserAgent() == ""
}

// columns is the width of wrapped base64: OpenSSL's, hence libest's.
const columns = 64

// encodeBase64 returns der on one line without an end, or in lines of 64 columns
// that each end in LF.
func encodeBase64(der []byte, single bool) []byte {
	if single {
		return base64.StdEncoding.AppendEncode(nil, der)
	}
	const perLine = columns / 4 * 3
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(der))+len(der)/perLine+1)
	for len(der) > 0 {
		line := der[:min(perLine, len(der))]
		der = der[len(line):]
		out = append(base64.StdEncoding.AppendEncode(out, line), '\n')
	}
	return out
}

// decodeBody returns the DER in the body of an enrollment: base64 with blanks,
// tabs, CR and LF anywhere (RFC 8951 §3.1), or PEM. The errors tell a client
// what is wrong and what to send.
func decodeBody(body []byte) ([]byte, error) {
	text := bytes.TrimSpace(body)
	switch {
	case len(text) == 0:
		return nil, errors.New("the body is empty: send the PKCS #10 request, DER in base64")
	case text[0] == 0x30 && len(text) > 1 && text[1] >= 0x80:
		// No base64 begins like this: SEQUENCE with a long length.
		return nil, errors.New("the body is binary DER: send it in base64 (RFC 8951 section 3)")
	case bytes.HasPrefix(text, []byte("-----BEGIN")):
		return decodePEM(text)
	}
	der := make([]byte, 0, len(text))
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			der = append(der, c)
		}
	}
	n, err := base64.StdEncoding.Decode(der, der)
	if err != nil {
		return nil, fmt.Errorf("the body is not base64: %w: send the PKCS #10 request, DER in base64 with padding (RFC 4648 section 4)", err)
	}
	return der[:n], nil
}

// pemKind names a PEM block's type, unless it is none that software writes: what a
// client made up is not sent back.
func pemKind(kind string) string {
	const longest = 40
	if len(kind) > longest || strings.Trim(kind, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ") != "" {
		return "none of a CSR"
	}
	return "a " + kind
}

func decodePEM(text []byte) ([]byte, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("the PEM block in the body is damaged or cut off: send it whole")
	case block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST":
		return nil, fmt.Errorf("the PEM block in the body is %s: send a CERTIFICATE REQUEST", pemKind(block.Type))
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("something follows the PEM block in the body: send the CERTIFICATE REQUEST alone")
	}
	return block.Bytes, nil
}
