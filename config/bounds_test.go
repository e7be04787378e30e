package config_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/config"
)

func TestAFileOfAMebibyteIsReadAndALargerOneRefused(t *testing.T) {
	const mebibyte = 1 << 20
	padded := func(size int) string { return minimal + "#" + strings.Repeat("x", size-len(minimal)-1) }
	dir := t.TempDir()
	if _, err := config.LoadRA(write(t, dir, "full.yaml", padded(mebibyte), 0o600), nil); err != nil {
		t.Errorf("1 MiB: %v", err)
	}
	path := write(t, dir, "over.yaml", padded(mebibyte+1), 0o600)
	if _, err := config.LoadRA(path, nil); err == nil || !strings.Contains(err.Error(), path+" is larger than 1MiB") {
		t.Errorf("1 MiB and a byte: %v", err)
	}
}

// 106,752 days are more than a time.Duration holds: they must not come out as fewer, or
// as a time in the past.
func TestDaysThatADurationCannotHoldAreRefused(t *testing.T) {
	for days, want := range map[string]time.Duration{
		"1d": 24 * time.Hour, "65535d": 65535 * 24 * time.Hour,
		"65536d": 0, "106752d": 0, "213504d": 0, "18446744073709551615d": 0, "18446744073709551617d": 0, "-1d": 0,
	} {
		text := "users: [{name: 'LAB\\a', password_file: p}]\ntemplates: [{name: CiscoRA, validity: " + days + "}]\n"
		c, err := config.LoadCertsrv(write(t, t.TempDir(), "certsrv.yaml", text, 0o600), nil)
		switch {
		case want == 0 && (err == nil || !strings.Contains(err.Error(), `templates[0].validity: "`+days+`" is no duration`)):
			t.Errorf("%s: %v", days, err)
		case want != 0 && (err != nil || c.Templates[0].Validity != want):
			t.Errorf("%s: %v", days, err)
		}
	}
}

// The form of OpenSSL before PKCS #8 says in a header that it is encrypted (RFC 1421 §4.6.1.3).
func TestAKeyThatIsEncryptedInTheOldFormIsSaidToBe(t *testing.T) {
	for _, kind := range []string{"RSA", "EC"} {
		dir := folder(t)
		write(t, dir, "est.key", "-----BEGIN "+kind+" PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END "+kind+" PRIVATE KEY-----\n", 0o600)
		c, err := config.LoadRA(filepath.Join(dir, "ra.yaml"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), "est.key: is encrypted, decrypt it: openssl pkey") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
