package hello

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What is read of a peer at the most: a hello of RFC 8446 has less than 64 KiB, and a
// server's certificates are a few KiB.
const (
	maxRecord  = 1<<14 + 2048 // RFC 5246 §6.2.3
	maxMessage = 1 << 18
	maxRecords = 1024 // empty ones are bytes, too
)

// Types of records.
const (
	recordChangeCipher = 20
	recordAlert        = 21
	recordHandshake    = 22
)

// Types of handshake messages.
const (
	messageClientHello        = 1
	messageServerHello        = 2
	messageCertificate        = 11
	messageServerKeyExchange  = 12
	messageCertificateRequest = 13
	messageServerHelloDone    = 14
)

// An Alert is a server's refusal in its own words.
type Alert struct{ Level, Code uint8 }

// Alerts that tell something about a hello.
const (
	alertCloseNotify      = 0
	alertHandshakeFailure = 40
	AlertProtocolVersion  = 70 // it takes none of the versions
	alertUnrecognizedName = 112
)

const alertFatal = 2

// Error names the alert as RFC 8446 §6 does.
func (a Alert) Error() string {
	name := map[uint8]string{
		0: "close notify", 10: "unexpected message", 20: "bad record MAC", 22: "record overflow", 40: "handshake failure", 42: "bad certificate",
		43: "unsupported certificate", 44: "certificate revoked", 45: "certificate expired", 46: "certificate unknown", 47: "illegal parameter",
		48: "unknown CA", 49: "access denied", 50: "decode error", 51: "decrypt error", 70: "protocol version", 71: "insufficient security",
		80: "internal error", 86: "inappropriate fallback", 90: "user canceled", 100: "no renegotiation", 109: "missing extension",
		110: "unsupported extension", 112: "unrecognized name", 116: "certificate required", 120: "no application protocol",
	}[a.Code]
	if name == "" {
		name = "unknown"
	}
	return fmt.Sprintf("alert %d, %s", a.Code, name)
}

// A NotTLS is what came where a record of TLS was due: its beginning.
type NotTLS struct{ Begins []byte }

func (e *NotTLS) Error() string { return fmt.Sprintf("no TLS: %.24q", e.Begins) }

var errTooMuch = errors.New("more than a hello may have")

// messages reads handshake messages out of records.
type messages struct {
	r       io.Reader
	version Version // of the last record
	records int
	kept    []byte
}

// next returns a message's type and its body, or an Alert as an error.
func (m *messages) next() (kind uint8, body []byte, err error) {
	for {
		if len(m.kept) >= 4 {
			size := int(m.kept[1])<<16 | int(m.kept[2])<<8 | int(m.kept[3])
			if size > maxMessage {
				return 0, nil, errTooMuch
			}
			if len(m.kept) >= 4+size {
				kind, body, m.kept = m.kept[0], m.kept[4:4+size], m.kept[4+size:]
				return kind, body, nil
			}
		}
		if err := m.record(); err != nil {
			return 0, nil, err
		}
	}
}

func (m *messages) record() error {
	if m.records++; m.records > maxRecords {
		return errTooMuch
	}
	var header [5]byte
	n, err := io.ReadFull(m.r, header[:])
	if n > 0 && (header[0] < recordChangeCipher || header[0] > recordHandshake || n > 1 && header[1] != 3) {
		return &NotTLS{Begins: append([]byte(nil), header[:n]...)}
	}
	if err != nil {
		return err
	}
	m.version = Version(binary.BigEndian.Uint16(header[1:]))
	size := int(binary.BigEndian.Uint16(header[3:]))
	if size > maxRecord || len(m.kept)+size > maxMessage+4 {
		return errTooMuch
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(m.r, body); err != nil {
		return err
	}
	switch header[0] {
	case recordHandshake:
		m.kept = append(m.kept, body...)
	case recordAlert:
		if len(body) != 2 {
			return errors.New("an alert that cannot be read")
		}
		a := Alert{Level: body[0], Code: body[1]}
		if a.Level == alertFatal || a.Code == alertCloseNotify {
			return a
		}
		// A warning, such as of a name that is not known: the hello follows.
	}
	return nil
}

// record puts a record around a payload that fits into one.
func record(kind uint8, v Version, payload []byte) []byte {
	out := []byte{kind, byte(v >> 8), byte(v), byte(len(payload) >> 8), byte(len(payload))}
	return append(out, payload...)
}

// message puts a handshake message's header before its body.
func message(kind uint8, body []byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}
