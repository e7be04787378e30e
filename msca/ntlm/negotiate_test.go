package ntlm_test

import (
	"bytes"
	"crypto/md5"
	"crypto/rc4"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"testing"

	"ciscora/internal/spnego"
	"ciscora/msca/ntlm"
)

var krb5 = asn1.ObjectIdentifier{1, 2, 840, 113554, 1, 2, 2}

const flagSign, flagKeyExchange = 0x10, 0x40000000

// spnegoClient is a peer that speaks SPNEGO, written from RFC 4178 and MS-NLMP 3.4.
type spnegoClient struct {
	peer
	mechanisms     []asn1.ObjectIdentifier
	optimistic     bool // the first token comes with the list
	sign           bool
	mic, spoilList bool
}

func marshal(t testing.TB, m interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func response(t testing.TB, token []byte) spnego.Response {
	t.Helper()
	r, err := spnego.ParseResponse(token)
	if err != nil {
		t.Fatalf("%x: %v", token, err)
	}
	return r
}

// listMIC is the signature of a side over the list of mechanisms (MS-NLMP 3.4.4.2).
func listMIC(side string, exported, list []byte, keyExchange bool) []byte {
	key := func(kind string) []byte {
		h := md5.Sum([]byte(string(exported) + "session key to " + side + " " + kind + " key magic constant\x00"))
		return h[:]
	}
	sum := hmacMD5(key("signing"), []byte{0, 0, 0, 0}, list)[:8]
	if keyExchange {
		c, err := rc4.NewCipher(key("sealing"))
		if err != nil {
			panic(err)
		}
		c.XORKeyStream(sum, sum)
	}
	return append(append([]byte{1, 0, 0, 0}, sum...), 0, 0, 0, 0)
}

// logIn does all messages; first and last are the acceptor's answers to the first and
// to the last of them.
func (c spnegoClient) logIn(t *testing.T, x *ntlm.Exchange) (first, last spnego.Response, who *ntlm.Identity, err error) {
	t.Helper()
	type1 := c.negotiate()
	if c.sign {
		type1[12] |= flagSign
	}
	in := spnego.Init{Mechanisms: c.mechanisms}
	if c.optimistic {
		in.Token = type1
		if !c.mechanisms[0].Equal(spnego.NTLM) {
			in.Token = []byte("a ticket")
		}
	}
	reply, who, err := x.Negotiate(marshal(t, in))
	if err != nil || who != nil {
		return first, last, who, err
	}
	first = response(t, reply)
	challenge := first.Token
	if challenge == nil {
		reply, _, err := x.Negotiate(marshal(t, spnego.Response{State: spnego.NoState, Token: type1}))
		if err != nil {
			t.Fatal(err)
		}
		challenge = response(t, reply).Token
	}
	type3 := c.authenticate(challenge)
	answer := spnego.Response{State: spnego.NoState, Token: type3}
	list, err := in.List()
	if err != nil {
		t.Fatal(err)
	}
	exported := c.exported(type3)
	keyExchange := binary.LittleEndian.Uint32(type3[60:])&flagKeyExchange != 0
	if c.mic {
		answer.MIC = listMIC("client-to-server", exported, list, keyExchange)
		if c.spoilList {
			answer.MIC[4] ^= 1
		}
	}
	reply, who, err = x.Negotiate(marshal(t, answer))
	if err != nil || reply == nil {
		return first, last, who, err
	}
	last = response(t, reply)
	if last.MIC != nil && !bytes.Equal(last.MIC, listMIC("server-to-client", exported, list, keyExchange)) {
		t.Error("the acceptor's mechListMIC is wrong")
	}
	return first, last, who, err
}

// exported is the key that the peer chose, or that its proof gives.
func (c spnegoClient) exported(type3 []byte) []byte {
	if c.keyExchange {
		return []byte("0123456789abcdef")
	}
	at := binary.LittleEndian.Uint32(type3[24:])
	hash := ntlm.NTHash(c.password)
	return hmacMD5(hmacMD5(hash[:], utf16le("CISCORA"+c.domain)), type3[at:at+16])
}

func TestNTLMInSPNEGOLogsIn(t *testing.T) {
	good := peer{domain: "LAB", user: "ciscora", password: password}
	exchanging := good
	exchanging.keyExchange = true
	wrong := good
	wrong.password = "wrong"
	only, second := []asn1.ObjectIdentifier{spnego.NTLM}, []asn1.ObjectIdentifier{krb5, spnego.NTLM}
	for name, c := range map[string]struct {
		client spnegoClient
		state  spnego.State // of the first answer
		mic    bool         // in the last one
		want   error
	}{
		"NTLM alone":                                {spnegoClient{peer: good, mechanisms: only, optimistic: true}, spnego.AcceptIncomplete, false, nil},
		"NTLM alone, its token later":               {spnegoClient{peer: good, mechanisms: only}, spnego.AcceptIncomplete, false, nil},
		"NTLM first, Kerberos after it":             {spnegoClient{peer: good, mechanisms: []asn1.ObjectIdentifier{spnego.NTLM, krb5}, optimistic: true}, spnego.AcceptIncomplete, false, nil},
		"with a MIC that nobody asked for":          {spnegoClient{peer: good, mechanisms: only, optimistic: true, sign: true, mic: true}, spnego.AcceptIncomplete, true, nil},
		"with a MIC under an exchanged key":         {spnegoClient{peer: exchanging, mechanisms: only, optimistic: true, sign: true, mic: true}, spnego.AcceptIncomplete, true, nil},
		"Kerberos first":                            {spnegoClient{peer: exchanging, mechanisms: second, optimistic: true, sign: true, mic: true}, spnego.RequestMIC, true, nil},
		"a wrong password":                          {spnegoClient{peer: wrong, mechanisms: only, optimistic: true}, spnego.AcceptIncomplete, false, ntlm.ErrLogonDenied},
		"Kerberos first and no MIC":                 {spnegoClient{peer: good, mechanisms: second, optimistic: true, sign: true}, spnego.RequestMIC, false, ntlm.ErrLogonDenied},
		"a wrong MIC":                               {spnegoClient{peer: exchanging, mechanisms: only, optimistic: true, sign: true, mic: true, spoilList: true}, spnego.AcceptIncomplete, false, ntlm.ErrLogonDenied},
		"a MIC where no signatures were agreed on":  {spnegoClient{peer: good, mechanisms: only, optimistic: true, mic: true}, spnego.AcceptIncomplete, false, ntlm.ErrLogonDenied},
		"Kerberos alone":                            {spnegoClient{peer: good, mechanisms: []asn1.ObjectIdentifier{krb5}, optimistic: true}, 0, false, ntlm.ErrInvalidToken},
		"a list of Kerberos twice, and NTLM behind": {spnegoClient{peer: good, mechanisms: []asn1.ObjectIdentifier{krb5, krb5, spnego.NTLM}, sign: true, mic: true}, spnego.RequestMIC, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			first, last, who, err := c.client.logIn(t, acceptor(ntlm.BindingNone).NewExchange(nil))
			if !errors.Is(err, c.want) || (c.want == nil) != (who != nil) {
				t.Fatalf("identity %v, error %v, want %v", who, err, c.want)
			}
			if first.State != c.state {
				t.Errorf("the first answer's state is %d, want %d", first.State, c.state)
			}
			if c.want == nil && (last.State != spnego.AcceptCompleted || last.Token != nil || (last.MIC != nil) != c.mic) {
				t.Errorf("the last answer is %+v, want accept-completed, MIC %v", last, c.mic)
			}
		})
	}
}

