package config_test

import (
	"crypto/tls"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/config"
)

var update = flag.Bool("update", false, "rewrite the expected messages in testdata")

// Each file in testdata/bad is a configuration, a line "--- want", and the
// messages it gets.
func TestBadFilesGetEveryMessageAtItsKey(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files:", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text, want, ok := strings.Cut(string(data), "--- want\n")
			if !ok {
				t.Fatal("no line '--- want'")
			}
			err = parse(filepath.Base(file), text)
			if err == nil {
				t.Fatal("was taken")
			}
			if *update {
				write(t, filepath.Dir(file), filepath.Base(file), text+"--- want\n"+err.Error()+"\n", 0o644)
				return
			}
			equal(t, strings.TrimSuffix(want, "\n"), err.Error())
		})
	}
}

// parse reads a file as what its name begins with.
func parse(name, text string) (err error) {
	switch {
	case strings.HasPrefix(name, "certsrv"):
		_, err = config.ParseCertsrv("certsrv.yaml", []byte(text), nil)
	case strings.HasPrefix(name, "credentials"):
		_, err = config.ParseCredentials("credentials.yaml", []byte(text))
	default:
		_, err = config.ParseRA("ra.yaml", []byte(text), nil)
	}
	return err
}

func TestWhatIsNotSetComesFromTheProfile(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileModern, config.ProfileCUCM} {
		t.Run(string(profile), func(t *testing.T) {
			want := config.Default(profile)
			want.EST.Certificate, want.EST.Key = "/etc/ra/est.pem", "/etc/ra/est.key"
			want.CA.URL, want.CA.Template = "https://ca.example/certsrv", "CiscoRA"
			want.CA.Credentials, want.CA.Trust = "/etc/ra/credentials.yaml", []string{"/etc/ra/root.pem"}
			want.Ledger.DSN = "sqlite:/etc/ra/ra.db"
			want.Logs.Files = config.LogFiles{NGINX: "/etc/ra/logs/nginx-error.log", CiscoRA: "/etc/ra/logs/ciscora.log"}
			equal(t, &want, loadRA(t, minimal+"profile: "+string(profile)))
		})
	}
	equal(t, loadRA(t, minimal), loadRA(t, minimal+"profile: modern"))
}

func TestAKeyOverridesItsProfile(t *testing.T) {
	c := loadRA(t, minimal+"  renewal: 3\n  tls: {max: 1.3}\n  timeouts: {request: 0s, submit: 5m}\nprofile: cucm-12.5\nadmin: {listen: ''}\nlogs: {files: {nginx: ''}}\n")
	equal(t, config.Renewal(3), c.CA.Renewal)
	equal(t, config.TLS{Min: tls.VersionTLS10, Max: tls.VersionTLS13}, c.CA.TLS)
	equal(t, time.Duration(0), c.CA.Timeouts.Request)
	equal(t, 5*time.Minute, c.CA.Timeouts.Submit)
	equal(t, 10*time.Second, c.CA.Timeouts.Login)
	equal(t, "", c.Admin.Listen)
	equal(t, config.LogFiles{CiscoRA: "/etc/ra/logs/ciscora.log"}, c.Logs.Files)
}

