package hello

import "fmt"

// A Version is a protocol version as it stands in the hellos.
type Version uint16

// The versions of the protocol.
const (
	SSL30 Version = 0x0300
	TLS10 Version = 0x0301
	TLS11 Version = 0x0302
	TLS12 Version = 0x0303
	TLS13 Version = 0x0304
)

// Versions are all of them, oldest first.
func Versions() []Version { return []Version{SSL30, TLS10, TLS11, TLS12, TLS13} }

func (v Version) String() string {
	switch {
	case v == SSL30:
		return "SSL 3.0"
	case v >= TLS10 && v <= TLS13:
		return fmt.Sprintf("TLS 1.%d", v-TLS10)
	case v == 0x0002:
		return "SSL 2.0"
	}
	return fmt.Sprintf("version 0x%04x", uint16(v))
}