// What began in SPNEGO ends in it, and the other way round.
func TestALogInKeepsItsForm(t *testing.T) {
	x := acceptor(ntlm.BindingNone).NewExchange(nil)
	good := peer{domain: "LAB", user: "ciscora", password: password}
	begin := func() (challenge []byte) {
		t.Helper()
		reply, _, err := x.Negotiate(ntlm.NegotiateInit())
		if err != nil {
			t.Fatal(err)
		}
		return response(t, reply).Token
	}
	for name, accept := range map[string]func([]byte) ([]byte, *ntlm.Identity, error){"Negotiate": x.Negotiate, "NTLM": x.Accept} {
		if _, who, err := accept(good.authenticate(begin())); !errors.Is(err, ntlm.ErrInvalidToken) || who != nil {
			t.Errorf("a bare type 3 under %s after SPNEGO: %v, %v", name, who, err)
		}
		begin()
		challenge, _, err := accept(ntlm.NegotiateMessage())
		if err != nil {
			t.Fatal(err)
		}
		if _, who, err := accept(good.authenticate(challenge)); err != nil || who == nil {
			t.Errorf("a bare type 1 under %s starts over: %v", name, err)
		}
	}
	challenge, _, err := x.Negotiate(ntlm.NegotiateMessage())
	if err != nil {
		t.Fatal(err)
	}
	wrapped := marshal(t, spnego.Response{State: spnego.NoState, Token: good.authenticate(challenge)})
	if _, who, err := x.Negotiate(wrapped); !errors.Is(err, ntlm.ErrInvalidToken) || who != nil {
		t.Errorf("SPNEGO after a bare type 1: %v, %v", who, err)
	}
	first := begin()
	answer := marshal(t, spnego.Response{State: spnego.NoState, Token: good.authenticate(first)})
	if _, who, err := x.Negotiate(answer); err != nil || who == nil {
		t.Fatalf("in SPNEGO from end to end: %v", err)
	}
	if _, who, err := x.Negotiate(answer); !errors.Is(err, ntlm.ErrInvalidToken) || who != nil {
		t.Errorf("the same again: %v, %v", who, err)
	}
}