func TestTheEnvironmentOverridesTheFile(t *testing.T) {
	c, err := config.ParseRA("/etc/ra/ra.yaml", []byte(minimal), environment(map[string]string{
		"RA_PROFILE":              "cucm-12.5",
		"RA_CA_TEMPLATE":          "Other",
		"RA_EST_LISTEN":           ":443",
		"RA_EST_LIMITS_IN_FLIGHT": "7",
		"RA_EST_TLS_MIN":          "1.1",
		"RA_CA_TIMEOUTS_SUBMIT":   "7s",
		"RA_CA_CHANNEL_BINDING":   "true",
		"RA_CA_CREDENTIALS":       "/run/secrets/ca.yaml",
		"RA_EST_KEY":              "other.key",
		"RA_ADMIN_LISTEN":         "", // counts as not set
		"RA_CA_TRUST":             "ignored, since it is a list",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := loadRA(t, minimal+"profile: cucm-12.5")
	want.CA.Template, want.EST.Listen, want.EST.Limits.InFlight = "Other", ":443", 7
	want.EST.TLS.Min, want.CA.Timeouts.Submit, want.CA.ChannelBinding = tls.VersionTLS11, 7*time.Second, true
	want.CA.Credentials, want.EST.Key = "/run/secrets/ca.yaml", "/etc/ra/other.key"
	equal(t, want, c)
	equal(t, "RA_CA_TEMPLATE", c.Position("ca.template"))
}

func TestARequiredKeyMayComeFromTheEnvironment(t *testing.T) {
	text := strings.Replace(minimal, "  template: CiscoRA\n", "", 1)
	c, err := config.ParseRA("ra.yaml", []byte(text), environment(map[string]string{"RA_CA_TEMPLATE": "CiscoRA"}))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "CiscoRA", c.CA.Template)
}

func TestABadVariableIsNamed(t *testing.T) {
	_, err := config.ParseRA("ra.yaml", []byte(minimal), environment(map[string]string{
		"RA_CA_TIMEOUTS_SUBMIT": "fast",
		"RA_EST_DIALECT":        "libset",
		"RA_CA_URL":             "http://ca.example/certsrv",
	}))
	want := `RA_EST_DIALECT: est.dialect: "libset" is not known, did you mean libest?
RA_CA_TIMEOUTS_SUBMIT: ca.timeouts.submit: "fast" is no duration, write it as 10s, 5m, 1h30m or 365d
RA_CA_URL: ca.url: "http://ca.example/certsrv" is not https, and log-ins go over TLS only: write it as https://HOST/certsrv`
	if err == nil {
		t.Fatal("was taken")
	}
	equal(t, want, err.Error())
}

func TestCertsrvHasVariablesOfItsOwn(t *testing.T) {
	c, err := config.ParseCertsrv("/lab/certsrv.yaml", []byte("users: [{credentials: c.yaml}]"), environment(map[string]string{
		"RA_CERTSRV_LISTEN":    "127.0.0.1:0",
		"RA_CERTSRV_TLS_MAX":   "1.2",
		"RA_CERTSRV_TEMPLATES": "ignored, since it is a list",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := config.DefaultCertsrv()
	want.Listen, want.TLS.Max = "127.0.0.1:0", tls.VersionTLS12
	want.Dir, want.Log = "/lab/ca", "/lab/logs/iis"
	want.Users = []config.User{{Credentials: "/lab/c.yaml"}}
	equal(t, &want, c)
}

func TestATemplateHasDefaultsOfItsOwn(t *testing.T) {
	c, err := config.ParseCertsrv("/lab/certsrv.yaml", []byte("users: [{credentials: c.yaml}]\ntemplates: [{name: A, validity: 12h}, {name: B, min_key_size: 0, key_usage: []}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := config.DefaultCertsrv().Templates[0]
	b := a
	a.Name, a.Validity = "A", 12*time.Hour
	b.Name, b.MinKeySize, b.KeyUsage = "B", 0, nil
	equal(t, []config.Template{a, b}, c.Templates)
}

func TestPositionsAreThoseOfTheKeyOrTheNearestAbove(t *testing.T) {
	c, err := config.ParseRA("ra.yaml", []byte(minimal+"  timeouts:\n    submit: 3s\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"est.key":             "ra.yaml:1:29",
		"ca.trust[0]":         "ra.yaml:6:11",
		"ca.trust[7]":         "ra.yaml:6:3",
		"ca.timeouts.submit":  "ra.yaml:8:5",
		"ca.timeouts.fetch":   "ra.yaml:7:3",
		"admin.listen":        "ra.yaml:1:1",
		"est.labels.a.b.c[3]": "ra.yaml:1:1",
	} {
		equal(t, want, c.Position(key))
	}
	reason := errors.New("address already in use, choose another")
	problem := c.Problem("ca.timeouts.submit", reason)
	equal(t, "ra.yaml:8:5: ca.timeouts.submit: address already in use, choose another", problem.Error())
	if !errors.Is(problem, reason) {
		t.Error("the problem does not wrap its reason")
	}

	d := config.Default(config.ProfileModern)
	equal(t, "", d.Position("est.listen"))
	equal(t, "est.listen: address already in use, choose another", d.Problem("est.listen", reason).Error())
}

func TestAFileThatCannotBeReadIsNamed(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{
		"absent": filepath.Join(dir, "absent.yaml"),
		"folder": dir,
		"huge":   write(t, dir, "huge.yaml", "#"+strings.Repeat("x", 1<<20), 0o600),
	} {
		for _, load := range []func() error{
			func() error { _, err := config.LoadRA(path, nil); return err },
			func() error { _, err := config.LoadCertsrv(path, nil); return err },
		} {
			if err := load(); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: got %v, want an error that names %s", name, err, path)
			}
		}
	}
	_, err := config.LoadRA(filepath.Join(dir, "absent.yaml"), nil)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want one that is os.ErrNotExist", err)
	}
}

// A text that is taken comes back the same through YAML; one that is not is
// refused with places and without the names of Go types.
func FuzzRA(f *testing.F) {
	f.Add([]byte(config.DefaultYAML()))
	f.Add([]byte(minimal))
	f.Add([]byte("profile: cucm-12.5\n" + minimal))
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.ParseRA("ra.yaml", data, nil)
		if err != nil {
			placed(t, err)
			return
		}
		text, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.ParseRA("ra.yaml", text, nil)
		if err != nil {
			t.Fatalf("%v, from\n%s", err, text)
		}
		equal(t, c, again)
	})
}

func FuzzCertsrv(f *testing.F) {
	f.Add([]byte(config.DefaultCertsrvYAML()))
	f.Add([]byte(`users: [{name: x, nt_hash: 0123456789abcdef0123456789ABCDEF}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.ParseCertsrv("certsrv.yaml", data, nil)
		if err != nil {
			placed(t, err)
			return
		}
		text, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.ParseCertsrv("certsrv.yaml", text, nil)
		if err != nil {
			t.Fatalf("%v, from\n%s", err, text)
		}
		equal(t, c, again)
	})
}

func placed(t *testing.T, err error) {
	t.Helper()
	var problems config.Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("got %T %v, want problems", err, err)
	}
	for _, p := range problems {
		if p.Place.File == "" {
			t.Errorf("no place: %v", p)
		}
		if strings.Contains(p.Err.Error(), "reflect.") || strings.Contains(p.Err.Error(), "yaml:") {
			t.Errorf("tells of Go: %v", p)
		}
	}
}
