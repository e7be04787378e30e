package ntlm

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Field is one field of a message, by its name in MS-NLMP. Of what would help to guess
// a password (the responses), or is a key, Value tells the length alone.
type Field struct{ Name, Value string }

// Dissect takes a message apart, field by field, for people: each of the three types,
// with what a message that is cut or bent still has.
func Dissect(b []byte) (title string, fields []Field, err error) {
	t, err := messageType(b)
	if err != nil {
		return "", nil, err
	}
	d := dissection{b: b}
	switch t {
	case 1:
		d.negotiate()
		return "NEGOTIATE_MESSAGE (type 1)", d.fields, nil
	case 2:
		d.challenge()
		return "CHALLENGE_MESSAGE (type 2)", d.fields, nil
	case 3:
		d.authenticate()
		return "AUTHENTICATE_MESSAGE (type 3)", d.fields, nil
	}
	return "", nil, fmt.Errorf("%w: there is no message of type %d", ErrInvalidToken, t)
}

type dissection struct {
	b      []byte
	fields []Field
}

func (d *dissection) add(name, value string) { d.fields = append(d.fields, Field{name, value}) }

// number reads the four bytes at a place; ok is false where the message ends before.
func (d *dissection) number(at int) (n uint32, ok bool) {
	if len(d.b) < at+4 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(d.b[at:]), true
}

func (d *dissection) flags(at int) (flags uint32) {
	flags, ok := d.number(at)
	if ok {
		d.add("NegotiateFlags", flagNames(flags))
	}
	return flags
}

// payload returns what a length and an offset point at, and says where that is nothing
// or outside.
func (d *dissection) payload(at int, name string) (value []byte, ok bool) {
	if len(d.b) < at+8 {
		return nil, false
	}
	value, _, err := field(d.b, at)
	switch {
	case err != nil:
		d.add(name, "lies outside the message")
	case len(value) == 0:
		d.add(name, "empty")
	default:
		return value, true
	}
	return nil, false
}

func (d *dissection) name(at int, name string, flags uint32) {
	if value, ok := d.payload(at, name); ok {
		text, err := decodeName(value, flags)
		if err != nil {
			text = "not UTF-16"
		}
		d.add(name, text)
	}
}

func (d *dissection) secret(at int, name string) {
	if value, ok := d.payload(at, name); ok {
		d.add(name, withheld(len(value)))
	}
}

func withheld(n int) string { return fmt.Sprintf("%d bytes, not shown", n) }

func (d *dissection) version(at int, flags uint32) {
	if flags&flagVersion == 0 || len(d.b) < at+8 {
		return
	}
	v := d.b[at:]
	d.add("Version", fmt.Sprintf("%d.%d, build %d, NTLM revision %d", v[0], v[1], binary.LittleEndian.Uint16(v[2:]), v[7]))
}

// negotiate is MS-NLMP 2.2.1.1. Its names are OEM ones, whatever the flags say.
func (d *dissection) negotiate() {
	flags := d.flags(12)
	d.name(16, "DomainName", 0)
	d.name(24, "Workstation", 0)
	d.version(32, flags)
}

// challenge is MS-NLMP 2.2.1.2.
func (d *dissection) challenge() {
	flags, _ := d.number(20)
	d.name(12, "TargetName", flags)
	d.flags(20)
	if len(d.b) >= 32 {
		d.add("ServerChallenge", "8 bytes, not shown")
	}
	if info, ok := d.payload(40, "TargetInfo"); ok {
		d.avPairs("TargetInfo", info)
	}
	d.version(48, flags)
}

// authenticate is MS-NLMP 2.2.1.3.
func (d *dissection) authenticate() {
	flags, _ := d.number(60)
	d.secret(12, "LmChallengeResponse")
	if response, ok := d.payload(20, "NtChallengeResponse"); ok {
		d.ntResponse(response)
	}
	d.name(28, "DomainName", flags)
	d.name(36, "UserName", flags)
	d.name(44, "Workstation", flags)
	d.secret(52, "EncryptedRandomSessionKey")
	d.flags(60)
	d.version(64, flags)
	if m, err := parseAuthenticate(d.b); err == nil && m.mic != nil {
		d.add("MIC", withheld(len(m.mic)))
	}
}

