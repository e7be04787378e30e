package wrongclient

import (
	"crypto/md5" // an algorithm of HTTP Digest
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/url"
	"regexp"
	"strings"
)

var parameter = regexp.MustCompile(`([a-zA-Z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))`)

// digest answers the first challenge for HTTP Digest that the client can (RFC 7616
// section 3.4); "" = there is none.
func (c *client) digest(a *answer, method string, u *url.URL) string {
	for _, challenge := range a.header.Values("WWW-Authenticate") {
		scheme, rest, _ := strings.Cut(challenge, " ")
		if !strings.EqualFold(scheme, "Digest") || c.get("USER") == "" {
			continue
		}
		params := map[string]string{}
		for _, m := range parameter.FindAllStringSubmatch(rest, -1) {
			params[strings.ToLower(m[1])] = m[2] + m[3]
		}
		newHash := map[string]func() hash.Hash{"": md5.New, "MD5": md5.New, "SHA-256": sha256.New}[params["algorithm"]]
		if newHash == nil || c.wrong("auth-digest-md5") && params["algorithm"] != "SHA-256" || c.wrong("auth-digest-sha256") && params["algorithm"] == "SHA-256" {
			continue
		}
		sum := func(text string) string {
			h := newHash()
			_, _ = h.Write([]byte(text)) // a hash takes all
			return hex.EncodeToString(h.Sum(nil))
		}
		cnonce, uri := rand.Text(), u.RequestURI()
		ha1 := sum(c.get("USER") + ":" + params["realm"] + ":" + c.get("PASSWORD"))
		response := sum(strings.Join([]string{ha1, params["nonce"], "00000001", cnonce, "auth", sum(method + ":" + uri)}, ":"))
		text := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", qop=auth, nc=00000001, cnonce="%s", response="%s"`,
			c.get("USER"), params["realm"], params["nonce"], uri, cnonce, response)
		if params["algorithm"] != "" {
			text += ", algorithm=" + params["algorithm"]
		}
		if params["opaque"] != "" && !c.wrong("auth-digest-params") {
			text += fmt.Sprintf(`, opaque="%s"`, params["opaque"])
		}
		return text
	}
	return ""
}
