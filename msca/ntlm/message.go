package ntlm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

// maxToken bounds each message, in bytes. Windows sends a few hundred, a long
// list of names and AV pairs stays under two thousand.
const maxToken = 16 << 10

const signature = "NTLMSSP\x00"

// MS-NLMP 2.2.2.5
const (
	flagUnicode                 = 0x00000001
	flagOEM                     = 0x00000002
	flagRequestTarget           = 0x00000004
	flagSign                    = 0x00000010
	flagSeal                    = 0x00000020
	flagNTLM                    = 0x00000200
	flagAlwaysSign              = 0x00008000
	flagTargetTypeDomain        = 0x00010000
	flagExtendedSessionSecurity = 0x00080000
	flagTargetInfo              = 0x00800000
	flagVersion                 = 0x02000000
	flag128                     = 0x20000000
	flagKeyExchange             = 0x40000000
	flag56                      = 0x80000000
)

// MS-NLMP 2.2.2.1
const (
	avEOL             = 0
	avNBComputerName  = 1
	avNBDomainName    = 2
	avDNSComputerName = 3
	avDNSDomainName   = 4
	avDNSTreeName     = 5
	avFlags           = 6
	avTimestamp       = 7
	avChannelBindings = 10
)

// avFlagMIC is the bit of avFlags by which a client says that its type 3
// message carries a message integrity code.
const avFlagMIC = 0x2

const (
	challengeHeader = 56 // up to and including Version
	type3Header     = 64 // up to and including NegotiateFlags: all that libcurl sends
	micOffset       = 72
	micSize         = 16
)

// avPair is one attribute of the target information.
type avPair struct {
	id    uint16
	value []byte
}

// messageType returns the type of an NTLM message.
func messageType(b []byte) (uint32, error) {
	if len(b) > maxToken {
		return 0, fmt.Errorf("%w: %d bytes, at most %d are read", ErrInvalidToken, len(b), maxToken)
	}
	if len(b) < 16 || string(b[:8]) != signature {
		return 0, fmt.Errorf("%w: no NTLMSSP signature", ErrInvalidToken)
	}
	return binary.LittleEndian.Uint32(b[8:]), nil
}

// negotiateFlags reads a type 1 message (MS-NLMP 2.2.1.1). The names it may carry
// are the client machine's and of no interest. Its end is not fixed: libcurl's
// stops after 32 bytes, others after 16 or 40 (docs/reference/windows-auth.md 4).
func negotiateFlags(b []byte) (uint32, error) {
	t, err := messageType(b)
	if err != nil {
		return 0, err
	}
	if t != 1 {
		return 0, fmt.Errorf("%w: message of type %d where type 1 is due", ErrInvalidToken, t)
	}
	return binary.LittleEndian.Uint32(b[12:]), nil
}

// authenticate is a type 3 message (MS-NLMP 2.2.1.3).
type authenticate struct {
	ntResponse   []byte
	domain, user string
	sessionKey   []byte // EncryptedRandomSessionKey
	flags        uint32
	mic          []byte // nil when the message has no room for one
}

func parseAuthenticate(b []byte) (*authenticate, error) {
	t, err := messageType(b)
	if err != nil {
		return nil, err
	}
	if t != 3 || len(b) < type3Header {
		return nil, fmt.Errorf("%w: no type 3 message", ErrInvalidToken)
	}
	m := &authenticate{flags: binary.LittleEndian.Uint32(b[60:])}
	payload := len(b)
	read := func(at int, what string) []byte {
		v, start, ferr := field(b, at)
		if ferr != nil && err == nil {
			err = fmt.Errorf("%w: %s lies outside the message", ErrInvalidToken, what)
		}
		if len(v) > 0 {
			payload = min(payload, start)
		}
		return v
	}
	read(12, "LM response")
	m.ntResponse = read(20, "NT response")
	domain := read(28, "domain")
	user := read(36, "user")
	read(44, "workstation")
	m.sessionKey = read(52, "session key")
	if err != nil {
		return nil, err
	}
	if m.domain, err = decodeName(domain, m.flags); err != nil {
		return nil, err
	}
	if m.user, err = decodeName(user, m.flags); err != nil {
		return nil, err
	}
	if payload >= micOffset+micSize { // which is len(b) at most
		m.mic = b[micOffset : micOffset+micSize]
	}
	return m, nil
}

