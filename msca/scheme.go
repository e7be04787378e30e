package msca

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"ciscora/msca/ntlm"
)

// authScheme is an authentication by its name in the headers.
type authScheme string

const (
	schemeNTLM      authScheme = "NTLM"
	schemeNegotiate authScheme = "Negotiate" // NTLM in SPNEGO
	schemeBasic     authScheme = "Basic"
)

func schemeNamed(s string) (authScheme, error) {
	switch s {
	case "", "ntlm":
		return schemeNTLM, nil
	case "negotiate":
		return schemeNegotiate, nil
	case "basic":
		return schemeBasic, nil
	}
	return "", fmt.Errorf("msca: authentication %q: want ntlm, negotiate or basic", s)
}

// opening is the Authorization of the first request. Basic asks without one at
// first: whether the CA demands a log-in at all must be seen.
func (s authScheme) opening() string {
	switch s {
	case schemeBasic:
		return ""
	case schemeNegotiate:
		return s.header(ntlm.NegotiateInit())
	}
	return s.header(ntlm.NegotiateMessage())
}

// standing is the Authorization of every request on a connection that is logged in:
// Basic's alone, NTLM's log-in is the connection's.
func (s authScheme) standing(cred Credentials) string {
	if s != schemeBasic || cred.User == "" {
		return ""
	}
	return s.header([]byte(cred.User + ":" + cred.Password))
}

func (s authScheme) header(token []byte) string {
	return string(s) + " " + base64.StdEncoding.EncodeToString(token)
}

// challenge finds what the CA answered to the opening. Another scheme is never
// taken instead.
func (s authScheme) challenge(h http.Header) ([]byte, error) {
	var offered []string
	for _, v := range challenges(h) {
		name, rest, _ := strings.Cut(v, " ")
		if !strings.EqualFold(name, string(s)) {
			offered = append(offered, printableName(name))
			continue
		}
		if s == schemeBasic {
			return nil, nil
		}
		if rest == "" {
			return nil, fmt.Errorf("the CA offers %s but answers its message with no challenge", s)
		}
		token, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
		if err != nil {
			return nil, fmt.Errorf("the CA's %s challenge is not base64", s)
		}
		return token, nil
	}
	if len(offered) == 0 {
		return nil, fmt.Errorf("the CA does not offer %s, nor anything else", s)
	}
	return nil, fmt.Errorf("the CA does not offer %s, only %s", s, strings.Join(offered, ", "))
}

// challenges are those of all headers, of which one may have several (RFC 9110 §11.6.1).
// What stands behind a comma and begins with name=value belongs to the one before.
func challenges(h http.Header) (all []string) {
	for _, v := range h.Values("WWW-Authenticate") {
		for _, part := range strings.Split(v, ",") {
			part = strings.TrimSpace(part)
			if word, _, _ := strings.Cut(part, " "); part != "" && !strings.Contains(word, "=") {
				all = append(all, part)
			}
		}
	}
	return all
}

// answer is the Authorization that carries the credentials.
func (s authScheme) answer(challenge []byte, cred Credentials, binding []byte) (string, error) {
	if s != schemeBasic {
		answer := ntlm.AuthenticateMessage
		if s == schemeNegotiate {
			answer = ntlm.NegotiateAnswer
		}
		token, err := answer(challenge, cred.User, cred.Password, binding)
		if err != nil {
			return "", err
		}
		return s.header(token), nil
	}
	if strings.Contains(cred.User, ":") {
		return "", errors.New("a user name with a colon cannot be sent by Basic (RFC 7617 §2)")
	}
	return s.standing(cred), nil
}

func printableName(s string) string {
	if len(s) > 32 || !printableASCII(s) {
		return "something unreadable"
	}
	return s
}