// ntResponse is MS-NLMP 2.2.2.8: what of an NTLMv2 response is no secret.
func (d *dissection) ntResponse(b []byte) {
	const (
		oldLength = 24 // of NTLMv1's
		proof     = 16
		header    = 28 // of NTLMv2_CLIENT_CHALLENGE, up to its AV pairs
	)
	if len(b) <= oldLength || len(b) < proof+header {
		d.add("NtChallengeResponse", withheld(len(b))+" (NTLMv1, or too short for NTLMv2)")
		return
	}
	d.add("NtChallengeResponse", withheld(len(b))+" (NTLMv2)")
	client := b[proof:]
	d.add("NTLMv2 TimeStamp", fileTime(client[8:16]))
	d.avPairs("NTLMv2", client[header:])
}

func (d *dissection) avPairs(of string, b []byte) {
	pairs, err := parseAVPairs(b)
	for _, p := range pairs {
		d.add(of+" "+avName(p.id), avValue(p))
	}
	if err != nil {
		d.add(of, "has no end")
	}
}

var avNames = map[uint16]string{
	avNBComputerName: "MsvAvNbComputerName", avNBDomainName: "MsvAvNbDomainName", avDNSComputerName: "MsvAvDnsComputerName",
	avDNSDomainName: "MsvAvDnsDomainName", avDNSTreeName: "MsvAvDnsTreeName", avFlags: "MsvAvFlags", avTimestamp: "MsvAvTimestamp",
	8: "MsvAvSingleHost", 9: "MsvAvTargetName", avChannelBindings: "MsvAvChannelBindings",
}

func avName(id uint16) string {
	if name, ok := avNames[id]; ok {
		return name
	}
	return fmt.Sprintf("AV pair %d", id)
}

func avValue(p avPair) string {
	switch {
	case p.id == avTimestamp && len(p.value) == 8:
		return fileTime(p.value)
	case p.id == avFlags && len(p.value) == 4:
		flags := binary.LittleEndian.Uint32(p.value)
		text := fmt.Sprintf("0x%08x", flags)
		if flags&avFlagMIC != 0 {
			text += " (the message has a MIC)"
		}
		return text
	case p.id == avChannelBindings:
		if slices.Max(append(slices.Clone(p.value), 0)) == 0 {
			return "none"
		}
		return hex.EncodeToString(p.value)
	case p.id == 8:
		return withheld(len(p.value))
	}
	text, err := decodeName(p.value, flagUnicode)
	if err != nil {
		return "not UTF-16"
	}
	return text
}

// fileTime is a Windows FILETIME: 100 ns since 1601.
func fileTime(b []byte) string {
	const to1970 = 116444736000000000
	n := binary.LittleEndian.Uint64(b)
	if n < to1970 || n > to1970+1<<62 {
		return fmt.Sprintf("%d", n)
	}
	n -= to1970
	return time.Unix(int64(n/1e7), int64(n%1e7)*100).UTC().Format("2006-01-02 15:04:05.000 UTC")
}

// allFlags are the names of MS-NLMP 2.2.2.5, without their prefix.
var allFlags = []struct {
	bit  uint32
	name string
}{
	{flagUnicode, "UNICODE"},
	{flagOEM, "OEM"},
	{flagRequestTarget, "REQUEST_TARGET"},
	{flagSign, "SIGN"},
	{flagSeal, "SEAL"},
	{0x40, "DATAGRAM"},
	{0x80, "LM_KEY"},
	{flagNTLM, "NTLM"},
	{0x800, "ANONYMOUS"},
	{0x1000, "OEM_DOMAIN_SUPPLIED"},
	{0x2000, "OEM_WORKSTATION_SUPPLIED"},
	{flagAlwaysSign, "ALWAYS_SIGN"},
	{flagTargetTypeDomain, "TARGET_TYPE_DOMAIN"},
	{0x20000, "TARGET_TYPE_SERVER"},
	{flagExtendedSessionSecurity, "EXTENDED_SESSIONSECURITY"},
	{0x100000, "IDENTIFY"},
	{0x400000, "NON_NT_SESSION_KEY"},
	{flagTargetInfo, "TARGET_INFO"},
	{flagVersion, "VERSION"},
	{flag128, "128"},
	{flagKeyExchange, "KEY_EXCH"},
	{flag56, "56"},
}

func flagNames(flags uint32) string {
	var names []string
	for _, f := range allFlags {
		if flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return fmt.Sprintf("0x%08x %s", flags, strings.Join(names, ", "))
}
