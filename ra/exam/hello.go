package exam

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RFC 6066 has no other
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// hello is a Client Hello (RFC 5246 section 7.4.1.2, RFC 8446 section 4.1.2).
type hello struct {
	version       uint16 // the newest that is offered
	suites        []uint16
	serverName    string
	alpn          []string
	renegotiation bool     // RFC 5746 is known
	authorities   [][]byte // that it trusts: names, or SHA-1 hashes of keys or certificates
}

// parseHello reads what came first on a connection; false where that is no Client Hello,
// or half of one.
func parseHello(stream []byte) (hello, bool) {
	var h hello
	// The message may be spread over several records.
	var message []byte
	for s := cryptobyte.String(stream); !s.Empty(); {
		var kind uint8
		var version uint16
		var content cryptobyte.String
		if !s.ReadUint8(&kind) || !s.ReadUint16(&version) || !s.ReadUint16LengthPrefixed(&content) || kind != 22 {
			break
		}
		message = append(message, content...)
	}
	s := cryptobyte.String(message)
	var kind uint8
	var body cryptobyte.String
	if !s.ReadUint8(&kind) || kind != 1 || !s.ReadUint24LengthPrefixed(&body) {
		return h, false
	}
	var session, suites, compressions, extensions cryptobyte.String
	if !body.ReadUint16(&h.version) || !body.Skip(32) || !body.ReadUint8LengthPrefixed(&session) ||
		!body.ReadUint16LengthPrefixed(&suites) || !body.ReadUint8LengthPrefixed(&compressions) {
		return h, false
	}
	for !suites.Empty() {
		var suite uint16
		if !suites.ReadUint16(&suite) {
			return h, false
		}
		if suite == 0x00ff { // TLS_EMPTY_RENEGOTIATION_INFO_SCSV
			h.renegotiation = true
			continue
		}
		h.suites = append(h.suites, suite)
	}
	if body.Empty() {
		return h, true
	}
	if !body.ReadUint16LengthPrefixed(&extensions) {
		return h, false
	}
	for !extensions.Empty() {
		var number uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&number) || !extensions.ReadUint16LengthPrefixed(&data) {
			return h, false
		}
		h.extension(number, data)
	}
	return h, true
}

func (h *hello) extension(number uint16, data cryptobyte.String) {
	var list cryptobyte.String
	switch number {
	case 0: // server_name
		var kind uint8
		var name cryptobyte.String
		if data.ReadUint16LengthPrefixed(&list) && list.ReadUint8(&kind) && list.ReadUint16LengthPrefixed(&name) {
			h.serverName = string(name)
		}
	case 16: // application_layer_protocol_negotiation
		if !data.ReadUint16LengthPrefixed(&list) {
			return
		}
		for !list.Empty() {
			var name cryptobyte.String
			if !list.ReadUint8LengthPrefixed(&name) {
				return
			}
			h.alpn = append(h.alpn, string(name))
		}
	case 43: // supported_versions
		if !data.ReadUint8LengthPrefixed(&list) {
			return
		}
		for !list.Empty() {
			var version uint16
			if !list.ReadUint16(&version) {
				return
			}
			if version&0x0f0f != 0x0a0a && version <= tls.VersionTLS13 { // RFC 8701
				h.version = max(h.version, version)
			}
		}
	case 3: // trusted_ca_keys (RFC 6066 section 6)
		if !data.ReadUint16LengthPrefixed(&list) {
			return
		}
		for !list.Empty() {
			var kind uint8
			var id cryptobyte.String
			ok := list.ReadUint8(&kind)
			switch kind {
			case 0: // agreed on before, which names nobody
				continue
			case 2:
				ok = ok && list.ReadUint16LengthPrefixed(&id)
			default:
				ok = ok && list.ReadBytes((*[]byte)(&id), sha1.Size)
			}
			if !ok {
				return
			}
			h.authorities = append(h.authorities, id)
		}
	case 47: // certificate_authorities (RFC 8446 section 4.2.4)
		if !data.ReadUint16LengthPrefixed(&list) {
			return
		}
		for !list.Empty() {
			var name cryptobyte.String
			if !list.ReadUint16LengthPrefixed(&name) {
				return
			}
			h.authorities = append(h.authorities, name)
		}
	case 0xff01: // renegotiation_info
		h.renegotiation = true
	}
}

// trusts tells whether a CA is among those that are named.
func (h hello) trusts(ca *x509.Certificate) bool {
	key := ca.RawSubjectPublicKeyInfo
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(key, &info); err == nil {
		key = info.Key.Bytes
	}
	if public, ok := ca.PublicKey.(*rsa.PublicKey); ok {
		key = public.N.Bytes()
	}
	certificateSum, keySum := sha1.Sum(ca.Raw), sha1.Sum(key)
	return slices.ContainsFunc(h.authorities, func(a []byte) bool {
		return bytes.Equal(a, ca.RawSubject) || bytes.Equal(a, certificateSum[:]) || bytes.Equal(a, keySum[:])
	})
}

// weak are the suites that a client must not offer (RFC 7030 section 3.2.3 and 6): those
// without encryption, without authentication, of export strength, and DES.
func weak(suite uint16) string {
	switch {
	case suite == 0x0000, suite == 0x0001, suite == 0x0002, suite == 0x003b, suite >= 0x002c && suite <= 0x002e,
		suite >= 0x00b0 && suite <= 0x00b1, suite >= 0x00b4 && suite <= 0x00b5, suite >= 0x00b8 && suite <= 0x00b9,
		suite == 0xc001, suite == 0xc006, suite == 0xc00b, suite == 0xc010, suite == 0xc015:
		return "NULL"
	case suite >= 0x0017 && suite <= 0x001b, suite == 0x0034, suite == 0x003a, suite == 0x0046, suite == 0x006c, suite == 0x006d,
		suite == 0x0089, suite == 0x009b, suite >= 0x00a6 && suite <= 0x00a7, suite >= 0xc016 && suite <= 0xc019:
		return "anonymous"
	case suite == 0x0003, suite == 0x0006, suite == 0x0008, suite == 0x000b, suite == 0x000e, suite == 0x0011, suite == 0x0014,
		suite >= 0x0026 && suite <= 0x002b:
		return "EXPORT"
	case suite == 0x0009, suite == 0x000c, suite == 0x000f, suite == 0x0012, suite == 0x0015, suite == 0x001e, suite == 0x0022:
		return "DES"
	}
	return ""
}