func TestTheClientSpeaksNTLMInSPNEGO(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*spnego.Response) // of the acceptor's challenge
		mic    bool
		want   error
	}{
		"as the acceptor has it":  {func(*spnego.Response) {}, false, nil},
		"without the mechanism":   {func(r *spnego.Response) { r.Mechanism = nil }, false, nil},
		"a MIC is asked for":      {func(r *spnego.Response) { r.State = spnego.RequestMIC }, true, nil},
		"another mechanism":       {func(r *spnego.Response) { r.Mechanism = krb5 }, false, ntlm.ErrInvalidToken},
		"no challenge":            {func(r *spnego.Response) { r.Token = nil }, false, ntlm.ErrInvalidToken},
		"a MIC and no signatures": {func(r *spnego.Response) { r.State = spnego.RequestMIC; r.Token[20] &^= flagSign }, false, ntlm.ErrInvalidToken},
	} {
		t.Run(name, func(t *testing.T) {
			x := acceptor(ntlm.BindingRequire).NewExchange(token("ours"))
			reply, _, err := x.Negotiate(ntlm.NegotiateInit())
			if err != nil {
				t.Fatal(err)
			}
			r := response(t, reply)
			c.change(&r)
			answer, err := ntlm.NegotiateAnswer(marshal(t, r), `LAB\ciscora`, password, token("ours"))
			if c.want != nil {
				if !errors.Is(err, c.want) {
					t.Fatal(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if sent := response(t, answer); sent.State != spnego.NoState || (sent.MIC != nil) != c.mic {
				t.Errorf("sent %+v, MIC %v", sent, c.mic)
			}
			last, who, err := x.Negotiate(answer)
			if err != nil || !who.ChannelBound {
				t.Fatalf("%v, %v", who, err)
			}
			if got := response(t, last); (got.MIC != nil) != c.mic {
				t.Errorf("the last token is %+v", got)
			}
		})
	}
	rejected := marshal(t, spnego.Response{State: spnego.Reject})
	if _, err := ntlm.NegotiateAnswer(rejected, "u", "p", nil); err == nil {
		t.Error("a rejection is taken for a challenge")
	}
	if _, err := ntlm.NegotiateAnswer([]byte("NTLMSSP\x00\x02"), "u", "p", nil); !errors.Is(err, ntlm.ErrInvalidToken) {
		t.Errorf("a bare challenge: %v", err)
	}
}

// FuzzNegotiate: without the password no three messages log in.
func FuzzNegotiate(f *testing.F) {
	guess := peer{domain: "LAB", user: "ciscora", password: "guess"}
	reply, _, err := acceptor(ntlm.BindingNone).NewExchange(nil).Negotiate(ntlm.NegotiateInit())
	if err != nil {
		f.Fatal(err)
	}
	answer := marshal(f, spnego.Response{State: spnego.NoState, Token: guess.authenticate(response(f, reply).Token), MIC: make([]byte, 16)})
	kerberos := marshal(f, spnego.Init{Mechanisms: []asn1.ObjectIdentifier{krb5, spnego.NTLM}, Token: []byte("a ticket")})
	type1 := marshal(f, spnego.Response{State: spnego.NoState, Token: ntlm.NegotiateMessage()})
	f.Add(ntlm.NegotiateInit(), answer, answer)
	f.Add(kerberos, type1, answer)
	f.Add(ntlm.NegotiateMessage(), answer, []byte{})
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		x := acceptor(ntlm.BindingNone).NewExchange(nil)
		for _, token := range [][]byte{first, second, third} {
			if _, who, _ := x.Negotiate(token); who != nil {
				t.Fatal("logged in without the password")
			}
			_, _ = ntlm.NegotiateAnswer(token, `LAB\ciscora`, password, nil)
		}
	})
}
