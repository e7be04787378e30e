package ntlm_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"ciscora/msca/ntlm"
)

func TestParseUser(t *testing.T) {
	for _, c := range []struct{ typed, domain, user string }{
		{`LAB\ciscora`, "LAB", "ciscora"},
		{`LAB\a\b`, "LAB", `a\b`},
		{"ciscora@lab.example", "", "ciscora@lab.example"},
		{"ciscora", "", "ciscora"},
		{"", "", ""},
	} {
		if d, u := ntlm.ParseUser(c.typed); d != c.domain || u != c.user {
			t.Errorf("ParseUser(%q) = %q, %q, want %q, %q", c.typed, d, u, c.domain, c.user)
		}
	}
}

func TestNTHashOfMSNLMP(t *testing.T) {
	h := ntlm.NTHash("Password") // MS-NLMP 4.2.2.1.2
	if got := hex.EncodeToString(h[:]); got != "a4f49c406510bdcab6824ee7c30fd852" {
		t.Error(got)
	}
}

func TestNegotiateMessageAsksForTheTarget(t *testing.T) {
	m := ntlm.NegotiateMessage()
	if len(m) != 40 || m[12]&0x04 == 0 || m[12]&0x01 == 0 {
		t.Errorf("%x", m)
	}
}

func TestAccountAndIdentityShowNoHash(t *testing.T) {
	a := ntlm.Account{Domain: "LAB", User: "ciscora", NTHash: ntlm.NTHash(password)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, a); got != `LAB\ciscora` {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

func TestChannelBindingIsRFC5929(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab-dc"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sha256Sum, sha384Sum, sha512Sum := sha256.Sum256(der), sha512.Sum384(der), sha512.Sum512(der)
	for _, c := range []struct {
		alg  x509.SignatureAlgorithm
		hash []byte
	}{
		{x509.ECDSAWithSHA256, sha256Sum[:]},
		{x509.SHA384WithRSA, sha384Sum[:]},
		{x509.SHA512WithRSAPSS, sha512Sum[:]},
		{x509.SHA1WithRSA, sha256Sum[:]},
		{x509.MD5WithRSA, sha256Sum[:]},
		{x509.PureEd25519, sha256Sum[:]},
	} {
		t.Run(c.alg.String(), func(t *testing.T) {
			leaf.SignatureAlgorithm = c.alg
			data := append([]byte("tls-server-end-point:"), c.hash...)
			binding := binary.LittleEndian.AppendUint32(make([]byte, 16), uint32(len(data)))
			want := md5.Sum(append(binding, data...))
			if got := ntlm.ChannelBinding(leaf); !bytes.Equal(got, want[:]) {
				t.Errorf("got %x, want %x", got, want)
			}
		})
	}
}

func TestAuthenticateMessageRefuses(t *testing.T) {
	challenge, _, err := acceptor(ntlm.BindingNone).NewExchange(nil).Accept(ntlm.NegotiateMessage())
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func([]byte)) []byte { b := bytes.Clone(challenge); f(b); return b }
	for _, c := range []struct {
		name      string
		challenge []byte
		user      string
		binding   []byte
		token     bool // ErrInvalidToken
	}{
		{"an empty user name", challenge, "", nil, false},
		{"a binding of another size", challenge, "u", []byte{1}, false},
		{"garbage", []byte("garbage that is long enough to be read"), "u", nil, true},
		{"a type 1 message", ntlm.NegotiateMessage(), "u", nil, true},
		{"a truncated challenge", challenge[:30], "u", nil, true},
		{"a truncated challenge, to be bound", challenge[:30], "u", token("x"), true},
		{"target information outside", change(func(b []byte) { b[44] = 0xff; b[45] = 0xff }), "u", nil, true},
		{"target information outside, to be bound", change(func(b []byte) { b[44] = 0xff; b[45] = 0xff }), "u", token("x"), true},
		{"a demand for LM keys, which is NTLMv1", change(func(b []byte) { b[20] |= 0x80 }), "u", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := ntlm.AuthenticateMessage(c.challenge, c.user, "secret-word", c.binding)
			if err == nil || m != nil || errors.Is(err, ntlm.ErrInvalidToken) != c.token {
				t.Fatalf("error %v", err)
			}
			if strings.Contains(err.Error(), "secret-word") {
				t.Error("the error holds the password")
			}
		})
	}
}

