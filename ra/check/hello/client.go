package hello

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// A Client is a Client Hello: what one offers.
type Client struct {
	Record   Version   // of the record around it
	Version  Version   // the highest, up to TLS 1.2
	Versions []Version // of the extension that TLS 1.3 brought; empty = there is none
	Suites   []uint16  // without signals and GREASE
	Name     string    // of the server (SNI); "" = none
	Groups   []uint16
	Schemes  []uint16 // signature algorithms
	ALPN     []string
	Fallback bool // TLS_FALLBACK_SCSV: an earlier hello with more has failed
	SSL2     bool // in the form of SSL 2.0, which can be read but not written
}

// Highest is the highest version that is offered.
func (c Client) Highest() Version {
	highest := c.Version
	for _, v := range c.Versions {
		highest = max(highest, v)
	}
	return highest
}

// Extensions that are written and read.
const (
	extensionName      = 0
	extensionGroups    = 10
	extensionPoints    = 11
	extensionSchemes   = 13
	extensionALPN      = 16
	extensionVersions  = 43
	extensionKeyShare  = 51
	groupX25519        = 0x001d
	maxExtensions      = 64
	maxListed          = 512 // suites, groups and so on that are kept
	maxProtocol        = 64
	sessionIDLength    = 32
	randomLength       = 32
	nullCompression    = 0
	uncompressedPoints = 0
	hostName           = 0
)

// Groups and signature algorithms of an offer, for what the servers of twenty years
// take.
var (
	offeredGroups  = []uint16{groupX25519, 0x0017, 0x0018, 0x0019, 0x0016, 0x0100, 0x0101} // X25519, P-256, P-384, P-521, secp256k1, ffdhe2048 and 3072
	rsaSchemes     = []uint16{0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0301, 0x0201}
	ecdsaSchemes   = []uint16{0x0403, 0x0503, 0x0603, 0x0303, 0x0203}
	otherSchemes   = []uint16{0x0807, 0x0402, 0x0202}
	offeredSchemes = slices.Concat(ecdsaSchemes, rsaSchemes, otherSchemes)
)

// Offer is a hello of one version alone with these suites.
func Offer(v Version, suites []Suite, name string) Client {
	c := Client{Record: min(v, TLS10), Version: min(v, TLS12), Suites: IDs(suites), Name: name}
	if v == TLS13 {
		c.Versions = []Version{TLS13}
	}
	if v > SSL30 {
		c.Groups = offeredGroups
	}
	if v >= TLS12 {
		c.Schemes = offeredSchemes
	}
	return c
}

// Marshal writes the hello as a record. Its random values are read from random.
func (c Client) Marshal(random io.Reader) ([]byte, error) {
	if c.SSL2 {
		return nil, errors.New("hello: the form of SSL 2.0 is not written")
	}
	var fresh [randomLength + sessionIDLength]byte
	if _, err := io.ReadFull(random, fresh[:]); err != nil {
		return nil, fmt.Errorf("hello: random values: %w", err)
	}
	var b cryptobyte.Builder
	b.AddUint16(uint16(c.Version))
	b.AddBytes(fresh[:randomLength])
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		if slices.Contains(c.Versions, TLS13) {
			b.AddBytes(fresh[randomLength:]) // RFC 8446 appendix D.4: boxes on the way want one
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		addAll(b, c.Suites)
		b.AddUint16(renegotiationSignal)
		if c.Fallback {
			b.AddUint16(fallbackSignal)
		}
	})
	b.AddBytes([]byte{1, nullCompression})
	if c.Version > SSL30 { // it has no extensions
		b.AddUint16LengthPrefixed(c.addExtensions)
	}
	body, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("hello: %w", err)
	}
	payload := message(messageClientHello, body)
	if len(payload) > 1<<14 {
		return nil, errors.New("hello: it does not fit into one record")
	}
	return record(recordHandshake, c.Record, payload), nil
}

func addAll(b *cryptobyte.Builder, values []uint16) {
	for _, v := range values {
		b.AddUint16(v)
	}
}

func (c Client) addExtensions(b *cryptobyte.Builder) {
	add := func(number uint16, there bool, body func(b *cryptobyte.Builder)) {
		if there {
			b.AddUint16(number)
			b.AddUint16LengthPrefixed(body)
		}
	}
	list := func(values []uint16) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { addAll(b, values) })
		}
	}
	add(extensionName, c.Name != "", func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(hostName)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(c.Name)) })
		})
	})
	add(extensionGroups, len(c.Groups) > 0, list(c.Groups))
	add(extensionPoints, len(c.Groups) > 0, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, uncompressedPoints}) })
	add(extensionSchemes, len(c.Schemes) > 0, list(c.Schemes))
	add(extensionALPN, len(c.ALPN) > 0, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, p := range c.ALPN {
				b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(p)) })
			}
		})
	})
	add(extensionVersions, len(c.Versions) > 0, func(b *cryptobyte.Builder) {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, v := range c.Versions {
				b.AddUint16(uint16(v))
			}
		})
	})
	add(extensionKeyShare, slices.Contains(c.Versions, TLS13), func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(groupX25519)
			// No key is ever agreed on: the curve's base point (RFC 7748 §4.1) serves as
			// well as any.
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(append([]byte{9}, make([]byte, 31)...)) })
		})
	})
}

