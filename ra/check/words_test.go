package check_test

import (
	"fmt"
	"strings"
	"testing"

	"ciscora/ra/check"
)

// What stands in a head or a body goes into a recording by the words that are known, and
// in no other way.
func FuzzTheWordsOfARecording(f *testing.F) {
	f.Add("Server", "", "<P ID=locDenied> secret", "")
	f.Add("WWW-Authenticate", "NTLM ", "", "")
	f.Add("Set-Cookie", "ASPSESSIONIDAB=", "; path=/", "")
	f.Add("Location", "https://host.example/certsrv/", "", "")
	f.Add("Content-Type", "text/html; charset=", "var nRenewals=", "<option value=\"O;")
	f.Fuzz(func(t *testing.T, name, value, before, after string) {
		const canary = "Zq7Zq7Zq7"
		// A name of a mark is written as it is, and so is a known head's.
		if strings.HasSuffix(strings.ToLower(before), "loc") || strings.Contains(before+after, "\x00") {
			return
		}
		head := [][2]string{{name + canary, value}, {name, value + canary}, {name, canary + value}}
		body := []byte(before + canary + after)
		lines, words := check.HeadAndBodyWords(head, body)
		if said := strings.Join(lines, "\n") + fmt.Sprint(words); strings.Contains(said, canary) {
			t.Errorf("%q", said)
		}
		for _, line := range lines {
			if strings.ContainsAny(line, "\r\n\x1b") {
				t.Errorf("%q", line)
			}
		}
	})
}

func TestTheLinesOfAHeadAreAsTheyCame(t *testing.T) {
	all := "HTTP/1.1 100 Continue\r\nX: 1\r\n\r\nHTTP/1.1 401 Unauthorized\r\nWww-Authenticate: Basic\r\nserver : x\r\n\r\nbody: no\r\n"
	if got := check.ReadHead([]byte(all), 1); strings.Join(got, "|") != "Www-Authenticate|server " {
		t.Errorf("%q", got)
	}
}

func FuzzWhatServersSend(f *testing.F) {
	f.Add([]byte("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate, NTLM, Basic realm=\"a, b\"\r\n\r\n"), 0)
	f.Add([]byte("MAsGCSqGSIb3DQEJBw=="), 1)
	f.Add([]byte("HTTP/1.1 103 x\n\nHTTP/1.1 200 OK\n\n"), 1)
	f.Fuzz(func(_ *testing.T, b []byte, before int) {
		check.ReadHead(b, min(max(before, 0), 6))
		check.ReadBodies(b)
	})
}
