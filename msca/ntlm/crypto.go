package ntlm

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"strings"
	"time"

	"golang.org/x/crypto/md4" //nolint:staticcheck // the NT hash is MD4 (MS-NLMP 3.3.1)
)

// NTHash returns the hash under which Windows keeps a password: MD4 over its
// UTF-16 form (NTOWFv1, MS-NLMP 3.3.1). It is as good as the password itself and
// must be kept as one.
func NTHash(password string) [16]byte {
	h := md4.New()
	h.Write(utf16le(password))
	return [16]byte(h.Sum(nil))
}

// responseKey is NTOWFv2 (MS-NLMP 3.3.2): the user in upper case, the domain
// exactly as the client sent it.
func responseKey(ntHash [16]byte, user, domain string) []byte {
	return mac(ntHash[:], utf16le(strings.ToUpper(user)+domain))
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// exportedSessionKey derives the key of the MIC from the NTLMv2 response key and
// proof; with key exchange the client chose it and sent it under RC4 (MS-NLMP 3.1.5.1.2).
func exportedSessionKey(key, proof []byte, flags uint32, encrypted []byte) []byte {
	session := mac(key, proof)
	if flags&flagKeyExchange == 0 || len(encrypted) != len(session) {
		return session
	}
	c, err := rc4.NewCipher(session)
	if err != nil {
		return session // not reached: 16 bytes are a valid RC4 key
	}
	out := make([]byte, len(encrypted))
	c.XORKeyStream(out, encrypted)
	return out
}

// filetime is the number of 100 ns steps since 1601.
func filetime(t time.Time) []byte {
	const unixEpoch = 116444736000000000
	return binary.LittleEndian.AppendUint64(nil, uint64(t.Unix()*1e7+int64(t.Nanosecond()/100)+unixEpoch))
}
