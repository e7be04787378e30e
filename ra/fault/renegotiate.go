package fault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net"
	"slices"
	"strings"
)

// crypto/tls begins no renegotiation. So a Hello Request (RFC 5246 section 7.4.1.1) is put
// behind the server's Finished, and each later record of the server's is encrypted anew
// with the number that it has then. What a client makes of it is for crypto/tls to answer:
// to a Client Hello with a fatal alert; a warning, or nothing at all, lets it go on.

// The records of TLS 1.2 that matter, and the messages in them.
const (
	recordChangeCipherSpec = 20
	recordHandshake        = 22
	recordHeader           = 5
	messageServerHello     = 2
	explicitNonce          = 8 // of AES-GCM (RFC 5288 section 3)
	saltLength             = 4
	randomLength           = 32
)

// renegotiated are the suites under which it can be done: those of AES-GCM.
func renegotiated() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	}
}

// renegotiate prepares a connection and its configuration.
func renegotiate(conn net.Conn, config *tls.Config) error {
	for {
		if disturbed, ok := conn.(*disturbedConn); ok {
			disturbed.renegotiation = &renegotiation{}
			config.MinVersion, config.MaxVersion, config.CipherSuites = tls.VersionTLS12, tls.VersionTLS12, renegotiated()
			config.SessionTicketsDisabled = true
			config.KeyLogWriter = disturbed.renegotiation
			return nil
		}
		beneath, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return errors.New("the connection is not one of this registry's listeners")
		}
		conn = beneath.NetConn()
	}
}

// renegotiation is what a connection knows of its TLS session. The handshake's goroutine
// alone uses it until the handshake is over, and after that who holds crypto/tls's lock
// for writing.
type renegotiation struct {
	clientRandom, serverRandom, master []byte
	suite                              uint16

	aead   cipher.AEAD // nil until the server's Change Cipher Spec
	salt   []byte
	number uint64 // of the next record as crypto/tls counts
}

// Write takes a line of crypto/tls's log of keys: CLIENT_RANDOM, the client's random and
// the master secret.
func (n *renegotiation) Write(line []byte) (int, error) {
	fields := strings.Fields(string(line))
	if len(fields) != 3 || fields[0] != "CLIENT_RANDOM" {
		return 0, errors.New("no line of a key log of TLS 1.2")
	}
	var err, err2 error
	n.clientRandom, err = hex.DecodeString(fields[1])
	n.master, err2 = hex.DecodeString(fields[2])
	return len(line), errors.Join(err, err2)
}

// rewrite is what goes out in place of whole records of crypto/tls's.
func (n *renegotiation) rewrite(records []byte) ([]byte, error) {
	var out []byte
	for len(records) > 0 {
		if len(records) < recordHeader {
			return nil, errors.New("half a record")
		}
		length := recordHeader + int(binary.BigEndian.Uint16(records[3:]))
		if len(records) < length {
			return nil, errors.New("half a record")
		}
		record, err := n.record(records[:length])
		if err != nil {
			return nil, err
		}
		out, records = append(out, record...), records[length:]
	}
	return out, nil
}

// record is what goes out in place of one record.
func (n *renegotiation) record(record []byte) ([]byte, error) {
	kind, body := record[0], record[recordHeader:]
	if n.aead == nil {
		switch {
		case kind == recordChangeCipherSpec:
			return record, n.derive()
		case kind == recordHandshake && n.serverRandom == nil && body[0] == messageServerHello:
			return record, n.readHello(body)
		}
		return record, nil
	}
	number := n.number
	n.number++
	if number == 0 { // Finished
		return n.seal(slices.Clone(record), 1, recordHandshake, make([]byte, 4)), nil // a Hello Request is four zeros
	}
	if len(body) < explicitNonce {
		return nil, errors.New("a record without its nonce")
	}
	plain, err := n.aead.Open(nil, slices.Concat(n.salt, body[:explicitNonce]), body[explicitNonce:], additional(number, kind, len(body)-explicitNonce-n.aead.Overhead()))
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", number, err)
	}
	return n.seal(nil, number+1, kind, plain), nil
}

// readHello reads a Server Hello (RFC 5246 section 7.4.1.3): its random value and suite.
func (n *renegotiation) readHello(message []byte) error {
	const random = 4 + 2 // behind the message's header and the version
	const session = random + randomLength
	if len(message) <= session || len(message) < session+1+int(message[session])+2 {
		return errors.New("half a Server Hello")
	}
	n.serverRandom = slices.Clone(message[random:session])
	n.suite = binary.BigEndian.Uint16(message[session+1+int(message[session]):])
	return nil
}

// derive makes the key under which the server writes (RFC 5246 section 6.3).
func (n *renegotiation) derive() error {
	if n.master == nil || n.serverRandom == nil {
		return errors.New("the keys of the session are not known")
	}
	length, newHash := 16, sha256.New
	if strings.HasSuffix(tls.CipherSuiteName(n.suite), "AES_256_GCM_SHA384") {
		length, newHash = 32, sha512.New384
	}
	keys := prf(newHash, n.master, slices.Concat([]byte("key expansion"), n.serverRandom, n.clientRandom), 2*length+2*saltLength)
	block, err := aes.NewCipher(keys[length : 2*length]) // the client's is the first
	if err != nil {
		return err
	}
	n.salt = keys[2*length+saltLength:]
	n.aead, err = cipher.NewGCM(block)
	return err
}

// prf is P_hash (RFC 5246 section 5).
func prf(newHash func() hash.Hash, secret, seed []byte, length int) []byte {
	sum := func(parts ...[]byte) []byte {
		h := hmac.New(newHash, secret)
		for _, part := range parts {
			_, _ = h.Write(part) // a hash takes all
		}
		return h.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < length; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:length]
}

// seal appends a record with a number of its own.
func (n *renegotiation) seal(to []byte, number uint64, kind byte, plain []byte) []byte {
	nonce := binary.BigEndian.AppendUint64(nil, number)
	to = append(to, kind, 3, 3)
	to = binary.BigEndian.AppendUint16(to, uint16(explicitNonce+len(plain)+n.aead.Overhead()))
	to = append(to, nonce...)
	return n.aead.Seal(to, slices.Concat(n.salt, nonce), plain, additional(number, kind, len(plain)))
}

// additional is what a record's cipher authenticates besides (RFC 5246 section 6.2.3.3).
func additional(number uint64, kind byte, length int) []byte {
	b := binary.BigEndian.AppendUint64(nil, number)
	b = append(b, kind, 3, 3)
	return binary.BigEndian.AppendUint16(b, uint16(length))
}
