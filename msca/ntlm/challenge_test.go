package ntlm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"ciscora/msca/ntlm"
)

const (
	offerUnicode = 0x00000001
	offerOEM     = 0x00000002
	offerTarget  = 0x00000004
	offerNTLM    = 0x00000200
	offerVersion = 0x02000000

	answerTargetDomain = 0x00010000
	answerTargetInfo   = 0x00800000
)

func offer(flags uint32, size int) []byte {
	m := make([]byte, size)
	copy(m, "NTLMSSP\x00\x01")
	if size >= 16 {
		binary.LittleEndian.PutUint32(m[12:], flags)
	}
	return m
}

func wide(s string) []byte {
	var b []byte
	for _, c := range []byte(s) {
		b = append(b, c, 0)
	}
	return b
}

// MS-NLMP 2.2.1.2, 2.2.2.1, 2.2.2.10: what the acceptor says, byte for byte.
func TestAChallengeIsThatOfMSNLMP(t *testing.T) {
	pair := func(id byte, value []byte) []byte { return append([]byte{id, 0, byte(len(value)), 0}, value...) }
	info := slices.Concat(
		pair(2, wide("LAB")), pair(1, wide("LAB-DC")), pair(4, wide("lab.test")), pair(5, wide("lab.test")), // no DNS name of the computer
		pair(7, binary.LittleEndian.AppendUint64(nil, 134397360001234567)), // 2026-11-21 12:00:00.1234567 in steps of 100 ns since 1601
		pair(0, nil))
	challenge := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	for name, c := range map[string]struct {
		offer, flags uint32
		target       []byte
		version      []byte
	}{
		"Unicode, the target asked for, a version": {
			offerUnicode | offerTarget | offerNTLM | offerVersion,
			offerUnicode | offerTarget | offerNTLM | offerVersion | answerTargetDomain | answerTargetInfo, wide("LAB"),
			[]byte{10, 0, 0x63, 0x45, 0, 0, 0, 15},
		},
		"OEM, as libcurl": {offerOEM | offerTarget | offerNTLM, offerOEM | offerTarget | offerNTLM | answerTargetDomain | answerTargetInfo, []byte("LAB"), make([]byte, 8)},
		"no target":       {offerUnicode | offerNTLM, offerUnicode | offerNTLM | answerTargetInfo, nil, make([]byte, 8)},
	} {
		a := &ntlm.Acceptor{
			Domain: "LAB", Computer: "LAB-DC", DNSDomain: "lab.test", Rand: bytes.NewReader(challenge),
			Now: func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC) },
		}
		got, _, err := a.NewExchange(nil).Accept(offer(c.offer, 32))
		if err != nil {
			t.Fatal(err)
		}
		field := func(length, offset int) []byte {
			return []byte{byte(length), 0, byte(length), 0, byte(offset), 0, 0, 0}
		}
		want := slices.Concat([]byte("NTLMSSP\x00\x02\x00\x00\x00"), field(len(c.target), 56), binary.LittleEndian.AppendUint32(nil, c.flags),
			challenge, make([]byte, 8), field(len(info), 56+len(c.target)), c.version, c.target, info)
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%x, want\n%x", name, got, want)
		}
	}
}

func TestHowLongAMessageMayBe(t *testing.T) {
	const most = 16 << 10
	for _, c := range []struct {
		name  string
		token []byte
		want  error
	}{
		{"a type 1 that ends with its flags", offer(offerUnicode, 16), nil},
		{"one byte less", offer(offerUnicode, 15), ntlm.ErrInvalidToken},
		{"as much as is read", offer(offerUnicode, most), nil},
		{"one byte more", offer(offerUnicode, most+1), ntlm.ErrInvalidToken},
	} {
		if _, _, err := acceptor(ntlm.BindingNone).NewExchange(nil).Accept(c.token); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for size, want := range map[int]error{64: ntlm.ErrLogonDenied, 63: ntlm.ErrInvalidToken} { // a type 3 without a name is anonymous
		x := acceptor(ntlm.BindingNone).NewExchange(nil)
		if _, _, err := x.Accept(ntlm.NegotiateMessage()); err != nil {
			t.Fatal(err)
		}
		m := offer(0, size)
		m[8] = 3
		if _, _, err := x.Accept(m); !errors.Is(err, want) {
			t.Errorf("a type 3 of %d bytes: %v, want %v", size, err, want)
		}
	}
}

// A binding goes into whatever target information there is, and keeps it.
func TestAChallengeIsBoundWithAndWithoutTargetInformation(t *testing.T) {
	full, _, err := acceptor(ntlm.BindingNone).NewExchange(nil).Accept(ntlm.NegotiateMessage())
	if err != nil {
		t.Fatal(err)
	}
	bare := bytes.Clone(full[:48])
	clear(bare[12:20])
	clear(bare[40:48])
	binary.LittleEndian.PutUint32(bare[20:], offerUnicode|offerNTLM)
	for name, c := range map[string]struct {
		challenge []byte
		names     bool
	}{"with": {full, true}, "without": {bare, false}} {
		m, err := ntlm.AuthenticateMessage(c.challenge, "ciscora", password, token("ours"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Contains(m, token("ours")) || strings.Contains(string(m), string(wide("lab-dc.lab.example"))) != c.names {
			t.Errorf("%s: %x", name, m)
		}
	}
	beyond := bytes.Clone(full)
	at := binary.LittleEndian.Uint32(beyond[44:])
	beyond[at+2], beyond[at+3] = 0xff, 0xff // the first pair ends outside
	if _, err := ntlm.AuthenticateMessage(beyond, "ciscora", password, token("ours")); !errors.Is(err, ntlm.ErrInvalidToken) {
		t.Errorf("a pair that is longer than the rest: %v", err)
	}
}
