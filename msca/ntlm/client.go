package ntlm

import (
	"errors"
	"fmt"
	"strings"

	ntlmssp "github.com/Azure/go-ntlmssp"
)

// ParseUser splits a user name as a person types it: DOM\user gives both parts;
// user@dom (a UPN) and a bare name give domain "" and the name as it is.
func ParseUser(s string) (domain, user string) {
	if d, u, ok := strings.Cut(s, `\`); ok {
		return d, u
	}
	return "", s
}

// NegotiateMessage returns a type 1 message. It asks for the server's target
// information (REQUEST_TARGET), without which some servers send none and a
// channel binding would have no place.
func NegotiateMessage() []byte {
	m, err := ntlmssp.NewNegotiateMessage("", "")
	if err != nil {
		panic("ntlm: negotiate message: " + err.Error()) // it depends on no input
	}
	m[12] |= flagRequestTarget
	return m
}

// AuthenticateMessage returns the type 3 message that answers challenge, a type 2
// message, with an NTLMv2 response. user is what was typed (see [ParseUser]);
// binding is the [ChannelBinding] of the server's certificate, 16 bytes, or nil to
// send none. Errors: ErrInvalidToken when challenge is no type 2 message, and when
// it asks for something older than NTLMv2; ErrFIPS.
func AuthenticateMessage(challenge []byte, user, password string, binding []byte) ([]byte, error) {
	if err := available(); err != nil {
		return nil, err
	}
	if user == "" {
		return nil, errors.New("ntlm: user name is empty")
	}
	if t, err := messageType(challenge); err != nil {
		return nil, err
	} else if t != 2 {
		return nil, fmt.Errorf("%w: message of type %d where the challenge is due", ErrInvalidToken, t)
	}
	if binding != nil {
		bound, err := bindChallenge(challenge, binding)
		if err != nil {
			return nil, err
		}
		challenge = bound
	}
	m, err := ntlmssp.NewAuthenticateMessage(challenge, user, password, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	return m, nil
}
