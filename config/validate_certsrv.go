package config

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

func (c *Certsrv) validate(l *loader) {
	l.address("listen", c.Listen)
	if c.Dir == "" {
		l.report("dir", "is empty, name the folder of the CA")
	}
	if c.Domain == "" || strings.ContainsAny(c.Domain, `\/@ `) {
		l.report("domain", "%q is no domain, write its NetBIOS name, such as LAB", c.Domain)
	}
	if len(c.Hosts) == 0 && !l.reported("hosts") {
		l.report("hosts", "is empty, name the host that clients ask for")
	}
	for i, host := range c.Hosts {
		if host == "" || strings.ContainsAny(host, " /@") {
			l.report(fmt.Sprintf("hosts[%d]", i), "%q is no host name or address", host)
		}
	}
	c.validateUsers(l)
	c.validateTemplates(l)
	if c.Vary < 0 {
		l.report("vary", "is negative, want 0 (the usual way) or a seed")
	}
	if c.Lockout.Threshold < 0 {
		l.report("lockout.threshold", "is negative, want 0 (never lock) or more")
	}
	l.positive("lockout.duration", c.Lockout.Duration)
	l.versions("tls", c.TLS)
	c.Admin.validate(l)
}

func (c *Certsrv) validateUsers(l *loader) {
	seen := map[string]bool{}
	for i, u := range c.Users {
		key := fmt.Sprintf("users[%d]", i)
		if l.reported(key) {
			continue
		}
		proofs := 0
		for _, set := range []bool{u.NTHash != NTHash{}, u.PasswordFile != "", u.Credentials != ""} {
			if set {
				proofs++
			}
		}
		switch {
		case proofs != 1:
			l.report(key, "want one of nt_hash, password_file and credentials, there are %d", proofs)
		case u.Name == "" && u.Credentials == "":
			l.report(key+".name", "is required, and is not there")
		case u.Name != "" && seen[c.account(u.Name)]:
			l.report(key+".name", "%s is there twice, remove one", u.Name)
		}
		seen[c.account(u.Name)] = true
	}
}

// account returns an account's name in the form by which two are compared:
// Windows looks at no case, and a bare name is one of its own domain.
func (c *Certsrv) account(name string) string {
	if !strings.ContainsAny(name, `\@`) {
		name = c.Domain + `\` + name
	}
	return strings.ToLower(name)
}

func (c *Certsrv) validateTemplates(l *loader) {
	var users []string
	complete := true // whether the names of all users are known without their files
	for _, u := range c.Users {
		users = append(users, c.account(u.Name))
		complete = complete && u.Name != ""
	}
	seen := map[string]bool{}
	if len(c.Templates) == 0 && !l.reported("templates") {
		l.report("templates", "is empty, name at least one")
	}
	for i, t := range c.Templates {
		key := fmt.Sprintf("templates[%d]", i)
		l.template(key+".name", t.Name)
		if t.Name != "" && seen[strings.ToLower(t.Name)] {
			l.report(key+".name", "%s is there twice, remove one", t.Name)
		}
		seen[strings.ToLower(t.Name)] = true
		if _, err := x509.ParseOID(t.OID); t.OID != "" && err != nil {
			l.report(key+".oid", "%q is no OID, want numbers with points between, such as 1.3.6.1.4.1.311.21.8.1.2", t.OID)
		}
		if strings.ContainsAny(t.FriendlyName, ";\r\n\x00") {
			l.report(key+".friendly_name", "must not hold ; or a line break")
		}
		if t.MinKeySize < 0 || t.MinKeySize > 16384 {
			l.report(key+".min_key_size", "%d is out of range, want 0 to 16384 bits", t.MinKeySize)
		}
		l.positive(key+".validity", t.Validity)
		for j, name := range t.Enroll {
			if complete && !slices.Contains(users, c.account(name)) {
				l.report(fmt.Sprintf("%s.enroll[%d]", key, j), "%q is none of users, add it there or remove it here", name)
			}
		}
	}
}
