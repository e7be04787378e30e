package wire

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"ciscora/internal/printable"
	"ciscora/internal/spnego"
	"ciscora/msca/ntlm"
)

// Header is one line of a header. Of a credential, and of a name that is not known, the
// value tells its kind and length alone.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Token *Token `json:"token,omitempty"`
}

// Token is the message that a header carries in base64, taken apart.
type Token struct {
	Title  string       `json:"title"`
	Fields []ntlm.Field `json:"fields"`
	Inner  *Token       `json:"inner,omitempty"`
}

// size is about how many bytes a token takes up: an empty field, too, has a place.
func (t *Token) size() int {
	if t == nil {
		return 0
	}
	const place = 32
	n := len(t.Title) + t.Inner.size()
	for _, f := range t.Fields {
		n += place + len(f.Name) + len(f.Value)
	}
	return n
}

const (
	maxHeaders = 64
	maxValue   = 1 << 10
	maxToken   = 64 << 10
)

// shown are the headers whose values are nobody's secret. Of all others, which a client
// may have filled with anything, the length is shown.
var shown = map[string]bool{
	"Accept": true, "Accept-Charset": true, "Accept-Encoding": true, "Accept-Language": true, "Allow": true, "Cache-Control": true,
	"Connection": true, "Content-Disposition": true, "Content-Encoding": true, "Content-Language": true, "Content-Length": true,
	"Content-Transfer-Encoding": true, "Content-Type": true, "Date": true, "Etag": true, "Expect": true, "Expires": true,
	"Forwarded": true, "Host": true, "Keep-Alive": true, "Last-Modified": true, "Mime-Version": true, "Pragma": true,
	"Retry-After": true, "Server": true, "Status": true, "Te": true, "Trailer": true, "Transfer-Encoding": true,
	"Upgrade": true, "User-Agent": true, "Vary": true, "Via": true, "X-Aspnet-Version": true, "X-Forwarded-For": true,
	"X-Powered-By": true,
}

// line is one line of what came from outside, cut before it is looked at.
func line(s string) string {
	if len(s) <= maxValue && plain(s) {
		return s
	}
	return printable.Line(printable.Cut(s, 4*maxValue), maxValue)
}

// plain tells whether s is what [printable.Line] would make of it, as nearly all is.
func plain(s string) bool {
	blank := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || blank && s[i] == ' ' {
			return false
		}
		blank = s[i] == ' '
	}
	return !blank || s == ""
}

// readHeaders returns a header's lines by their names.
func readHeaders(h http.Header) (all []Header) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			if len(all) == maxHeaders {
				return append(all, Header{Name: "...", Value: "more headers than are kept"})
			}
			all = append(all, readHeader(name, value))
		}
	}
	return all
}

func readHeader(name, value string) Header {
	h := Header{Name: line(name)}
	switch canonical := http.CanonicalHeaderKey(name); {
	case canonical == "Authorization", canonical == "Proxy-Authorization":
		h.Value, h.Token = readCredentials(value, true)
	case canonical == "Www-Authenticate", canonical == "Proxy-Authenticate":
		h.Value, h.Token = readCredentials(value, false)
	case canonical == "Location":
		h.Value = line(target(value))
	case shown[canonical]:
		h.Value = line(value)
	default:
		h.Value = fmt.Sprintf("%d characters, not shown", len(value))
	}
	return h
}

// target is a URL without an account and a query, which may be anybody's secret: EST has
// neither in what a client asks for, and whoever redirects may put a token there.
func target(uri string) string {
	var query string
	if i := strings.IndexAny(uri, "?#"); i >= 0 {
		uri, query = uri[:i], fmt.Sprintf("%c(%d characters, not shown)", uri[i], len(uri)-i-1)
	}
	scheme, rest, found := strings.Cut(uri, "//")
	if !found || strings.Contains(scheme, "/") {
		return uri + query
	}
	authority, path, more := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		rest = fmt.Sprintf("(%d characters, not shown)%s", at, authority[at:])
		if more {
			rest += "/" + path
		}
	}
	return scheme + "//" + rest + query
}

