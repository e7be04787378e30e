package main

import (
	"strings"
	"testing"
)

func TestAnESTServersURLIsTakenAsItIsPrinted(t *testing.T) {
	for raw, want := range map[string]struct{ server, label string }{
		"https://127.0.0.1:8084":                                      {"https://127.0.0.1:8084", ""},
		"https://127.0.0.1:8084/":                                     {"https://127.0.0.1:8084/", ""},
		"https://127.0.0.1:8084/.well-known/est":                      {"https://127.0.0.1:8084", ""},
		"https://127.0.0.1:8084/.well-known/est/":                     {"https://127.0.0.1:8084", ""},
		"https://ra.example.com/.well-known/est/wifi":                 {"https://ra.example.com", "wifi"},
		"https://[::1]:8084/.well-known/est/fault:est.any:hang/":      {"https://[::1]:8084", "fault:est.any:hang"},
		"https://ra.example.com/.well-known/estate":                   {"https://ra.example.com/.well-known/estate", ""},
		"https://ra.example.com/certsrv":                              {"https://ra.example.com/certsrv", ""},
		"https://me:secret@ra.example.com/.well-known/est/wifi":       {"https://me:secret@ra.example.com", "wifi"},
		"https://ra.example.com/.well-known/est/wifi?password=secret": {"https://ra.example.com/.well-known/est/wifi?password=secret", ""},
	} {
		server, label, err := splitESTURL(raw)
		if server != want.server || label != want.label || err != nil {
			t.Errorf("%s: %q, %q, %v; want %+v", raw, server, label, err, want)
		}
	}
}

func TestAnESTServersURLHasNoOperation(t *testing.T) {
	for _, raw := range []string{
		"https://ra.example.com/.well-known/est/cacerts",
		"https://me:secret@ra.example.com/.well-known/est/wifi/simpleenroll",
	} {
		if server, label, err := splitESTURL(raw); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %q, %q, %v; want an error without a password", raw, server, label, err)
		}
	}
}

func FuzzAnESTServersURL(f *testing.F) {
	f.Add("https://127.0.0.1:8084/.well-known/est/wifi")
	f.Add("https://me:secret@host/.well-known/est/a/b")
	f.Fuzz(func(t *testing.T, raw string) {
		server, label, err := splitESTURL(raw)
		if err == nil && (strings.Contains(label, "/") || label == "" && server == "" && raw != "") {
			t.Errorf("%q: %q, %q", raw, server, label)
		}
	})
}
