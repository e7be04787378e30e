// Package ntlm is NTLMv2 over one HTTP connection, both ends: the messages a
// client sends to IIS, and an acceptor that really verifies them for the
// built-in Microsoft CA.
//
// Only NTLMv2 is spoken. The client never produces anything older, the acceptor
// refuses it ([ErrNTLMv1]). Extended Protection (channel binding to the TLS
// server certificate) is supported both ways.
//
// Over Negotiate the messages come in SPNEGO ([Exchange.Negotiate], [NegotiateInit]).
//
// The package knows messages, not HTTP: who puts a token into which header, and
// that all of them travel on one connection, is the caller's part.
//
// The rules come from MS-NLMP; what real peers do, and where they differ, is in
// docs/reference/windows-auth.md.
//
// NTLM is made of MD4, MD5 and RC4. Where Go enforces FIPS 140 only
// (GODEBUG=fips140=only) those would panic: the functions of this package that
// can return an error return [ErrFIPS] instead.
package ntlm

import (
	"crypto/fips140"
	"errors"
	"fmt"
)

// What a message can be refused for. The HTTP side turns each into IIS's
// sub-status (docs/reference/certsrv.md 1.1).
var (
	// ErrLogonDenied says that the account is unknown or the password is
	// wrong: which of the two is not told (SEC_E_LOGON_DENIED).
	ErrLogonDenied = errors.New("ntlm: logon denied")

	// ErrBadBindings says that the password is right and the channel binding
	// is not: absent though required, or that of another certificate
	// (SEC_E_BAD_BINDINGS).
	ErrBadBindings = errors.New("ntlm: channel binding absent or of another connection")

	// ErrInvalidToken says that the bytes are no NTLM message, or not the one
	// whose turn it is (SEC_E_INVALID_TOKEN).
	ErrInvalidToken = errors.New("ntlm: invalid token")

	// ErrNTLMv1 says that the client answered with NTLMv1. It wraps
	// [ErrLogonDenied].
	ErrNTLMv1 = fmt.Errorf("%w: NTLMv1 is refused, the client must answer with NTLMv2", ErrLogonDenied)

	// ErrFIPS says that this process may not use the algorithms of NTLM.
	ErrFIPS = errors.New("ntlm: not possible where FIPS 140 is enforced (GODEBUG=fips140=only), since NTLM is made of MD4 and MD5: use fips140=on, or Basic authentication")
)

func available() error {
	if fips140.Enforced() {
		return ErrFIPS
	}
	return nil
}
