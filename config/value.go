package config

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalText reads a whole number, alone or followed by B, KiB, MiB or GiB.
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := string(text), int64(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, factor = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > math.MaxInt64/factor || n < math.MinInt64/factor {
		return fmt.Errorf("%q is no size, write it as 65536, 64KiB or 1MiB", text)
	}
	*s = Size(n * factor)
	return nil
}

// MarshalText writes the size in the largest unit that fits it exactly.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Size) String() string {
	for _, u := range sizeUnits[:3] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// TLSVersion is a TLS protocol version as crypto/tls numbers it.
type TLSVersion uint16

var tlsVersions = []struct {
	name    string
	version TLSVersion
}{{"1.0", tls.VersionTLS10}, {"1.1", tls.VersionTLS11}, {"1.2", tls.VersionTLS12}, {"1.3", tls.VersionTLS13}}

// UnmarshalText reads 1.0, 1.1, 1.2 or 1.3.
func (v *TLSVersion) UnmarshalText(text []byte) error {
	for _, known := range tlsVersions {
		if known.name == string(text) {
			*v = known.version
			return nil
		}
	}
	return fmt.Errorf("%q is no TLS version, write \"1.0\", \"1.1\", \"1.2\" or \"1.3\"", text)
}

// MarshalText writes 1.0, 1.1, 1.2 or 1.3.
func (v TLSVersion) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

func (v TLSVersion) String() string {
	for _, known := range tlsVersions {
		if known.version == v {
			return known.name
		}
	}
	return fmt.Sprintf("%#04x", uint16(v))
}

// Renewal is the number of a CA certificate, as certcarc.asp counts them
// (docs/reference/certsrv.md 2), or RenewalNewest.
type Renewal int

// RenewalNewest is the CA certificate of the last renewal.
const RenewalNewest Renewal = -1

// UnmarshalText reads newest or a number from 0.
func (r *Renewal) UnmarshalText(text []byte) error {
	if string(text) == "newest" {
		*r = RenewalNewest
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no renewal, write newest or a number from 0", text)
	}
	*r = Renewal(n)
	return nil
}

// MarshalText writes newest or the number.
func (r Renewal) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r Renewal) String() string {
	if r == RenewalNewest {
		return "newest"
	}
	return strconv.Itoa(int(r))
}

// NTHash is the NT hash of a password: as good as the password itself, so it is
// never printed. The zero value stands for none.
type NTHash [16]byte

// UnmarshalText reads 32 hexadecimal digits.
func (h *NTHash) UnmarshalText(text []byte) error {
	var sum NTHash
	if n, err := hex.Decode(sum[:], text[:min(len(text), 2*len(sum))]); err != nil || n != len(sum) || len(text) != 2*len(sum) {
		return errors.New("is no NT hash, write its 32 hexadecimal digits")
	}
	*h = sum
	return nil
}

// Format prints that there is a hash, by any verb.
func (h NTHash) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted(h != NTHash{})) }

// MarshalText is what JSON and loggers get.
func (h NTHash) MarshalText() ([]byte, error) { return []byte(redacted(h != NTHash{})), nil }

func (h NTHash) hexadecimal() string { return hex.EncodeToString(h[:]) }

// Secret is a string that is never printed.
type Secret string

// Format prints that there is a secret, by any verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted(s != "")) }

// MarshalText is what JSON and loggers get.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted(s != "")), nil }

func redacted(set bool) string {
	if set {
		return "[redacted]"
	}
	return "[none]"
}

// parseDuration reads a duration as Go writes it, or a whole number of days.
func parseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration, write it as 10s, 5m, 1h30m or 365d", text)
	}
	return d, nil
}

// formatDuration writes a duration so that parseDuration reads it back, without
// the zero minutes and seconds of time.Duration's own form.
func formatDuration(d time.Duration) string {
	if day := 24 * time.Hour; d >= 2*day && d%day == 0 && d/day <= math.MaxUint16 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
