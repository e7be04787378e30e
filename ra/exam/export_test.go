package exam

import (
	"crypto/x509"
	"maps"
	"slices"
)

// Words are the predicates of cards.
func Words() []string { return slices.Sorted(maps.Keys(words())) }

// ReadsHello tells whether what came first on a connection is a Client Hello.
func ReadsHello(stream []byte) (serverName string, ok bool) {
	h, ok := parseHello(stream)
	return h.serverName, ok
}

// HelloTrusts tells whether a Client Hello names a CA.
func HelloTrusts(stream []byte, ca *x509.Certificate) bool {
	h, ok := parseHello(stream)
	return ok && h.trusts(ca)
}
