// Package clientaddr tells which addresses are one client.
package clientaddr

import (
	"net"
	"net/netip"
)

// v6Client is how much of an IPv6 address one client has: its network gives it the
// rest (RFC 4291 §2.5.1, RFC 6177), so that it can have 2^64 addresses.
const v6Client = 64

// Of returns what stands for the client at an address, with or without a port: an IPv4
// address, the /64 of an IPv6 address, or the text where it is no address of IP.
func Of(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, v6Client).Masked().String()
}
