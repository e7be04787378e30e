package explain_test

import (
	"testing"

	"ciscora/ra/explain/explaintest"
)

// ra check --config offers one version after another. A client offers those that it has.
func TestTheHandshakesOfACheckAreNoFailure(t *testing.T) {
	const head = `{"level":"warn","ts":"2026-11-27T10:44:45.97Z","msg":"http: TLS handshake error from `
	const old = head + `127.0.0.1:44118: tls: client offered only unsupported versions: [301]"}` + "\n"
	const newer = head + `127.0.0.1:44122: tls: client offered only unsupported versions: [302]"}` + "\n"
	const silent = head + `127.0.0.1:44090: EOF"}` + "\n"
	const elsewhere = head + `192.0.2.7:44090: tls: client offered only unsupported versions: [302 301]"}` + "\n"
	const later = `{"level":"warn","ts":"2026-11-27T12:00:00Z","msg":"http: TLS handshake error from 127.0.0.1:1: tls: client offered only unsupported versions: [302]"}` + "\n"
	c := catalog(t)
	for name, test := range map[string]struct {
		log    string
		failed bool
	}{
		"a check":                      {silent + old + newer, false},
		"a client that is too old":     {old + old, true},
		"one that comes again later":   {old + later, true},
		"a client beside a check":      {silent + old + newer + elsewhere, true},
		"one that says nothing, alone": {silent, true},
		"two clients with one version": {old + elsewhere, true},
	} {
		t.Run(name, func(t *testing.T) {
			report := read(t, c, explaintest.Input("ra.log", []byte(test.log)))
			if report.Failed() != test.failed || !report.Readable() {
				t.Errorf("%s", printed(t, report))
			}
		})
	}
}
