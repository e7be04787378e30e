package lab_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/msca"
	"ciscora/ra/check"
	"ciscora/ra/lab"
)

// checkApache checks an Apache in front of the lab's CA, as that of a configuration.
func checkApache(t *testing.T, l *lab.Lab, a apache, change func(*check.CAOptions)) check.Report {
	t.Helper()
	cfg, err := config.LoadRA(l.Path("ra.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := cfg.Files()
	if err != nil {
		t.Fatal(err)
	}
	o := check.CAOptions{
		Options: check.Options{Timeout: 20 * time.Second}, CA: cfg.CA, Profile: cfg.Profile, Trust: files.CATrust,
		Credentials: msca.Credentials{User: files.Credentials.User, Password: string(files.Credentials.Password)},
	}
	o.CA.URL = "https://" + a.address + "/certsrv"
	if change != nil {
		change(&o)
	}
	var r check.Report
	if err := check.CA(t.Context(), o, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func statesOf(r check.Report, name string) (all []check.State) {
	for _, f := range r.Findings {
		if f.Name == name {
			all = append(all, f.State)
		}
	}
	return all
}

// startLab starts a lab for what stands in front of its CA.
func startLab(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.Start(t.Context(), lab.Options{
		Dir: t.TempDir(), EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0", Profile: config.ProfileModern,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// An NTLM acceptor that is none of ours: gss-ntlmssp, by mod_auth_gssapi.
func TestTheCheckOfACALogsInAtAnApache(t *testing.T) {
	needApache(t)
	l := startLab(t)
	a := startApache(t, l, 100)
	for _, authentication := range []string{"ntlm", "negotiate"} {
		r := checkApache(t, l, a, func(o *check.CAOptions) { o.CA.Authentication = authentication })
		for _, name := range []string{"ca.auth.negotiate", "ca.login", "ca.binding", "ca.template", "ca.chain", "ca.crl", "ca.ces"} {
			want := []check.State{check.OK}
			if name == "ca.ces" && authentication == "negotiate" {
				continue
			}
			if got := statesOf(r, name); !slices.Equal(got, want) {
				t.Errorf("%s: %s: %v; %+v", authentication, name, got, r.Findings)
			}
		}
	}
}

// Whatever the scheme, Apache sees a wrong password once.
func TestTheCheckOfACATriesAWrongPasswordOnceAtAnApache(t *testing.T) {
	needApache(t)
	l := startLab(t)
	for _, authentication := range []string{"ntlm", "negotiate"} {
		a := startApache(t, l, 100)
		r := checkApache(t, l, a, func(o *check.CAOptions) {
			o.CA.Authentication, o.Credentials.Password = authentication, "not it"
		})
		if got := statesOf(r, "ca.login"); !slices.Equal(got, []check.State{check.Fail}) {
			t.Errorf("%s: %+v", authentication, r.Findings)
		}
		// The answer to a challenge is the second request of its connection.
		answers := 0
		requests := a.requests(t)
		for _, request := range requests {
			if request.place == 1 {
				answers++
			}
		}
		if answers != 1 {
			t.Errorf("%s: %d answers to a challenge: %+v", authentication, answers, requests)
		}
	}
}

// An Apache that takes tickets and no NTLM: the check says so, and sends no password.
func TestKerberosAloneIsTold(t *testing.T) {
	needApache(t)
	l := startLab(t)
	a := startApacheThatTakes(t, l, 100, func(dir string) string {
		path := filepath.Join(dir, "http.keytab")
		if err := os.WriteFile(path, keytab("LAB.TEST", "HTTP", "localhost"), 0o600); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			if err := giveTo(path, "www-data"); err != nil {
				t.Fatal(err)
			}
		}
		return "GssapiAllowedMech krb5\n  GssapiCredStore keytab:" + path
	})
	r := checkApache(t, l, a, nil)
	i := slices.IndexFunc(r.Findings, func(f check.Finding) bool { return f.Name == "ca.auth.kerberos" })
	if i < 0 || r.Findings[i].State != check.Fail || !strings.Contains(r.Findings[i].Seen, "Kerberos alone") {
		t.Errorf("%+v", r.Findings)
	}
	// NTLM stands among its challenges all the same.
	for _, name := range []string{"ca.auth.ntlm", "ca.login"} {
		if got := statesOf(r, name); !slices.Equal(got, []check.State{check.Fail}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// keytab is a key table (MIT's format 0x502) with one key, which nobody has.
func keytab(realm string, components ...string) []byte {
	text := func(b []byte, s string) []byte {
		return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	const (
		nameTypeSrvInst = 3
		aes256          = 18
		keyLength       = 32
	)
	entry := binary.BigEndian.AppendUint16(nil, uint16(len(components)))
	entry = text(entry, realm)
	for _, c := range components {
		entry = text(entry, c)
	}
	entry = binary.BigEndian.AppendUint32(entry, nameTypeSrvInst)
	entry = binary.BigEndian.AppendUint32(entry, 0) // time
	entry = append(entry, 1)                        // version of the key
	entry = binary.BigEndian.AppendUint16(entry, aes256)
	entry = text(entry, strings.Repeat("k", keyLength))
	all := binary.BigEndian.AppendUint32([]byte{5, 2}, uint32(len(entry)))
	return append(all, entry...)
}