// readCredentials shows the scheme, and what follows it by its length; a challenge's own
// words are no secret unless they are a token.
func readCredentials(value string, sent bool) (string, *Token) {
	scheme, rest, found := strings.Cut(strings.TrimSpace(value), " ")
	known := slices.ContainsFunc([]string{"NTLM", "Negotiate", "Basic", "Digest", "Bearer", "Kerberos"}, func(s string) bool { return strings.EqualFold(s, scheme) })
	if !known {
		return fmt.Sprintf("%d characters, not shown", len(value)), nil
	}
	if !found {
		return scheme, nil
	}
	rest = strings.TrimSpace(rest)
	if !strings.EqualFold(scheme, "NTLM") && !strings.EqualFold(scheme, "Negotiate") {
		if !sent && strings.EqualFold(scheme, "Basic") {
			return line(scheme + " " + rest), nil
		}
		return fmt.Sprintf("%s, %d characters, not shown", scheme, len(rest)), nil
	}
	raw, err := base64.StdEncoding.DecodeString(rest)
	if err != nil || len(rest) > maxToken {
		return fmt.Sprintf("%s, %d characters that are no base64, not shown", scheme, len(rest)), nil
	}
	return fmt.Sprintf("%s, a token of %d bytes", scheme, len(raw)), dissect(raw)
}

var mechanisms = map[string]string{
	"1.3.6.1.4.1.311.2.2.10": "NTLMSSP", "1.2.840.113554.1.2.2": "Kerberos 5", "1.2.840.48018.1.2.2": "MS Kerberos 5",
	"1.3.6.1.4.1.311.2.2.30": "NEGOEX", "1.2.840.113554.1.2.2.3": "Kerberos 5, user to user",
}

func mechanism(oid fmt.Stringer) string {
	if name, ok := mechanisms[oid.String()]; ok {
		return name + " (" + oid.String() + ")"
	}
	return oid.String()
}

var negStates = map[spnego.State]string{
	spnego.AcceptCompleted: "accept-completed", spnego.AcceptIncomplete: "accept-incomplete", spnego.Reject: "reject",
	spnego.RequestMIC: "request-mic",
}

// dissect takes a token of NTLM or of SPNEGO apart.
func dissect(b []byte) *Token {
	t := &Token{}
	add := func(name, value string) { t.Fields = append(t.Fields, ntlm.Field{Name: name, Value: value}) }
	switch {
	case spnego.IsInit(b):
		t.Title = "SPNEGO NegTokenInit"
		in, err := spnego.ParseInit(b)
		if err != nil {
			add("not readable", line(err.Error()))
			return t
		}
		for _, m := range in.Mechanisms {
			add("mechType", mechanism(m))
		}
		t.Inner = inner(in.Token)
	case spnego.IsResponse(b):
		t.Title = "SPNEGO NegTokenResp"
		in, err := spnego.ParseResponse(b)
		if err != nil {
			add("not readable", line(err.Error()))
			return t
		}
		if state, ok := negStates[in.State]; ok {
			add("negState", state)
		}
		if in.Mechanism != nil {
			add("supportedMech", mechanism(in.Mechanism))
		}
		if in.MIC != nil {
			add("mechListMIC", fmt.Sprintf("%d bytes, not shown", len(in.MIC)))
		}
		t.Inner = inner(in.Token)
	default:
		return inner(b)
	}
	return t
}

// inner is the mechanism's own token.
func inner(b []byte) *Token {
	if len(b) == 0 {
		return nil
	}
	title, fields, err := ntlm.Dissect(b)
	if err != nil {
		return &Token{Title: fmt.Sprintf("a token of %d bytes, which is none of NTLM, not shown", len(b))}
	}
	for i := range fields {
		fields[i].Value = line(fields[i].Value)
	}
	return &Token{Title: title, Fields: fields}
}
