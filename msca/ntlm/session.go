package ntlm

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
)

// session is the key that both ends of a log-in have in the end, and what they agreed
// on about it. It signs one message a side, the first: SPNEGO needs no more.
type session struct {
	key   []byte // ExportedSessionKey
	flags uint32 // of the type 3 message
}

// side is who signs, by the words that MS-NLMP 3.4.5.2 and 3.4.5.3 make its keys of.
type side struct{ signing, sealing string }

var (
	clientSide = side{
		"session key to client-to-server signing key magic constant\x00",
		"session key to client-to-server sealing key magic constant\x00",
	}
	serverSide = side{
		"session key to server-to-client signing key magic constant\x00",
		"session key to server-to-client sealing key magic constant\x00",
	}
)

// signature is the MAC of a side's first message (MS-NLMP 3.4.4.2), nil where signing
// was not agreed on, or in the manner of NTLMv1 alone.
func (s *session) signature(by side, message []byte) []byte {
	const number = "\x00\x00\x00\x00" // of the first message
	if s == nil || s.flags&flagSign == 0 || s.flags&flagExtendedSessionSecurity == 0 {
		return nil
	}
	signing := md5.Sum(append(append([]byte{}, s.key...), by.signing...))
	sum := mac(signing[:], []byte(number), message)[:8]
	if s.flags&flagKeyExchange != 0 {
		sealing := md5.Sum(append(append([]byte{}, s.weakened()...), by.sealing...))
		c, err := rc4.NewCipher(sealing[:])
		if err != nil {
			return nil // not reached: 16 bytes are a valid RC4 key
		}
		c.XORKeyStream(sum, sum)
	}
	return append(append(binary.LittleEndian.AppendUint32(nil, 1), sum...), number...)
}

// signed tells whether mac is the signature of that side; false where there is none.
func (s *session) signed(by side, message, mac []byte) bool {
	want := s.signature(by, message)
	return want != nil && hmac.Equal(want, mac)
}

// weakened is the part of the key that sealing may use (MS-NLMP 3.4.5.3).
func (s *session) weakened() []byte {
	switch {
	case s.flags&flag128 != 0:
		return s.key
	case s.flags&flag56 != 0:
		return s.key[:7]
	}
	return s.key[:5]
}

// sessionOf is the client's, which knows the password that its type 3 message proves.
func sessionOf(authenticate []byte, password string) (*session, error) {
	m, err := parseAuthenticate(authenticate)
	if err != nil {
		return nil, err
	}
	if len(m.ntResponse) < minResponse {
		return nil, ErrInvalidToken
	}
	key := responseKey(NTHash(password), m.user, m.domain)
	return &session{exportedSessionKey(key, m.ntResponse[:proofSize], m.flags, m.sessionKey), m.flags}, nil
}
