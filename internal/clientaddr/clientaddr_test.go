package clientaddr_test

import (
	"testing"

	"ciscora/internal/clientaddr"
)

func TestOneClientIsAnIPv4AddressOrASlash64(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:1234":                "192.0.2.7",
		"192.0.2.7":                     "192.0.2.7",
		"[::ffff:192.0.2.7]:1":          "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:443":    "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff:ffff:ffff:1": "2001:db8:1:2::/64",
		"[2001:db8:1:3::6]:443":         "2001:db8:1:3::/64",
		"[fe80::1%eth0]:5":              "fe80::/64",
		"pipe":                          "pipe",
		"pipe:5":                        "pipe",
		"":                              "",
	} {
		if got := clientaddr.Of(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
