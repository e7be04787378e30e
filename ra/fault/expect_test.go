package fault_test

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"ciscora/ra/fault"
)

func TestNoLeaveIsGivenToSendABody(t *testing.T) {
	for spec, test := range map[string]struct{ first, body, want string }{
		"expect=refused": {"", "", "HTTP/1.1 417 "},
		"expect=ignored": {"", "the CSR", "HTTP/1.1 200 "},
		"":               {"HTTP/1.1 100 Continue\r\n\r\n", "the CSR", "HTTP/1.1 200 "},
	} {
		t.Run(spec, func(t *testing.T) {
			registry := fault.NewRegistry(fault.Options{})
			if spec != "" {
				if _, err := registry.Order("est.any:" + spec); err != nil {
					t.Fatal(err)
				}
			}
			server := answering(t, registry, "")
			conn := dialed(t, server)
			if _, err := io.WriteString(conn, "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: est\r\nConnection: close\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			from := bufio.NewReader(conn)
			first := make([]byte, len(test.first))
			if _, err := io.ReadFull(from, first); err != nil || string(first) != test.first {
				t.Fatalf("%q, %v", first, err)
			}
			if _, err := io.WriteString(conn, test.body); err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(from)
			if err != nil || !strings.HasPrefix(string(all), test.want) || spec == "expect=ignored" && !strings.HasSuffix(string(all), test.body) {
				t.Errorf("%q, %v; want %s", all, err, test.want)
			}
		})
	}
}
