package wire

import (
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// echoed takes the credentials of a request out of its answer: pages for debugging print
// the headers that came, and proxies that log in for others redirect with them.
type echoed struct{ replacer *strings.Replacer }

const (
	hiddenEcho = "(a credential, not shown)"
	// shortest is what is still looked for: what is shorter would be found everywhere.
	shortest = 4
)

// lastNTLM is a third message of NTLM, which may come back in a later answer, too; also
// as a URL has it.
var lastNTLM = regexp.MustCompile(`TlRMTVNTUAAD(?:[A-Za-z0-9+/=]|%2[BbFf]|%3[Dd])*`)

func echoOf(request http.Header) echoed {
	var secrets []string
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		for _, value := range request.Values(name) {
			scheme, token, found := strings.Cut(strings.TrimSpace(value), " ")
			if !found {
				token = scheme
			}
			token = strings.TrimSpace(token)
			secrets = append(secrets, token)
			if account, err := base64.StdEncoding.DecodeString(token); err == nil && strings.EqualFold(scheme, "Basic") {
				_, password, _ := strings.Cut(string(account), ":")
				secrets = append(secrets, string(account), password)
			}
		}
	}
	var forms []string
	for _, s := range secrets {
		forms = append(forms, s, url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s))
	}
	forms = slices.DeleteFunc(forms, func(s string) bool { return len(s) < shortest })
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) }) // a password is in its account
	var pairs []string
	for _, s := range slices.Compact(forms) {
		pairs = append(pairs, s, hiddenEcho)
	}
	return echoed{strings.NewReplacer(pairs...)}
}

func (e echoed) out(text string) string {
	return lastNTLM.ReplaceAllLiteralString(e.replacer.Replace(text), hiddenEcho)
}

func (e echoed) outOfHeader(h http.Header) http.Header {
	clean := make(http.Header, len(h))
	for name, values := range h {
		for _, v := range values {
			clean[name] = append(clean[name], e.out(v))
		}
	}
	return clean
}

// outOfBody returns the beginning of a body. It is cleaned before it is cut: half a
// credential would not be found.
func (e echoed) outOfBody(body []byte) []byte {
	return []byte(e.out(string(body[:min(len(body), maxKept+maxToken)])))
}