// field reads the length and offset at b[at:] and returns what they point at.
func field(b []byte, at int) (value []byte, start int, err error) {
	n := int(binary.LittleEndian.Uint16(b[at:]))
	// 64 bits, since the sum of a length and a hostile offset overflows 32.
	off := uint64(binary.LittleEndian.Uint32(b[at+4:]))
	if n == 0 {
		return nil, 0, nil
	}
	if off+uint64(n) > uint64(len(b)) {
		return nil, 0, ErrInvalidToken
	}
	return b[off : off+uint64(n)], int(off), nil
}

// putField writes length, capacity and offset.
func putField(b []byte, at, length, offset int) {
	binary.LittleEndian.PutUint16(b[at:], uint16(length))
	binary.LittleEndian.PutUint16(b[at+2:], uint16(length))
	binary.LittleEndian.PutUint32(b[at+4:], uint32(offset))
}

// parseAVPairs reads target information up to its end mark; with an error it returns what
// is readable before.
func parseAVPairs(b []byte) (pairs []avPair, err error) {
	for len(b) >= 4 {
		id := binary.LittleEndian.Uint16(b)
		n := int(binary.LittleEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			break
		}
		value := b[4 : 4+n]
		b = b[4+n:]
		if id == avEOL {
			return pairs, nil
		}
		pairs = append(pairs, avPair{id, value})
	}
	return pairs, fmt.Errorf("%w: target information without an end", ErrInvalidToken)
}

func appendAVPairs(b []byte, pairs []avPair) []byte {
	for _, p := range append(pairs[:len(pairs):len(pairs)], avPair{id: avEOL}) {
		b = binary.LittleEndian.AppendUint16(b, p.id)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(p.value)))
		b = append(b, p.value...)
	}
	return b
}

func findAV(pairs []avPair, id uint16) (value []byte, ok bool) {
	for _, p := range pairs {
		if p.id == id {
			return p.value, true
		}
	}
	return nil, false
}

// encodeChallenge writes a type 2 message (MS-NLMP 2.2.1.2).
func encodeChallenge(flags uint32, challenge [8]byte, target string, info []avPair) []byte {
	name := encodeName(target, flags)
	ti := appendAVPairs(nil, info)
	b := make([]byte, challengeHeader, challengeHeader+len(name)+len(ti))
	copy(b, signature)
	binary.LittleEndian.PutUint32(b[8:], 2)
	putField(b, 12, len(name), challengeHeader)
	binary.LittleEndian.PutUint32(b[20:], flags)
	copy(b[24:], challenge[:])
	putField(b, 40, len(ti), challengeHeader+len(name))
	if flags&flagVersion != 0 {
		// Windows 10.0 build 17763 (Server 2019), NTLM revision 15.
		copy(b[48:], []byte{10, 0, 0x63, 0x45, 0, 0, 0, 15})
	}
	return append(append(b, name...), ti...)
}

func utf16le(s string) []byte {
	var b bytes.Buffer
	for _, u := range utf16.Encode([]rune(s)) {
		b.Write([]byte{byte(u), byte(u >> 8)})
	}
	return b.Bytes()
}

func encodeName(s string, flags uint32) []byte {
	if flags&flagUnicode != 0 {
		return utf16le(s)
	}
	return []byte(s)
}

// decodeName reads a name as flags say. An OEM name is widened byte by byte,
// since that is what libcurl hashes.
func decodeName(b []byte, flags uint32) (string, error) {
	units := make([]uint16, 0, len(b))
	if flags&flagUnicode == 0 {
		for _, c := range b {
			units = append(units, uint16(c))
		}
		return string(utf16.Decode(units)), nil
	}
	if len(b)%2 != 0 {
		return "", fmt.Errorf("%w: a Unicode name of odd length", ErrInvalidToken)
	}
	for i := 0; i < len(b); i += 2 {
		units = append(units, binary.LittleEndian.Uint16(b[i:]))
	}
	return string(utf16.Decode(units)), nil
}
