package lab_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"testing"
	"time"

	"ciscora/ra/lab"
)

// A lab that listens on all addresses tells those that phones can use, and its
// certificate carries them.
func TestALabOnAllAddressesTellsThoseForPhones(t *testing.T) {
	l, err := lab.Start(t.Context(), lab.Options{Dir: t.TempDir(), EST: "0.0.0.0:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0", NewKey: sharedKeys(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			want++
		}
	}
	if len(l.ForPhones) != want {
		t.Errorf("%v, want the machine's %d addresses", l.ForPhones, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, at := range l.ForPhones {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		d := tls.Dialer{Config: &tls.Config{RootCAs: l.Roots, MinVersion: tls.VersionTLS12}}
		c, err := d.DialContext(ctx, "tcp", u.Host)
		if err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		c.Close()
	}
	if l := start(t, lab.Options{}); len(l.ForPhones) != 0 {
		t.Errorf("on loopback: %v", l.ForPhones)
	}
}
