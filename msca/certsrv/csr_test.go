package certsrv_test

import (
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
)

// A key of any kind that can be verified in time is: the signature is the proof that
// whoever asks has the key.
func TestASignatureThatIsWrongIsRefusedForEitherKindOfKey(t *testing.T) {
	srv := start(t)
	b := loggedIn(t, srv)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for kind, der := range map[string][]byte{"RSA": newCSR(t, key), "EC": newCSR(t, phoneKey())} {
		if page := b.submit(pemCSR(der), ciscoRA).body; !strings.Contains(page, "certnew.cer?ReqID=") {
			t.Errorf("%s, as signed: not issued", kind)
		}
		der[len(der)-1] ^= 1
		if page := b.submit(pemCSR(der), ciscoRA).body; !strings.Contains(page, "0x80090006") {
			t.Errorf("%s, a bit of the signature changed: want NTE_BAD_SIGNATURE", kind)
		}
	}
}
