package ntlm

import (
	"encoding/asn1"
	"errors"
	"fmt"

	"ciscora/internal/spnego"
)

// negotiation is a log-in that came in SPNEGO, between its first message and its last.
type negotiation struct {
	list   []byte // the client's mechanisms in DER, which a MIC protects
	micDue bool   // NTLM was not the client's first choice: it must show that nobody changed the list
}

// only is what a client offers: nothing but NTLM.
var only = spnego.Init{Mechanisms: []asn1.ObjectIdentifier{spnego.NTLM}}

// Negotiate is [Exchange.Accept] for HTTP's Negotiate: NTLM in SPNEGO (RFC 4178,
// MS-SPNG), or bare, as IIS takes it, too. A log-in that began in one form ends in it.
// Whoever logs in by SPNEGO gets the identity and a last token to send back.
func (x *Exchange) Negotiate(token []byte) (reply []byte, who *Identity, err error) {
	switch {
	case spnego.IsInit(token):
		reply, err = x.begin(token)
	case spnego.IsResponse(token):
		reply, who, err = x.proceed(token)
	default:
		return x.Accept(token)
	}
	if err != nil {
		x.reset()
		return nil, nil, err
	}
	return reply, who, nil
}

func (x *Exchange) reset() {
	x.negotiate, x.challenge, x.session, x.spnego = nil, nil, nil, nil
}

// begin answers a NegTokenInit with the challenge where it brings a type 1 message, and
// asks for one where NTLM is not the first choice, whose token it brings.
func (x *Exchange) begin(token []byte) ([]byte, error) {
	x.reset()
	if err := available(); err != nil {
		return nil, err
	}
	in, err := spnego.ParseInit(token)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	place := -1
	for i, m := range in.Mechanisms {
		if m.Equal(spnego.NTLM) {
			place = i
			break
		}
	}
	if place < 0 {
		return nil, fmt.Errorf("%w: SPNEGO without NTLM, which is all that there is", ErrInvalidToken)
	}
	n := &negotiation{micDue: place > 0}
	if n.list, err = in.List(); err != nil {
		return nil, err
	}
	answer := spnego.Response{State: spnego.AcceptIncomplete, Mechanism: spnego.NTLM}
	switch {
	case n.micDue:
		answer.State = spnego.RequestMIC
	case in.Token != nil:
		if answer.Token, _, err = x.accept(in.Token); err != nil {
			return nil, err
		}
	}
	x.spnego = n
	return answer.Marshal()
}

// proceed takes a NegTokenResp.
func (x *Exchange) proceed(token []byte) ([]byte, *Identity, error) {
	n := x.spnego
	if n == nil {
		return nil, nil, fmt.Errorf("%w: SPNEGO's second message before its first", ErrInvalidToken)
	}
	in, err := spnego.ParseResponse(token)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	inner, who, err := x.accept(in.Token)
	if err != nil {
		return nil, nil, err
	}
	if who == nil {
		reply, err := spnego.Response{State: spnego.AcceptIncomplete, Mechanism: spnego.NTLM, Token: inner}.Marshal()
		return reply, nil, err
	}
	last := spnego.Response{State: spnego.AcceptCompleted}
	switch {
	case in.MIC == nil && n.micDue:
		return nil, nil, fmt.Errorf("%w: the client preferred another mechanism and sent no mechListMIC (RFC 4178 section 5)", ErrLogonDenied)
	case in.MIC != nil:
		if !x.session.signed(clientSide, n.list, in.MIC) {
			return nil, nil, fmt.Errorf("%w: the mechListMIC is wrong", ErrLogonDenied)
		}
		last.MIC = x.session.signature(serverSide, n.list)
	}
	x.reset()
	reply, err := last.Marshal()
	return reply, who, err
}

// NegotiateInit is the first token of a client that speaks NTLM in SPNEGO: a type 1
// message, which asks for signatures, too, since the server may want one.
func NegotiateInit() []byte {
	first := only
	first.Token = NegotiateMessage()
	first.Token[12] |= flagSign
	token, err := first.Marshal()
	if err != nil {
		panic("ntlm: negotiate token: " + err.Error()) // it depends on no input
	}
	return token
}

// NegotiateAnswer is the second and last token of that client: [AuthenticateMessage] in
// SPNEGO. challenge is what the server answered to the first. The list of mechanisms,
// which has one, is signed where the server asks for that.
func NegotiateAnswer(challenge []byte, user, password string, binding []byte) ([]byte, error) {
	in, err := spnego.ParseResponse(challenge)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	switch {
	case in.State == spnego.Reject:
		return nil, errors.New("ntlm: the server refuses NTLM in SPNEGO")
	case in.Mechanism != nil && !in.Mechanism.Equal(spnego.NTLM):
		return nil, fmt.Errorf("%w: the server chose the mechanism %s, which was not offered", ErrInvalidToken, in.Mechanism)
	case in.Token == nil:
		return nil, fmt.Errorf("%w: the server chose NTLM and sent no challenge", ErrInvalidToken)
	}
	answer := spnego.Response{State: spnego.NoState}
	if answer.Token, err = AuthenticateMessage(in.Token, user, password, binding); err != nil {
		return nil, err
	}
	if in.State == spnego.RequestMIC {
		session, err := sessionOf(answer.Token, password)
		if err != nil {
			return nil, err
		}
		list, err := only.List()
		if err != nil {
			return nil, err
		}
		if answer.MIC = session.signature(clientSide, list); answer.MIC == nil {
			return nil, fmt.Errorf("%w: the server asks for a mechListMIC and agrees to no signatures", ErrInvalidToken)
		}
	}
	return answer.Marshal()
}

// bare refuses a message outside of SPNEGO where the log-in began inside: only a
// type 1 message, which starts over, may come so.
func (x *Exchange) bare(token []byte) error {
	if x.spnego == nil {
		return nil
	}
	x.reset()
	if t, err := messageType(token); err == nil && t == 1 {
		return nil
	}
	return fmt.Errorf("%w: the log-in began in SPNEGO and goes on without", ErrInvalidToken)
}
