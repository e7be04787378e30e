package hello_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"ciscora/internal/peertest"
	"ciscora/ra/check/hello"
)

// Each cipher of OpenSSL's has its number, its name and its way of exchanging keys here.
func TestTheSuitesAreOpenSSLs(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), peertest.Program(t, "openssl"), "ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").Output()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for line := range strings.Lines(string(out)) {
		// 0xC0,0x2C - ECDHE-ECDSA-AES256-GCM-SHA384  TLSv1.2 Kx=ECDH Au=ECDSA Enc=AESGCM(256) Mac=AEAD
		fields := strings.Fields(line)
		var high, low uint16
		if len(fields) < 6 {
			continue
		}
		if _, err := fmt.Sscanf(fields[0], "0x%02X,0x%02X", &high, &low); err != nil {
			t.Fatal(line, err)
		}
		if strings.Contains(line, "PSK") || strings.Contains(line, "SRP") {
			continue // they want a secret agreed on before
		}
		s := hello.SuiteByID(high<<8 | low)
		key := map[string]hello.Key{
			"Kx=any Au=any": hello.Any, "Kx=RSA Au=RSA": hello.RSA, "Kx=DH Au=RSA": hello.DHERSA, "Kx=DH Au=DSS": hello.DHEDSS, "Kx=ECDH Au=RSA": hello.ECDHERSA,
			"Kx=ECDH Au=ECDSA": hello.ECDHEECDSA, "Kx=DH Au=None": hello.Anonymous, "Kx=ECDH Au=None": hello.Anonymous,
		}[fields[4]+" "+fields[5]]
		if s.Name == fmt.Sprintf("0x%04x", s.ID) && strings.Contains(fields[2], "DSS") {
			continue // nobody has such a certificate
		}
		if s.Name != fields[2] || s.Key != key || (fields[3] == "TLSv1.2") != (s.From == hello.TLS12) || (fields[3] == "TLSv1.3") != (s.From == hello.TLS13) {
			t.Errorf("%s: here it is %+v", strings.TrimSpace(line), s)
		}
		compared++
	}
	if compared < 60 {
		t.Errorf("only %d were compared", compared)
	}
}

func TestEachSuiteIsThereOnce(t *testing.T) {
	ids, names := map[uint16]bool{}, map[string]bool{}
	for _, s := range hello.Suites() {
		if ids[s.ID] || names[s.Name] {
			t.Errorf("%+v is there twice", s)
		}
		ids[s.ID], names[s.Name] = true, true
	}
	for name, want := range map[string]string{
		"RC4-SHA": "RC4", "ADH-AES128-SHA": "no certificate", "NULL-SHA": "no encryption", "EXP-RC4-MD5": "a key that is guessed in hours", "DES-CBC-SHA": "a key that is guessed in hours",
		"AES128-SHA": "", "DES-CBC3-SHA": "", "ECDHE-RSA-AES128-GCM-SHA256": "",
	} {
		if s, ok := hello.SuiteByName(name); !ok || s.Weak() != want {
			t.Errorf("%s: %q, want %q", name, s.Weak(), want)
		}
	}
}
