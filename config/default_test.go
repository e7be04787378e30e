package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ciscora/config"

	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v4"
)

func TestTheDefaultFileSaysWhatTheCodeDoes(t *testing.T) {
	c := loadRA(t, config.DefaultYAML())
	want := loadRA(t, minimal)
	want.CA.URL = c.CA.URL // an example
	equal(t, want, c)

	s, err := config.ParseCertsrv("certsrv.yaml", []byte(config.DefaultCertsrvYAML()), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantS, err := config.ParseCertsrv("certsrv.yaml", []byte("users: [{credentials: c.yaml}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantS.Users = s.Users // examples
	equal(t, wantS, s)
}

// laterKeys stand in the default file as comments alone.
var laterKeys = []string{"est.users", "est.digest_users"}

func TestTheSchemaAndTheDefaultFileHaveTheSameKeys(t *testing.T) {
	for name, file := range map[string]struct {
		schema []byte
		text   string
	}{
		"ra":      {config.Schema(), config.DefaultYAML()},
		"certsrv": {config.CertsrvSchema(), config.DefaultCertsrvYAML()},
	} {
		t.Run(name, func(t *testing.T) {
			var schema map[string]any
			if err := json.Unmarshal(file.schema, &schema); err != nil {
				t.Fatal(err)
			}
			var given map[string]any
			if err := yaml.Load([]byte(file.text), &given); err != nil {
				t.Fatal(err)
			}
			sameKeys(t, "", schema, given)
		})
	}
}

func sameKeys(t *testing.T, at string, schema, given map[string]any) {
	t.Helper()
	properties, ok := schema["properties"].(map[string]any)
	if !ok || schema["additionalProperties"] != false {
		t.Errorf("%q: the schema lets other keys pass", at)
	}
	for name := range given {
		if _, ok := properties[name]; !ok {
			t.Errorf("%s.%s: is not in the schema", at, name)
		}
	}
	for name, p := range properties {
		key := strings.TrimPrefix(at+"."+name, ".")
		property := p.(map[string]any)
		value, ok := given[name]
		if !ok {
			if !slices.Contains(laterKeys, key) {
				t.Errorf("%s: is not in the default file", key)
			}
			continue
		}
		if group, ok := value.(map[string]any); ok && property["properties"] != nil {
			sameKeys(t, key, property, group)
		} else {
			fits(t, key, property, value)
		}
	}
}

// fits checks a value of the default file against its schema, as far as our
// schemas go.
func fits(t *testing.T, key string, schema map[string]any, value any) {
	t.Helper()
	types := fmt.Sprint(schema["type"])
	var want string
	switch value := value.(type) {
	case string:
		want = "string"
		if words, ok := schema["enum"].([]any); ok && !slices.Contains(words, any(value)) {
			t.Errorf("%s: the schema refuses %q, it takes %v", key, value, words)
		}
		if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(value) {
			t.Errorf("%s: the schema refuses %q, it takes %s", key, value, pattern)
		}
	case bool:
		want = "boolean"
	case int:
		want = "integer"
	case []any:
		want = "array"
	case map[string]any:
		want = "object"
	default:
		t.Fatalf("%s: a %T in the default file", key, value)
	}
	if !strings.Contains(types, want) {
		t.Errorf("%s: the schema wants %s, the default file has %v", key, types, value)
	}
}

func TestTheSchemaDescribesKeysByTheComments(t *testing.T) {
	if !bytes.Contains(config.Schema(), []byte(`"description": "How long a shutdown waits for requests in flight."`)) {
		t.Error("est.drain has not its comment as description")
	}
}

func TestAWrittenConfigurationLoadsBackEqual(t *testing.T) {
	c := config.Default(config.ProfileCUCM)
	c.EST.Certificate, c.EST.Key, c.EST.Trust = "est.pem", "est.key", []string{"trust.pem", "issuing.pem"}
	c.EST.Authentication = []config.Authentication{config.AuthenticateCertificate, config.AuthenticateRelay}
	c.EST.Labels = map[string]config.Label{"wifi": {Template: "WiFiClient"}, "true": {Template: "1.5"}}
	c.EST.Lockout.Failures = 0
	c.CA.URL, c.CA.Template, c.CA.Credentials, c.CA.Trust = "https://127.0.0.1:8443/certsrv", "CiscoRA", "credentials.yaml", []string{"trust.pem"}
	c.CA.Renewal = 12
	c.Admin.Listen = ""
	c.Logs.Files.CiscoRA = ""
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, t.TempDir(), "ra.yaml", string(text), 0o600)
	got, err := config.LoadRA(path, nil)
	if err != nil {
		t.Fatalf("%v, from\n%s", err, text)
	}
	in := func(name string) string { return filepath.Join(filepath.Dir(path), name) }
	c.EST.Certificate, c.EST.Key, c.EST.Trust = in("est.pem"), in("est.key"), []string{in("trust.pem"), in("issuing.pem")}
	c.CA.Credentials, c.CA.Trust = in("credentials.yaml"), []string{in("trust.pem")}
	c.Ledger.DSN, c.Logs.Files.NGINX = "sqlite:"+in("ra.db"), in("logs/nginx-error.log")
	equal(t, &c, got)

	// Written again, now with absolute paths, it is the same still.
	again, err := got.YAML()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, loadRA(t, string(again)))
}

func TestAWrittenCertsrvConfigurationLoadsBackEqual(t *testing.T) {
	s := config.DefaultCertsrv()
	wifi := s.Templates[0]
	wifi.Name, wifi.FriendlyName, wifi.Subject = "WiFiClient", "WiFi: client #1", "directory"
	supervised := config.Template{Name: "Supervised", Subject: "request", Validity: 90e9, ManagerApproval: true, Enroll: []string{`LAB\alice`}}
	s.Templates = append(s.Templates, wifi, supervised)
	s.Users = []config.User{{Name: `LAB\alice`, NTHash: config.NTHash{1, 15: 2}}, {Credentials: "/c.yaml"}}
	s.Dir, s.Log = "/ca", ""
	text, err := s.YAML()
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.ParseCertsrv("certsrv.yaml", text, nil)
	if err != nil {
		t.Fatalf("%v, from\n%s", err, text)
	}
	equal(t, &s, got)
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	hash := config.NTHash{0xde, 0xad, 0xbe, 0xef}
	secrets := []any{
		config.Credentials{User: "alice", Password: "geheim"},
		&config.Credentials{User: "alice", Password: "geheim"},
		config.Account{Name: "alice", Password: "geheim", NTHash: hash},
		config.Certsrv{Users: []config.User{{NTHash: hash}}},
	}
	for _, secret := range secrets {
		text := ""
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text += fmt.Sprintf(verb+"\n", secret)
		}
		data, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		log := zapcore.NewMapObjectEncoder()
		if err := log.AddReflected("secret", secret); err != nil {
			t.Fatal(err)
		}
		text += string(data) + fmt.Sprint(log.Fields)
		for _, leak := range []string{"geheim", "676568", "deadbeef", "222, 173", "222 173", "0xde, 0xad"} {
			if strings.Contains(text, leak) {
				t.Errorf("%T: %s is in\n%s", secret, leak, text)
			}
		}
	}
}

