package check_test

import (
	"crypto/x509"
	"testing"
	"time"

	"ciscora/ra/check"
)

func TestACertificateEndsSoonByItsOwnMeasureWhereItLastsShort(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name        string
		lasts, left time.Duration
		within      time.Duration
		want        bool
	}{
		{"a year's, with 29 days left", 365 * day, 29 * day, 30 * day, true},
		{"a year's, with 31 days left", 365 * day, 31 * day, 30 * day, false},
		{"one of 60 days, with 29 left", 60 * day, 29 * day, 30 * day, true},
		{"a lab's of 30 days, just made", 30 * day, 30 * day, 30 * day, false},
		{"a lab's of 30 days, in its last third", 30 * day, 9 * day, 30 * day, true},
		{"ACME's of 6 days, with 3 left", 6 * day, 3 * day, 30 * day, false},
		{"ACME's of 6 days, with one left", 6 * day, day, 30 * day, true},
		{"one of 90 days, where 60 are asked for", 90 * day, 59 * day, 60 * day, true},
		{"where nobody wants a warning", 365 * day, time.Hour, 0, false},
	} {
		cert := &x509.Certificate{NotBefore: now.Add(c.left - c.lasts), NotAfter: now.Add(c.left)}
		if got := check.EndsSoon(cert, now, c.within); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
