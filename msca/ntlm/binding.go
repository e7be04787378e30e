package ntlm

import (
	"bytes"
	"crypto"
	"crypto/md5"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"

	_ "crypto/sha256" // the hashes of RFC 5929 must be linked in
	_ "crypto/sha512"
)

// Binding is what an acceptor asks of the client's channel binding: IIS's
// tokenChecking under Extended Protection (docs/reference/certsrv.md 1.2).
type Binding int

// The settings of Extended Protection.
const (
	BindingNone    Binding = iota // not looked at
	BindingAccept                 // may be absent; a wrong one, also one of zeros, is refused
	BindingRequire                // must be there and right
)

// String returns IIS's word: None, Allow or Require.
func (b Binding) String() string {
	switch b {
	case BindingNone:
		return "None"
	case BindingAccept:
		return "Allow"
	case BindingRequire:
		return "Require"
	}
	return fmt.Sprintf("Binding(%d)", int(b))
}

// ChannelBinding returns the 16-byte token that binds a log-in to the TLS server
// whose certificate is leaf: the MD5 over a gss_channel_bindings_struct of type
// tls-server-end-point (RFC 5929 §4.1, MS-NLMP 2.2.2.1). It returns nil where
// FIPS 140 is enforced.
func ChannelBinding(leaf *x509.Certificate) []byte {
	if available() != nil {
		return nil
	}
	h := endPointHash(leaf.SignatureAlgorithm).New()
	h.Write(leaf.Raw)
	data := h.Sum([]byte("tls-server-end-point:"))
	token := md5.New()
	token.Write(make([]byte, 16)) // no initiator or acceptor address
	token.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(data))))
	token.Write(data)
	return token.Sum(nil)
}

// endPointHash is the hash of the certificate's signature, and SHA-256 where that
// is MD5, SHA-1 or none of its own (RFC 5929 §4.1).
func endPointHash(alg x509.SignatureAlgorithm) crypto.Hash {
	switch alg {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		return crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		return crypto.SHA512
	default:
		return crypto.SHA256
	}
}

// bindChallenge returns a copy of a received type 2 message whose target
// information carries binding. The client's response copies that information into
// what it signs, and so the token gets there (docs/reference/windows-auth.md 3).
func bindChallenge(challenge, binding []byte) ([]byte, error) {
	if len(binding) != md5.Size {
		return nil, fmt.Errorf("ntlm: channel binding of %d bytes, want %d", len(binding), md5.Size)
	}
	t, err := messageType(challenge)
	if err != nil {
		return nil, err
	}
	if t != 2 || len(challenge) < 48 {
		return nil, fmt.Errorf("%w: no type 2 message", ErrInvalidToken)
	}
	info, _, err := field(challenge, 40)
	if err != nil {
		return nil, fmt.Errorf("%w: target information lies outside the message", ErrInvalidToken)
	}
	var pairs []avPair
	if len(info) > 0 {
		if pairs, err = parseAVPairs(info); err != nil {
			return nil, err
		}
	}
	pairs = slices.DeleteFunc(pairs, func(p avPair) bool { return p.id == avChannelBindings })
	bound := appendAVPairs(bytes.Clone(challenge), append(pairs, avPair{avChannelBindings, binding}))
	// At the end, where no other field can overlap it.
	putField(bound, 40, len(bound)-len(challenge), len(challenge))
	flags := binary.LittleEndian.Uint32(bound[20:])
	binary.LittleEndian.PutUint32(bound[20:], flags|flagTargetInfo)
	return bound, nil
}