// ReadClient reads a Client Hello, also one in the form of SSL 2.0. What is no hello is
// a *NotTLS.
func ReadClient(r io.Reader) (Client, error) {
	var begins [3]byte
	n, err := io.ReadFull(r, begins[:])
	if n == 3 && begins[0]&0x80 != 0 && begins[2] == messageClientHello {
		return readSSL2(r, int(begins[0]&0x7f)<<8|int(begins[1]))
	}
	if n > 0 && (begins[0] != recordHandshake || n > 1 && begins[1] != 3) {
		return Client{}, &NotTLS{Begins: begin(begins[:n], r)}
	}
	if err != nil {
		return Client{}, err
	}
	m := messages{r: io.MultiReader(bytes.NewReader(begins[:]), r)}
	kind, body, err := m.next()
	if err != nil {
		return Client{}, err
	}
	if kind != messageClientHello {
		return Client{}, fmt.Errorf("handshake message %d where a Client Hello was due", kind)
	}
	c, err := parseClient(body)
	c.Record = m.version
	return c, err
}

// begin is what was read and the little more that is there already: enough to tell by.
func begin(read []byte, r io.Reader) []byte {
	more := make([]byte, 61)
	n, _ := r.Read(more) // whatever there is
	return append(slices.Clone(read), more[:n]...)
}

var errMalformed = errors.New("a Client Hello that cannot be read")

func parseClient(body []byte) (Client, error) {
	var c Client
	s := cryptobyte.String(body)
	var version uint16
	var session, suites, compression, extensions cryptobyte.String
	if !s.ReadUint16(&version) || !s.Skip(randomLength) || !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16LengthPrefixed(&suites) ||
		!s.ReadUint8LengthPrefixed(&compression) {
		return c, errMalformed
	}
	c.Version = Version(version)
	for !suites.Empty() {
		var id uint16
		if !suites.ReadUint16(&id) {
			return c, errMalformed
		}
		c.addSuite(id)
	}
	if s.Empty() {
		return c, nil
	}
	if !s.ReadUint16LengthPrefixed(&extensions) {
		return c, errMalformed
	}
	for n := 0; !extensions.Empty(); n++ {
		var number uint16
		var value cryptobyte.String
		if n == maxExtensions || !extensions.ReadUint16(&number) || !extensions.ReadUint16LengthPrefixed(&value) || !c.readExtension(number, value) {
			return c, errMalformed
		}
	}
	return c, nil
}

func (c *Client) addSuite(id uint16) {
	switch {
	case id == fallbackSignal:
		c.Fallback = true
	case id == renegotiationSignal, grease(id), len(c.Suites) == maxListed:
	default:
		c.Suites = append(c.Suites, id)
	}
}

// readExtension reads what a report tells of; the others are passed over.
func (c *Client) readExtension(number uint16, value cryptobyte.String) bool {
	var list cryptobyte.String
	switch number {
	case extensionName:
		var kind uint8
		var name cryptobyte.String
		if !value.ReadUint16LengthPrefixed(&list) || !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) {
			return false
		}
		if kind == hostName && len(name) <= 255 {
			c.Name = string(name)
		}
	case extensionGroups:
		return value.ReadUint16LengthPrefixed(&list) && readValues(list, &c.Groups)
	case extensionSchemes:
		return value.ReadUint16LengthPrefixed(&list) && readValues(list, &c.Schemes)
	case extensionVersions:
		var values []uint16
		if !value.ReadUint8LengthPrefixed(&list) || !readValues(list, &values) {
			return false
		}
		for _, v := range values {
			c.Versions = append(c.Versions, Version(v))
		}
	case extensionALPN:
		if !value.ReadUint16LengthPrefixed(&list) {
			return false
		}
		for !list.Empty() {
			var p cryptobyte.String
			if !list.ReadUint8LengthPrefixed(&p) {
				return false
			}
			if len(c.ALPN) < 16 && len(p) <= maxProtocol {
				c.ALPN = append(c.ALPN, string(p))
			}
		}
	}
	return true
}

func readValues(list cryptobyte.String, into *[]uint16) bool {
	for !list.Empty() {
		var v uint16
		if !list.ReadUint16(&v) {
			return false
		}
		if !grease(v) && len(*into) < maxListed {
			*into = append(*into, v)
		}
	}
	return true
}

// readSSL2 reads the form of RFC 5246 appendix E.2, behind its first three bytes: old
// Windows and OpenSSL 0.9.8 write it where SSL 2.0 is not switched off.
func readSSL2(r io.Reader, size int) (Client, error) {
	const header = 9 // type, version and three lengths
	if size < header || size > 1<<12 {
		return Client{}, errMalformed
	}
	body := make([]byte, size-1)
	if _, err := io.ReadFull(r, body); err != nil {
		return Client{}, err
	}
	c := Client{Version: Version(binary.BigEndian.Uint16(body)), SSL2: true}
	suites := int(binary.BigEndian.Uint16(body[2:]))
	if suites%3 != 0 || suites > len(body)-8 {
		return c, errMalformed
	}
	for list := body[8 : 8+suites]; len(list) > 0; list = list[3:] {
		if list[0] == 0 { // the others are ciphers of SSL 2.0
			c.addSuite(binary.BigEndian.Uint16(list[1:]))
		}
	}
	return c, nil
}
