package exam

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Predicates about Client Hellos.

// eachHello is the first problem of a Client Hello; that none came is one, too.
func (r *run) eachHello(problem func(hello) string) string {
	none := true
	for _, c := range r.connections {
		h, ok := parseHello(c.first)
		if !ok {
			continue
		}
		none = false
		if p := problem(h); p != "" {
			return p
		}
	}
	if none {
		return "no Client Hello came"
	}
	return ""
}

func ciphersProblem(r *run) string {
	return r.eachHello(func(h hello) string {
		for _, suite := range h.suites {
			if kind := weak(suite); kind != "" {
				return fmt.Sprintf("a suite of the %s kind is offered (0x%04X)", kind, suite)
			}
		}
		return ""
	})
}

func renegotiationProblem(r *run) string {
	return r.eachHello(func(h hello) string {
		// One that offers TLS 1.3 alone has nothing to renegotiate.
		if !h.renegotiation && slices.ContainsFunc(h.suites, func(s uint16) bool { return s>>8 != 0x13 && s&0x0f0f != 0x0a0a }) {
			return "TLS 1.2 is offered without renegotiation_info and without its signalling suite"
		}
		return ""
	})
}

func sniProblem(r *run) string {
	return r.eachHello(func(h hello) string {
		isAddress := net.ParseIP(r.name) != nil
		switch {
		case isAddress && h.serverName != "":
			return fmt.Sprintf("server_name is %q, where the server is named by its address", h.serverName)
		case !isAddress && h.serverName != r.name:
			return fmt.Sprintf("server_name is %q and not %q", h.serverName, r.name)
		}
		return ""
	})
}

// indicationProblem: each Client Hello names a CA of {cacert} (RFC 6066 section 6).
func indicationProblem(r *run) string {
	anchors := certificatesIn(r.anchors)
	return r.eachHello(func(h hello) string {
		switch {
		case len(h.authorities) == 0:
			return "a Client Hello has neither trusted_ca_keys nor certificate_authorities"
		case !slices.ContainsFunc(anchors, h.trusts):
			return "a Client Hello names CAs, and none of {cacert}"
		}
		return ""
	})
}

func versionName(v uint16) string { return strings.TrimPrefix(tls.VersionName(v), "TLS ") }
