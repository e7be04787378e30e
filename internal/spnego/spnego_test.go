package spnego_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ciscora/internal/spnego"
)

var krb5 = asn1.ObjectIdentifier{1, 2, 840, 113554, 1, 2, 2}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMessagesAreThoseOfOtherPrograms(t *testing.T) {
	// gss-ntlmssp's first token, by way of MIT's SPNEGO; its type 1 is 40 bytes.
	first, err := base64.StdEncoding.DecodeString("YEgGBisGAQUFAqA+MDygDjAMBgorBgEEAYI3AgIKoioEKE5UTE1TU1AAAQAAADWCCGIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	if err != nil {
		t.Fatal(err)
	}
	in, err := spnego.ParseInit(first)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Mechanisms) != 1 || !in.Mechanisms[0].Equal(spnego.NTLM) || !bytes.HasPrefix(in.Token, []byte("NTLMSSP\x00\x01")) || len(in.Token) != 40 {
		t.Errorf("%v %q", in.Mechanisms, in.Token)
	}
	if der, err := in.Marshal(); err != nil || !bytes.Equal(der, first) {
		t.Errorf("%v: %x, want %x", err, der, first)
	}
	if list, err := in.List(); err != nil || !bytes.Equal(list, unhex(t, "300c060a2b06010401823702020a")) {
		t.Errorf("the list that is signed: %x, %v", list, err)
	}
	for name, test := range map[string]struct {
		der  string
		want spnego.Response
	}{
		"accepted":            {"a1073005a0030a0100", spnego.Response{State: spnego.AcceptCompleted}},
		"accepted, with MIC":  {"a10b3009a0030a0100a3020400", spnego.Response{State: spnego.AcceptCompleted, MIC: []byte{}}},
		"rejected":            {"a1073005a0030a0102", spnego.Response{State: spnego.Reject}},
		"a MIC is asked for":  {"a1153013a0030a0103a10c060a2b06010401823702020a", spnego.Response{State: spnego.RequestMIC, Mechanism: spnego.NTLM}},
		"the client's last":   {"a1093007a2050403010203", spnego.Response{State: spnego.NoState, Token: []byte{1, 2, 3}}},
		"nothing but a frame": {"a1023000", spnego.Response{State: spnego.NoState}},
	} {
		got, err := spnego.ParseResponse(unhex(t, test.der))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if der, err := got.Marshal(); err != nil || hex.EncodeToString(der) != test.der {
			t.Errorf("%s: %x, %v", name, der, err)
		}
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	many := spnego.Init{Mechanisms: slices.Repeat([]asn1.ObjectIdentifier{krb5}, 17)}
	seventeen, err := many.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	none, err := spnego.Init{}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	large, err := spnego.Init{Mechanisms: []asn1.ObjectIdentifier{krb5}, Token: make([]byte, 48000)}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "17 mechanisms": seventeen, "no mechanism": none, "48,000 bytes and a frame": large,
		"another mechanism's frame": unhex(t, "6006060100a0023000"),
		"bytes behind it":           append(unhex(t, "a1073005a0030a0100"), 0),
		"no such state":             unhex(t, "a1073005a0030a0107"),
		"bytes within":              unhex(t, "a10730003030303030"),
		"cut off":                   unhex(t, "a1073005a0030a"),
	} {
		if _, err := spnego.ParseInit(b); !errors.Is(err, spnego.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := spnego.ParseResponse(b); !errors.Is(err, spnego.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse: what is read is written the same, and read the same again.
func FuzzParse(f *testing.F) {
	in, err := spnego.Init{Mechanisms: []asn1.ObjectIdentifier{krb5, spnego.NTLM}, Token: []byte("token")}.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(in)
	for _, der := range []string{"a1073005a0030a0100", "a1153013a0030a0103a10c060a2b06010401823702020a", "a10e300ca2050403010203a30304ff01", "6000"} {
		f.Add(unhex(f, der))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if in, err := spnego.ParseInit(b); err == nil {
			if len(in.Mechanisms) == 0 || len(in.Mechanisms) > 16 {
				t.Errorf("%d mechanisms", len(in.Mechanisms))
			}
			der, err := in.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			again, err := spnego.ParseInit(der)
			if diff := cmp.Diff(in, again); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		}
		if r, err := spnego.ParseResponse(b); err == nil {
			der, err := r.Marshal()
			if err != nil || !bytes.Equal(der, b) {
				t.Errorf("%x is written %x, %v", b, der, err)
			}
		}
	})
}
