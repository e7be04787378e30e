package endpoint

import (
	"fmt"
	"slices"
	"strings"

	"ciscora/internal/nearest"
	"ciscora/ra/check"
	"ciscora/ra/check/hello"
)

// A client is a product whose hello is known, and what becomes of it where a server
// does not take that hello.
type client struct {
	name, what string
	offer      func(server string) hello.Client
	finding    check.Finding // symptom, reason and fix
}

// phoneSuites are all that a 7962G with firmware 9.1.1 offers, in its order.
func phoneSuites() []hello.Suite { return named("AES256-SHA", "AES128-SHA") }

func named(list ...string) (suites []hello.Suite) {
	for _, name := range list {
		if s, ok := hello.SuiteByName(name); ok {
			suites = append(suites, s)
		}
	}
	return suites
}

// usual are the suites that a product with its defaults offers.
func usual(v hello.Version) []hello.Suite {
	return slices.DeleteFunc(hello.SuitesOf(v), func(s hello.Suite) bool { return s.Weak() != "" && s.Weak() != "RC4" })
}

func clients() []client {
	return []client{
		{
			name: "tms", what: "TMS before 15, or with Communication Security at Medium (TLS 1.0 alone)",
			offer: func(server string) hello.Client { return hello.Offer(hello.TLS10, usual(hello.TLS10), server) },
			finding: check.Finding{
				Symptom: "TMS shows \"no HTTPS response\"; in a capture a Client Hello of TLS 1.0 is reset, and TMS goes on at port 80 with GET /tcs/systemunit.xml HTTP/1.1",
				Reason:  "the server takes no TLS 1.0, as endpoints from TC 7.3.6 and CE 8.1.0 on, and such a TMS offers nothing else",
				Fix: `On TMS's Windows, in SCHANNEL\Protocols, for TLS 1.1 and TLS 1.2, Client and Server: DisabledByDefault = 0, Enabled = 1. ` +
					"TMS 15 and later: in TMS Tools set Communication Security to Medium-High, restart IIS and TMSDatabaseScannerService. Earlier ones cannot (CSCuz71542): upgrade",
			},
		},
		{
			name: "7962g", what: "a VPN phone such as the 7962G (TLS 1.0 with AES256-SHA or AES128-SHA)",
			offer: func(string) hello.Client {
				c := hello.Offer(hello.TLS10, phoneSuites(), "")
				c.Groups = nil // it knows no curves
				return c
			},
			finding: check.Finding{
				Symptom: "the ASA logs %ASA-7-725014: SSL lib error. Function: SSL3_GET_CLIENT_HELLO Reason: no shared cipher",
				Reason:  "such a phone offers AES256-SHA and AES128-SHA alone, up to TLS 1.0, and the server does not take that",
				Fix:     "On the ASA: ssl encryption aes256-sha1 aes128-sha1 (9.3 and later: ssl cipher tlsv1 custom \"AES256-SHA:AES128-SHA\"), and ssl server-version tlsv1; look with show run all ssl",
			},
		},
		{
			name: "ces", what: "CES of CUCM 12.5 (TLS 1.0 to 1.2)",
			offer: func(server string) hello.Client { return hello.Offer(hello.TLS12, usual(hello.TLS12), server) },
			finding: check.Finding{
				Symptom: "CES logs Curl call for MS CA login failed with return code 35",
				Reason:  "curl of CES 12.5 speaks no TLS 1.3, and the server takes none of the versions before with a cipher that it has",
				Fix:     "Let the server take TLS 1.2, with a cipher such as ECDHE-RSA-AES128-GCM-SHA256",
			},
		},
	}
}

// ClientNames are the clients that are known.
func ClientNames() []string {
	var all []string
	for _, c := range clients() {
		all = append(all, c.name)
	}
	return all
}

// ClientsHelp is a line a client, for a command's help.
func ClientsHelp() string {
	var b strings.Builder
	for _, c := range clients() {
		fmt.Fprintf(&b, "  %-7s %s\n", c.name, c.what)
	}
	return b.String()
}

// clientsNamed are the client of a name, or all where there is none.
func clientsNamed(name string) ([]client, error) {
	all := clients()
	if name == "" {
		return all, nil
	}
	i := slices.IndexFunc(all, func(c client) bool { return c.name == name })
	if i >= 0 {
		return all[i : i+1], nil
	}
	if near := nearest.Name(name, ClientNames()); near != "" {
		return nil, fmt.Errorf("--as %q: did you mean %s?", shown(name), near)
	}
	return nil, fmt.Errorf("--as %q: known are %s", shown(name), strings.Join(ClientNames(), ", "))
}
