package ntlm_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"ciscora/msca/ntlm"
)

// libcurl's type 1 message, byte for byte (docs/reference/windows-auth.md 4).
const curlNegotiate = "NTLMSSP\x00\x01\x00\x00\x00\x06\x82\x08\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// peer is a client written from MS-NLMP for these tests, since the product's own
// speaks neither OEM nor MIC.
type peer struct {
	domain, user, password string
	oem                    bool // names in one byte a character, no Version: libcurl
	mic, keyExchange       bool // as Windows and pyspnego
	spoilMIC               bool
	announceMICOnly        bool // the flag without the code
	binding                []byte
	v1                     bool // 24 bytes of NT response
	blobVersion            byte // 0 = 1
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func hmacMD5(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func (p peer) negotiate() []byte {
	if p.oem {
		return []byte(curlNegotiate)
	}
	m := ntlm.NegotiateMessage()
	if p.keyExchange {
		m[15] |= 0x40
	}
	return m
}

// authenticate answers challenge, which p.negotiate() had led to.
func (p peer) authenticate(challenge []byte) []byte {
	flags := binary.LittleEndian.Uint32(challenge[20:])
	infoAt := binary.LittleEndian.Uint32(challenge[44:])
	infoLen := uint32(binary.LittleEndian.Uint16(challenge[40:]))
	info := challenge[infoAt : infoAt+infoLen-4] // without the end mark
	info = append([]byte{}, info...)
	if p.mic || p.announceMICOnly {
		info = append(info, 6, 0, 4, 0, 2, 0, 0, 0)
	}
	if p.binding != nil {
		info = append(append(info, 10, 0, 16, 0), p.binding...)
	}
	info = append(info, 0, 0, 0, 0)

	version := byte(1)
	if p.blobVersion != 0 {
		version = p.blobVersion
	}
	blob := append([]byte{version, 1, 0, 0, 0, 0, 0, 0}, make([]byte, 8)...)
	blob = append(blob, "clientch"...)
	blob = append(blob, 0, 0, 0, 0)
	blob = append(blob, info...)
	blob = append(blob, 0, 0, 0, 0)

	hash := ntlm.NTHash(p.password)
	key := hmacMD5(hash[:], utf16le(strings.ToUpper(p.user)+p.domain))
	proof := hmacMD5(key, challenge[24:32], blob)
	nt := append(append([]byte{}, proof...), blob...)
	if p.v1 {
		nt = nt[:24]
	}
	session := hmacMD5(key, proof)
	exported, encrypted := session, []byte(nil)
	if p.keyExchange {
		exported, encrypted = []byte("0123456789abcdef"), make([]byte, 16)
		c, err := rc4.NewCipher(session)
		if err != nil {
			panic(err)
		}
		c.XORKeyStream(encrypted, exported)
	}

	name := utf16le
	header := 88
	if p.oem {
		name, header = func(s string) []byte { return []byte(s) }, 64
	}
	m := make([]byte, header)
	copy(m, "NTLMSSP\x00\x03")
	for _, f := range []struct {
		at    int
		value []byte
	}{{12, make([]byte, 24)}, {20, nt}, {28, name(p.domain)}, {36, name(p.user)}, {44, name("WORKSTATION")}, {52, encrypted}} {
		binary.LittleEndian.PutUint16(m[f.at:], uint16(len(f.value)))
		binary.LittleEndian.PutUint16(m[f.at+2:], uint16(len(f.value)))
		binary.LittleEndian.PutUint32(m[f.at+4:], uint32(len(m)))
		m = append(m, f.value...)
	}
	binary.LittleEndian.PutUint32(m[60:], flags)
	if p.mic {
		code := hmacMD5(exported, p.negotiate(), challenge, m)
		copy(m[72:88], code)
		if p.spoilMIC {
			m[72] ^= 1
		}
	}
	return m
}

func TestAcceptorAgainstOtherClients(t *testing.T) {
	good := peer{domain: "LAB", user: "ciscora", password: password}
	for _, c := range []struct {
		name string
		peer func(peer) peer
		mic  bool
		want error
	}{
		{"libcurl, with its 32-byte OEM type 1", func(p peer) peer { p.oem = true; return p }, false, nil},
		{"libcurl with a lower-case domain", func(p peer) peer { p.oem = true; p.domain = "lab"; return p }, false, nil},
		{"libcurl with a wrong password", func(p peer) peer { p.oem = true; p.password = "x"; return p }, false, ntlm.ErrLogonDenied},
		{"a Unicode client without MIC", func(p peer) peer { return p }, false, nil},
		{"a MIC under the session key", func(p peer) peer { p.mic = true; return p }, true, nil},
		{"a MIC under an exchanged key", func(p peer) peer { p.mic, p.keyExchange = true, true; return p }, true, nil},
		{"a wrong MIC", func(p peer) peer { p.mic, p.spoilMIC = true, true; return p }, false, ntlm.ErrLogonDenied},
		{"a MIC announced but left out", func(p peer) peer { p.announceMICOnly = true; return p }, false, ntlm.ErrLogonDenied},
		{"NTLMv1", func(p peer) peer { p.v1 = true; return p }, false, ntlm.ErrNTLMv1},
		{"NTLMv1 is a denied log-on too", func(p peer) peer { p.v1 = true; return p }, false, ntlm.ErrLogonDenied},
		{"a response of another version", func(p peer) peer { p.blobVersion = 2; return p }, false, ntlm.ErrInvalidToken},
		{"nobody by name", func(p peer) peer { p.user = ""; return p }, false, ntlm.ErrLogonDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := c.peer(good)
			x := acceptor(ntlm.BindingNone).NewExchange(nil)
			challenge, _, err := x.Accept(p.negotiate())
			if err != nil {
				t.Fatal(err)
			}
			_, who, err := x.Accept(p.authenticate(challenge))
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if err == nil && who.MIC != c.mic {
				t.Errorf("MIC = %v, want %v", who.MIC, c.mic)
			}
		})
	}
}

func TestAMICProtectsTheNegotiation(t *testing.T) {
	p := peer{domain: "LAB", user: "ciscora", password: password, mic: true}
	x := acceptor(ntlm.BindingNone).NewExchange(nil)
	downgraded := p.negotiate()
	downgraded[15] &^= 0x20 // somebody between took 128-bit keys out
	challenge, _, err := x.Accept(downgraded)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Accept(p.authenticate(challenge)); !errors.Is(err, ntlm.ErrLogonDenied) {
		t.Errorf("a changed type 1 message passed: %v", err)
	}
}

func TestAcceptorRefusesWhatIsNoMessage(t *testing.T) {
	type3 := peer{domain: "LAB", user: "ciscora", password: password}
	for _, c := range []struct {
		name   string
		mangle func([]byte) []byte
	}{
		{"an empty token", func([]byte) []byte { return nil }},
		{"a Kerberos token", func([]byte) []byte { return []byte{0x60, 0x82, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} }},
		{"a truncated header", func(b []byte) []byte { return b[:60] }},
		{"a truncated payload", func(b []byte) []byte { return b[:len(b)-1] }},
		{"a field beyond the end", func(b []byte) []byte { binary.LittleEndian.PutUint32(b[24:], 60000); return b }},
		{"an offset that overflows 32 bits", func(b []byte) []byte { binary.LittleEndian.PutUint32(b[24:], 0xffffffff); return b }},
		{"a Unicode name of odd length", func(b []byte) []byte { b[36]--; return b }},
		{"a type 2 message", func(b []byte) []byte { b[8] = 2; return b }},
		{"a message over the limit", func(b []byte) []byte { return append(b, make([]byte, 17<<10)...) }},
		{"target information without an end", func(b []byte) []byte { b[20] -= 8; return b }},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := acceptor(ntlm.BindingNone).NewExchange(nil)
			challenge, _, err := x.Accept(type3.negotiate())
			if err != nil {
				t.Fatal(err)
			}
			if _, who, err := x.Accept(c.mangle(type3.authenticate(challenge))); !errors.Is(err, ntlm.ErrInvalidToken) || who != nil {
				t.Errorf("identity %v, error %v", who, err)
			}
		})
	}
	t.Run("a type 1 message without any character set", func(t *testing.T) {
		m := ntlm.NegotiateMessage()
		m[12] &^= 3
		if _, _, err := acceptor(ntlm.BindingNone).NewExchange(nil).Accept(m); !errors.Is(err, ntlm.ErrInvalidToken) {
			t.Error(err)
		}
	})
}

func TestAnUnknownUserIsDeniedEvenWithTheHashOfZeros(t *testing.T) {
	a := acceptor(ntlm.BindingNone)
	asked := 0
	a.Lookup = func(_, _ string) (ntlm.Account, bool) {
		asked++
		return ntlm.Account{NTHash: ntlm.NTHash(password)}, false // found, but not allowed
	}
	if _, err := logIn(t, a.NewExchange(nil), "ciscora", password, nil); !errors.Is(err, ntlm.ErrLogonDenied) {
		t.Error(err)
	}
	if asked != 1 {
		t.Errorf("looked up %d times", asked)
	}
}