func TestAPasswordIsInNoMessage(t *testing.T) {
	for _, text := range []string{
		"password: *geheim", "password: &geheim x", "password: !geheim x", "password: !!int geheim",
		"password: @geheim", "password: [geheim]", "password: {geheim: geheim}", "password: 'geheim", "password: geheim: geheim",
		"user: a\npassword: geheim\npassword: geheim",
	} {
		_, err := config.ParseCredentials("credentials.yaml", []byte(text))
		if err == nil {
			t.Errorf("%q was taken", text)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWhoMayAskForAnyNameByACertificateIsWarnedOf(t *testing.T) {
	const (
		subject = "certificate of any CA in est.trust may ask for any subject"
		san     = "certificate of any CA in est.trust may ask for any alternative names"
		both    = "certificate of any CA in est.trust may ask for any subject and alternative names"
	)
	for name, test := range map[string]struct {
		est  string
		want []string
	}{
		"no certificates":         {"authentication: [relay]", nil},
		"certificates":            {"authentication: [relay, certificate]", []string{"est.policy: who has a " + both + " (clients without a label)"}},
		"under a label":           {"labels: {wifi: {template: A, authentication: [certificate]}}", []string{"est.labels.wifi.policy: who has a " + both + " (the label wifi)"}},
		"tied":                    {"authentication: [certificate], policy: own, policies: {own: {subject: ['CN={cn}'], san: ['{san}']}}", nil},
		"phones alone":            {"authentication: [certificate], policy: own, policies: {own: {subject: ['CN=SEP[0-9A-F]{12}'], san: ['dns:SEP.*[.]test']}}", nil},
		"tied in the subject":     {"authentication: [certificate], policy: own, policies: {own: {subject: ['CN={cn}']}}", []string{"est.policy: who has a " + san}},
		"a pattern for everybody": {"authentication: [certificate], policy: own, policies: {own: {subject: ['CN={cn}', 'CN=.*'], san: ['{san}']}}", []string{"est.policy: who has a " + subject}},
	} {
		t.Run(name, func(t *testing.T) {
			got := loadRA(t, strings.Replace(minimal, "key: est.key", "key: est.key, trust: [phones.pem], "+test.est, 1)).Warnings()
			if len(got) != len(test.want) {
				t.Fatalf("%v, want %q", got, test.want)
			}
			for i, w := range got {
				if w.Place.Line == 0 || !strings.Contains(w.Error(), test.want[i]) {
					t.Errorf("%v, want %s", w, test.want[i])
				}
			}
		})
	}
}
