package exam

// ReadsHello tells whether what came first on a connection is a Client Hello.
func ReadsHello(stream []byte) (serverName string, ok bool) {
	h, ok := parseHello(stream)
	return h.serverName, ok
}
