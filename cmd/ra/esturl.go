package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// wellKnown is the path of EST (RFC 7030 section 3.2.2).
const wellKnown = "/.well-known/est"

// splitESTURL takes an EST server's URL as it is printed and copied, with the path
// /.well-known/est and a label behind it, and returns the server's own and the label.
// What it does not know it returns as it is, for who refuses it.
func splitESTURL(raw string) (server, label string, err error) {
	u, err := url.Parse(raw)
	if err != nil || u.RawQuery != "" || u.Fragment != "" {
		return raw, "", nil //nolint:nilerr // who wants the URL refuses it, in words of its own
	}
	path, ok := strings.CutPrefix(strings.TrimSuffix(u.Path, "/"), wellKnown)
	label, below := strings.CutPrefix(path, "/")
	switch {
	case !ok || path != "" && !below:
		return raw, "", nil
	case strings.Contains(label, "/"), slices.Contains([]string{"cacerts", "simpleenroll", "simplereenroll", "fullcmc", "serverkeygen", "csrattrs"}, label):
		return "", "", fmt.Errorf("%s: the operation is not part of the URL: write https://HOST:PORT%s/LABEL, or without a label https://HOST:PORT", u.Redacted(), wellKnown)
	}
	u.Path, u.RawPath = "", ""
	return u.String(), label, nil
}