func TestABindingOfTheServersOwnIsReplaced(t *testing.T) {
	// A server that puts a binding of its own choice into its challenge must
	// not make the client vouch for it.
	x := acceptor(ntlm.BindingRequire).NewExchange(token("ours"))
	challenge, _, err := x.Accept(ntlm.NegotiateMessage())
	if err != nil {
		t.Fatal(err)
	}
	pair := append([]byte{10, 0, 16, 0}, token("theirs")...)
	end := len(challenge) - 4 // the target information is the last field
	forged := append(append(bytes.Clone(challenge[:end]), pair...), 0, 0, 0, 0)
	length := binary.LittleEndian.Uint16(forged[40:]) + uint16(len(pair))
	binary.LittleEndian.PutUint16(forged[40:], length)
	binary.LittleEndian.PutUint16(forged[42:], length)

	m, err := ntlm.AuthenticateMessage(forged, "ciscora", password, token("ours"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(m, token("ours")) || bytes.Contains(m, token("theirs")) {
		t.Error("the client vouches for the server's binding")
	}
	// The acceptor gave no such challenge, but the response is over the
	// client's copy of the information, not over the challenge's.
	if _, who, err := x.Accept(m); err != nil || !who.ChannelBound {
		t.Error(err)
	}
}

func FuzzAccept(f *testing.F) {
	for _, p := range []peer{{}, {oem: true}, {mic: true, keyExchange: true}, {v1: true}, {binding: token("x")}} {
		p.domain, p.user, p.password = "LAB", "ciscora", "guess"
		challenge, _, err := acceptor(ntlm.BindingNone).NewExchange(nil).Accept(p.negotiate())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p.negotiate(), p.authenticate(challenge))
	}
	f.Add([]byte("NTLMSSP\x00\x01\x00\x00\x00\x07\x82\x08\x00"), []byte("NTLMSSP\x00\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, type1, type3 []byte) {
		x := acceptor(ntlm.BindingRequire).NewExchange(token("ours"))
		_, who, err := x.Accept(type1)
		if who != nil {
			t.Fatal("logged in by the first message")
		}
		if err != nil {
			_, _, _ = x.Accept(ntlm.NegotiateMessage())
		}
		if _, who, err := x.Accept(type3); who != nil {
			t.Fatalf("logged in without the password: %v, %v", who, err)
		}
	})
}

func FuzzAuthenticateMessage(f *testing.F) {
	for _, m := range [][]byte{ntlm.NegotiateMessage(), []byte(curlNegotiate)} {
		challenge, _, err := acceptor(ntlm.BindingNone).NewExchange(nil).Accept(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(challenge, true)
		f.Add(challenge, false)
	}
	f.Fuzz(func(t *testing.T, challenge []byte, bind bool) {
		var binding []byte
		if bind {
			binding = token("x")
		}
		m, err := ntlm.AuthenticateMessage(challenge, `LAB\ciscora`, password, binding)
		if err == nil && bind && !bytes.Contains(m, binding) {
			t.Error("the binding got lost")
		}
	})
}

// BenchmarkLogin measures the three messages of a log-in, both ends, bound.
func BenchmarkLogin(b *testing.B) {
	a, binding := acceptor(ntlm.BindingRequire), token("ours")
	b.ReportAllocs()
	for b.Loop() {
		x := a.NewExchange(binding)
		challenge, _, err := x.Accept(ntlm.NegotiateMessage())
		if err != nil {
			b.Fatal(err)
		}
		m, err := ntlm.AuthenticateMessage(challenge, `LAB\ciscora`, password, binding)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := x.Accept(m); err != nil {
			b.Fatal(err)
		}
	}
}
