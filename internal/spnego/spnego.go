// Package spnego reads and writes the two messages of SPNEGO (RFC 4178 §4.2, MS-SPNG),
// in which Negotiate wraps the tokens of the mechanism that it chose. It knows no
// mechanism: what the tokens are is the caller's part.
package spnego

import (
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// NTLM is the mechanism NTLMSSP (MS-SPNG 1.9).
var NTLM = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 2, 10}

// itself is SPNEGO's own (RFC 4178 §3).
var itself = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 2}

// ErrToken says that the bytes are no message of SPNEGO.
var ErrToken = errors.New("spnego: invalid token")

const (
	maxToken      = 48000 // MaxTokenSize of Windows: a Kerberos ticket with many groups
	maxMechanisms = 16
)

// The tags of the messages and of their fields.
var (
	application0 = tag.Tag(0x60) // GSS-API's frame around the first token (RFC 2743 §3.1)
	context0     = tag.Tag(0).ContextSpecific().Constructed()
	context1     = tag.Tag(1).ContextSpecific().Constructed()
	context2     = tag.Tag(2).ContextSpecific().Constructed()
	context3     = tag.Tag(3).ContextSpecific().Constructed()
)

// State is a NegTokenResp's negState.
type State int

// The states of RFC 4178 §4.2.2, and none of them, which a client sends.
const (
	AcceptCompleted State = iota
	AcceptIncomplete
	Reject
	RequestMIC
	NoState State = -1
)

// Init is a NegTokenInit, the initiator's first message.
type Init struct {
	Mechanisms []asn1.ObjectIdentifier // in the initiator's order
	Token      []byte                  // of the first one; nil where there is none
}

// Response is a NegTokenResp, every other message.
type Response struct {
	State     State
	Mechanism asn1.ObjectIdentifier // nil where it is not told
	Token     []byte                // nil where there is none
	MIC       []byte                // over [Init.List]; nil where there is none
}

// IsInit tells whether a token begins as a NegTokenInit does.
func IsInit(b []byte) bool { return len(b) > 0 && b[0] == byte(application0) }

// IsResponse tells whether a token begins as a NegTokenResp does.
func IsResponse(b []byte) bool { return len(b) > 0 && b[0] == byte(context1) }

// Marshal returns the message with GSS-API's frame around it.
func (i Init) Marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(application0, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(itself)
		b.AddASN1(context0, func(b *cryptobyte.Builder) {
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(context0, i.addList)
				addOctets(b, context2, i.Token)
			})
		})
	})
	return b.Bytes()
}

// List returns the DER of the MechTypeList, its header included: what both sides sign
// where they make sure that nobody has changed it (RFC 4178 §5).
func (i Init) List() ([]byte, error) {
	var b cryptobyte.Builder
	i.addList(&b)
	return b.Bytes()
}

func (i Init) addList(b *cryptobyte.Builder) {
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, m := range i.Mechanisms {
			b.AddASN1ObjectIdentifier(m)
		}
	})
}

// Marshal returns the message.
func (r Response) Marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(context1, func(b *cryptobyte.Builder) {
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			if r.State != NoState {
				b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(r.State)) })
			}
			if r.Mechanism != nil {
				b.AddASN1(context1, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(r.Mechanism) })
			}
			addOctets(b, context2, r.Token)
			addOctets(b, context3, r.MIC)
		})
	})
	return b.Bytes()
}

func addOctets(b *cryptobyte.Builder, at tag.Tag, value []byte) {
	if value != nil {
		b.AddASN1(at, func(b *cryptobyte.Builder) { b.AddASN1OctetString(value) })
	}
}

// ParseInit reads a NegTokenInit. Its flags, and a MIC, which cannot be there before
// the mechanism has keys, are passed over.
func ParseInit(b []byte) (Init, error) {
	if len(b) > maxToken {
		return Init{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrToken, len(b), maxToken)
	}
	var (
		in                                  Init
		of                                  asn1.ObjectIdentifier
		frame, choice, message, field, list cryptobyte.String
	)
	all := cryptobyte.String(b)
	if !all.ReadASN1(&frame, application0) || !all.Empty() || !frame.ReadASN1ObjectIdentifier(&of) || !of.Equal(itself) ||
		!frame.ReadASN1(&choice, context0) || !frame.Empty() || !choice.ReadASN1(&message, tag.SEQUENCE) || !choice.Empty() ||
		!message.ReadASN1(&field, context0) || !field.ReadASN1(&list, tag.SEQUENCE) || !field.Empty() {
		return Init{}, fmt.Errorf("%w: no NegTokenInit", ErrToken)
	}
	for !list.Empty() {
		var m asn1.ObjectIdentifier
		if len(in.Mechanisms) == maxMechanisms || !list.ReadASN1ObjectIdentifier(&m) {
			return Init{}, fmt.Errorf("%w: its list of mechanisms cannot be read, or has more than %d", ErrToken, maxMechanisms)
		}
		in.Mechanisms = append(in.Mechanisms, m)
	}
	if len(in.Mechanisms) == 0 {
		return Init{}, fmt.Errorf("%w: it offers no mechanism", ErrToken)
	}
	var mic []byte
	if !message.SkipOptionalASN1(context1) || !readOctets(&message, &in.Token, context2) || !readOctets(&message, &mic, context3) || !message.Empty() {
		return Init{}, fmt.Errorf("%w: no NegTokenInit", ErrToken)
	}
	return in, nil
}

// ParseResponse reads a NegTokenResp.
func ParseResponse(b []byte) (Response, error) {
	if len(b) > maxToken {
		return Response{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrToken, len(b), maxToken)
	}
	var (
		r                      = Response{State: NoState}
		choice, message, field cryptobyte.String
		there                  bool
	)
	wrong := fmt.Errorf("%w: no NegTokenResp", ErrToken)
	all := cryptobyte.String(b)
	if !all.ReadASN1(&choice, context1) || !all.Empty() || !choice.ReadASN1(&message, tag.SEQUENCE) || !choice.Empty() {
		return Response{}, wrong
	}
	if !message.ReadOptionalASN1(&field, &there, context0) {
		return Response{}, wrong
	}
	if there {
		var state int
		if !field.ReadASN1Enum(&state) || !field.Empty() || state < int(AcceptCompleted) || state > int(RequestMIC) {
			return Response{}, wrong
		}
		r.State = State(state)
	}
	if !message.ReadOptionalASN1(&field, &there, context1) || there && (!field.ReadASN1ObjectIdentifier(&r.Mechanism) || !field.Empty()) {
		return Response{}, wrong
	}
	if !readOctets(&message, &r.Token, context2) || !readOctets(&message, &r.MIC, context3) || !message.Empty() {
		return Response{}, wrong
	}
	return r, nil
}

func readOctets(s *cryptobyte.String, value *[]byte, at tag.Tag) bool {
	var there bool
	var octets []byte
	if !s.ReadOptionalASN1OctetString(&octets, &there, at) {
		return false
	}
	if there {
		*value = append([]byte{}, octets...)
	}
	return true
}
