package ntlm

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Account is one account that may log in.
type Account struct {
	Domain, User string
	NTHash       [16]byte // as good as the password: never logged
}

// String returns DOMAIN\user, without the hash.
func (a Account) String() string { return a.Domain + `\` + a.User }

// GoString returns the same as String: %#v shows no hash either.
func (a Account) GoString() string { return a.String() }

// Identity is who logged in.
type Identity struct {
	Domain, User string // as the account is written, not as it was typed
	ChannelBound bool   // the client proved to have seen this server's certificate
	MIC          bool   // the client's message integrity code was there and right
}

// String returns DOMAIN\user, as IIS logs it.
func (i *Identity) String() string { return i.Domain + `\` + i.User }

// Acceptor is the server's side: a domain and its accounts. It has no state of
// its own and serves any number of connections at a time; its fields are not to
// be changed once it does.
type Acceptor struct {
	Domain, Computer       string // NetBIOS names: LAB, LAB-DC
	DNSDomain, DNSComputer string // "" = not announced

	// Lookup finds an account. It gets the names as the client sent them:
	// domain is "" for a bare name and for user@domain, which arrives whole
	// in user. Comparing without regard to case is its job, as is deciding
	// which domain a bare name belongs to. It is called from several
	// goroutines at a time.
	Lookup func(domain, user string) (Account, bool)

	// Permit, where set, is told of each password that is tried at an account that is
	// there, and decides whether it may log in. It is called as Lookup is.
	Permit func(account Account, right bool) bool

	Binding Binding
	Rand    io.Reader        // nil = crypto/rand
	Now     func() time.Time // nil = time.Now
}

// Exchange is the log-in on one connection. It is not safe for concurrent use,
// as HTTP/1.1 does not answer two requests of one connection at a time.
type Exchange struct {
	acceptor *Acceptor
	binding  []byte

	// Set between a type 1 message and the type 3 that answers it.
	negotiate, challenge []byte

	session *session     // of the log-in that was accepted last
	spnego  *negotiation // nil where the log-in is not, or not yet, one in SPNEGO
}

// NewExchange starts the log-in of one connection. binding is the token of the
// server's own leaf ([ChannelBinding]), nil on a connection without TLS, where
// the client's binding is never looked at.
func (a *Acceptor) NewExchange(binding []byte) *Exchange {
	return &Exchange{acceptor: a, binding: bytes.Clone(binding)}
}

// Accept takes one message of the client. A type 1 message gives the challenge to
// send back; it may come at any time and starts over. A type 3 message gives the
// identity, or an error that is ErrLogonDenied, ErrBadBindings, ErrInvalidToken or
// ErrNTLMv1 by errors.Is; either way the challenge is spent, so that each
// challenge is good for one try.
func (x *Exchange) Accept(token []byte) (reply []byte, who *Identity, err error) {
	if err := x.bare(token); err != nil {
		return nil, nil, err
	}
	return x.accept(token)
}

func (x *Exchange) accept(token []byte) (reply []byte, who *Identity, err error) {
	if err := available(); err != nil {
		return nil, nil, err
	}
	t, err := messageType(token)
	if err != nil {
		x.negotiate, x.challenge = nil, nil
		return nil, nil, err
	}
	if t == 1 {
		reply, err = x.challengeFor(token)
		return reply, nil, err
	}
	negotiate, challenge := x.negotiate, x.challenge
	x.negotiate, x.challenge = nil, nil
	if challenge == nil {
		return nil, nil, fmt.Errorf("%w: message of type %d, but no challenge was given on this connection", ErrInvalidToken, t)
	}
	who, err = x.verify(negotiate, challenge, token)
	return nil, who, err
}

func (x *Exchange) challengeFor(token []byte) ([]byte, error) {
	x.negotiate, x.challenge = nil, nil
	offered, err := negotiateFlags(token)
	if err != nil {
		return nil, err
	}
	a := x.acceptor
	source, now := a.Rand, a.Now
	if source == nil {
		source = rand.Reader
	}
	if now == nil {
		now = time.Now
	}
	var challenge [8]byte
	if _, err := io.ReadFull(source, challenge[:]); err != nil {
		return nil, fmt.Errorf("ntlm: read a random challenge: %w", err)
	}

	// Target information always goes along, asked for or not: without it
	// libcurl falls back to NTLMv1.
	flags := offered&(flagRequestTarget|flagSign|flagSeal|flagAlwaysSign|flagExtendedSessionSecurity|
		flagVersion|flag128|flagKeyExchange|flag56) | flagNTLM | flagTargetInfo
	switch {
	case offered&flagUnicode != 0:
		flags |= flagUnicode
	case offered&flagOEM != 0:
		flags |= flagOEM
	default:
		return nil, fmt.Errorf("%w: the client offers neither Unicode nor OEM names", ErrInvalidToken)
	}
	target := ""
	if offered&flagRequestTarget != 0 {
		flags |= flagTargetTypeDomain
		target = a.Domain
	}
	x.negotiate = bytes.Clone(token)
	x.challenge = encodeChallenge(flags, challenge, target, a.targetInfo(now()))
	return bytes.Clone(x.challenge), nil
}

func (a *Acceptor) targetInfo(now time.Time) []avPair {
	var info []avPair
	for _, n := range []struct {
		id   uint16
		name string
	}{
		{avNBDomainName, a.Domain},
		{avNBComputerName, a.Computer},
		{avDNSDomainName, a.DNSDomain},
		{avDNSComputerName, a.DNSComputer},
		{avDNSTreeName, a.DNSDomain},
	} {
		if n.name != "" {
			info = append(info, avPair{n.id, utf16le(n.name)})
		}
	}
	return append(info, avPair{avTimestamp, filetime(now)})
}

// The NTLMv2 response is a proof and a blob: version, time, the client's
// challenge, then target information (MS-NLMP 2.2.2.7, 2.2.2.8).
const (
	proofSize   = 16
	blobHeader  = 28
	ntlmv1Size  = 24
	minResponse = proofSize + blobHeader + 4
)

func (x *Exchange) verify(negotiate, challenge, token []byte) (*Identity, error) {
	m, err := parseAuthenticate(token)
	if err != nil {
		return nil, err
	}
	resp := m.ntResponse
	switch {
	case m.user == "":
		return nil, fmt.Errorf("%w: anonymous", ErrLogonDenied)
	case len(resp) == ntlmv1Size:
		return nil, ErrNTLMv1
	case len(resp) < minResponse || resp[16] != 1 || resp[17] != 1:
		return nil, fmt.Errorf("%w: no NTLMv2 response", ErrInvalidToken)
	}
	proof, blob := resp[:proofSize], resp[proofSize:]
	pairs, err := parseAVPairs(blob[blobHeader:])
	if err != nil {
		return nil, err
	}

	// An unknown user costs the same work as a wrong password, with a hash of
	// zeros, and is never let in whatever comes out.
	account, known := Account{}, false
	if x.acceptor.Lookup != nil {
		account, known = x.acceptor.Lookup(m.domain, m.user)
	}
	key := responseKey(account.NTHash, m.user, m.domain)
	right := hmac.Equal(mac(key, challenge[24:32], blob), proof)
	session := &session{exportedSessionKey(key, proof, m.flags, m.sessionKey), m.flags}
	micRight, micDue := checkMIC(m, pairs, session.key, negotiate, challenge, token)
	if known && x.acceptor.Permit != nil {
		right = x.acceptor.Permit(account, right) && right
	}
	switch {
	case !right || !known:
		return nil, ErrLogonDenied
	case micDue && !micRight:
		return nil, fmt.Errorf("%w: the message integrity code is wrong", ErrLogonDenied)
	}

	bound, err := x.checkBinding(pairs)
	if err != nil {
		return nil, err
	}
	x.session = session
	return &Identity{Domain: account.Domain, User: account.User, ChannelBound: bound, MIC: micDue}, nil
}

// checkMIC verifies the code over all three messages (MS-NLMP 3.2.5.1.2). due
// says that the client announced one, within what its password protects.
func checkMIC(m *authenticate, pairs []avPair, key, negotiate, challenge, token []byte) (right, due bool) {
	flags, ok := findAV(pairs, avFlags)
	if !ok || len(flags) != 4 || binary.LittleEndian.Uint32(flags)&avFlagMIC == 0 {
		return false, false
	}
	if m.mic == nil {
		return false, true
	}
	zeroed := bytes.Clone(token)
	clear(zeroed[micOffset : micOffset+micSize])
	return hmac.Equal(mac(key, negotiate, challenge, zeroed), m.mic), true
}

// checkBinding applies Extended Protection (docs/reference/certsrv.md 1.2). It runs
// only for the right password: others learn nothing from it.
func (x *Exchange) checkBinding(pairs []avPair) (bound bool, err error) {
	if x.binding == nil {
		return false, nil
	}
	token, present := findAV(pairs, avChannelBindings)
	bound = present && hmac.Equal(token, x.binding)
	switch {
	case bound, x.acceptor.Binding == BindingNone:
		return bound, nil
	case !present && x.acceptor.Binding == BindingAccept:
		return false, nil
	case !present:
		return false, fmt.Errorf("%w: the client sent none", ErrBadBindings)
	}
	return false, fmt.Errorf("%w: the client sent that of another certificate", ErrBadBindings)
}
