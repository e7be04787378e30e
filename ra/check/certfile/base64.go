package certfile

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// bareBase64 decodes text that is nothing but base64.
func bareBase64(text []byte) ([]byte, bool) {
	const least = 64 // less is a word
	joined := bytes.Join(bytes.Fields(text), nil)
	if len(joined) < least || strings.Trim(string(joined), base64Letters+"=") != "" {
		return nil, false
	}
	der, err := base64.StdEncoding.DecodeString(string(joined))
	return der, err == nil
}
