package tracelog_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"ciscora/ra/tracelog"
)

func TestCAPFTraces(t *testing.T) {
	good := tracelog.Device{Index: 2, Name: "SEP74A02FC0A675"}
	bad := tracelog.Device{Index: 2, Name: "SEP001F6C81118B"}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	// What must come before the document's first line.
	leftOut := map[string]string{"capf-operation.log": "14:05:05.419 |-->Select(SEP74A02FC0A675)\n14:05:05.419 | Select(SEP74A02FC0A675) device exists\n"}
	for file, write := range map[string]func(*tracelog.CAPF){
		"capf-start.log":  func(c *tracelog.CAPF) { c.ServiceStarted("lab-dc.michamen.com", 443, "CiscoRA") },
		"capf-client.log": func(c *tracelog.CAPF) { c.ESTClientReady(1367) },
		"capf-good.log": func(c *tracelog.CAPF) {
			c.EnrollmentStarted(good)
			c.CSRRead(good)
			c.EnrollmentFinished(good, 0, "EST_ERR_NONE", 1963)
			c.CertificateWritten(good)
			c.SigningSucceeded(good)
			c.AddedToReadSet(6)
			c.CertificateDelivered(good)
		},
		"capf-operation.log": func(c *tracelog.CAPF) { c.OperationSucceeded(good) },
		"capf-record.log": func(c *tracelog.CAPF) {
			c.PublicKeyStored(good, &key.PublicKey)
			c.RecordSelected(good, tracelog.Record{Key: &key.PublicKey, FinishBy: time.Date(2019, 1, 20, 12, 0, 0, 0, time.UTC)})
		},
		"capf-bad.log": func(c *tracelog.CAPF) {
			c.EnrollmentStarted(bad)
			c.CSRRead(bad)
			c.EnrollmentFinished(bad, 35, "EST_ERR_SSL_READ", 0)
			c.SigningFailed(bad, 35)
			c.AddedToReadSet(10)
		},
	} {
		t.Run(file, func(t *testing.T) {
			want := leftOut[file] + document(t, file)
			var out strings.Builder
			write(tracelog.NewCAPF(&out, tracelog.Options{Location: time.UTC, Now: stampsOf(t, want)}))
			// The document shows two of the key's bytes; the others are this key's.
			got := regexp.MustCompile(`(pubKey: 0‚).*`).ReplaceAllString(out.String(), "$1")
			same(t, want, got)
		})
	}
}

// What else the database may hold of a phone: the numbers are inferred.
func TestTheRecordOfAPhoneHasItsKeysSizeAndKind(t *testing.T) {
	for bits, want := range map[int][]string{1024: {"KeySize=KEY_SIZE_1024:2", "ECKeySize=INVALID:0"}, 3072: {"KeySize=KEY_SIZE_3072:4", "KeyOrder=KEYORDER_RSA_ONLY:1"}} {
		holds(t, &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), uint(bits-1)), E: 65537}, want...)
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		holds(t, &key.PublicKey, "KeySize=INVALID:0", fmt.Sprintf("ECKeySize=KEY_SIZE_%d:", curve.Params().BitSize), "KeyOrder=KEYORDER_EC_ONLY:2")
	}
}

func holds(t *testing.T, key crypto.PublicKey, want ...string) {
	t.Helper()
	var out strings.Builder
	c := tracelog.NewCAPF(&out, tracelog.Options{Location: time.UTC, Now: at("2019-01-16 14:05:05 +0000")})
	c.PublicKeyStored(tracelog.Device{Index: 2, Name: "SEP74A02FC0A675"}, key)
	c.RecordSelected(tracelog.Device{Index: 2, Name: "SEP74A02FC0A675"}, tracelog.Record{Key: key})
	for _, line := range want {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %s in\n%s", line, out.String())
		}
	}
	for line := range strings.Lines(out.String()) {
		if _, ok := tracelog.ParseCAPF(strings.TrimSuffix(line, "\n")); !ok {
			t.Errorf("a key's bytes break the line: %q", line)
		}
	}
}

func TestTheEndOfASession(t *testing.T) {
	var out strings.Builder
	tracelog.NewCAPF(&out, tracelog.Options{Location: time.UTC, Now: at("2019-01-16 14:05:05 +0000")}).SessionEnded()
	same(t, "14:05:05.000 |-->debug\n14:05:05.000 | debug MsgType : CAPF_MSG_END_SESSION\n14:05:05.000 |<--debug\n", out.String())
}
