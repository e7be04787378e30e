package ntlm_test

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"ciscora/msca/ntlm"
)

func TestAMessageIsTakenApartFieldByField(t *testing.T) {
	exchange := acceptor(ntlm.BindingNone).NewExchange(nil)
	opening := ntlm.NegotiateMessage()
	challenge, _, err := exchange.Accept(opening)
	if err != nil {
		t.Fatal(err)
	}
	binding := make([]byte, 16)
	binding[3] = 0xab
	proof, err := ntlm.AuthenticateMessage(challenge, `LAB\ciscora`, password, binding)
	if err != nil {
		t.Fatal(err)
	}
	endless := slices.Clone(challenge)
	binary.LittleEndian.PutUint16(endless[40:], binary.LittleEndian.Uint16(endless[40:])-4)
	for name, c := range map[string]struct {
		message []byte
		title   string
		want    []string
	}{
		"what opens":      {opening, "NEGOTIATE_MESSAGE (type 1)", []string{"NegotiateFlags=0x", "UNICODE", "DomainName=empty", "Workstation=empty"}},
		"the challenge":   {challenge, "CHALLENGE_MESSAGE (type 2)", []string{"TargetName=LAB", "MsvAvNbDomainName=LAB", "MsvAvTimestamp=2", "ServerChallenge=8 bytes, not shown"}},
		"the proof":       {proof, "AUTHENTICATE_MESSAGE (type 3)", []string{"DomainName=LAB", "UserName=ciscora", "bytes, not shown (NTLMv2)", "MsvAvChannelBindings=000000ab", "NTLMv2 TimeStamp=2"}},
		"one with no end": {endless, "CHALLENGE_MESSAGE (type 2)", []string{"MsvAvNbDomainName=LAB", "TargetInfo=has no end"}},
		"one that is cut": {challenge[:20], "CHALLENGE_MESSAGE (type 2)", []string{"TargetName=lies outside the message"}},
	} {
		title, fields, err := ntlm.Dissect(c.message)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := flat(fields)
		if title != c.title {
			t.Errorf("%s: it is a %s", name, title)
		}
		for _, w := range c.want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q in\n%s", name, w, text)
			}
		}
	}

	// The response is what passwords are guessed by.
	response := hex.EncodeToString(proof)
	_, fields, _ := ntlm.Dissect(proof)
	for _, f := range fields {
		if raw := strings.ReplaceAll(f.Value, " ", ""); len(raw) >= 16 && strings.Contains(response, raw) && !strings.Contains(f.Name, "ChannelBindings") {
			t.Errorf("%s shows bytes of the message: %s", f.Name, f.Value)
		}
	}
}

func TestWhatIsNoMessageIsNotTakenApart(t *testing.T) {
	for _, b := range []string{"", "NTLMSSP", "NTLMSSP\x00\x09\x00\x00\x00\x00\x00\x00\x00", strings.Repeat("x", 100)} {
		if _, _, err := ntlm.Dissect([]byte(b)); err == nil {
			t.Errorf("%q is a message", b)
		}
	}
}

func flat(fields []ntlm.Field) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f.Name + "=" + f.Value + "\n")
	}
	return b.String()
}

func FuzzDissect(f *testing.F) {
	f.Add(ntlm.NegotiateMessage())
	f.Add([]byte("NTLMSSP\x00\x02\x00\x00\x00\x10\x00\x10\x00\x20\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, fields, err := ntlm.Dissect(b)
		if err == nil && len(fields) > len(b) {
			t.Errorf("%d fields of %d bytes", len(fields), len(b))
		}
	})
}
