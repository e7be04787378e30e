package scenario

import (
	"errors"
	"fmt"
	"net"

	"ciscora/ra/check/hello"
)

// Stage is what a probe is run against.
type Stage struct {
	Certificates []StagedCertificate `yaml:"certificates"` // made anew; an issuer stands before what it issues
	Server       StagedServer        `yaml:"server"`
	Phone        StagedPhone         `yaml:"phone"`
	File         StagedFile          `yaml:"file"`
	Trust        []string            `yaml:"trust"`  // certificates of the trust store
	Offers       string              `yaml:"offers"` // by a client that connects: a version, "1.0"
}

// StagedCertificate is one, and its key.
type StagedCertificate struct {
	Name string   `yaml:"name"` // in the card
	CN   string   `yaml:"cn"`
	DNS  []string `yaml:"dns"`
	IP   []string `yaml:"ip"`
	By   string   `yaml:"by"` // the card's name of its issuer; "" = itself
	CA   bool     `yaml:"ca"`
	EC   bool     `yaml:"ec"` // "" = RSA
}

// StagedServer is a server of certain limits. It shakes no hands, unless it is to.
type StagedServer struct {
	Host      string   `yaml:"host"`
	Versions  []string `yaml:"versions"`  // "3.0" of SSL, "1.0" to "1.2" of TLS; none = it takes nothing
	Ciphers   []string `yaml:"ciphers"`   // OpenSSL's names
	Shows     []string `yaml:"shows"`     // certificates, the leaf first
	ShowsEC   []string `yaml:"shows_ec"`  // to who offers ECDSA
	Refuses   string   `yaml:"refuses"`   // "" = by an alert; reset, close
	HTTPS     bool     `yaml:"https"`     // it shakes hands and answers, as far as Go can
	Redirects []string `yaml:"redirects"` // the certificate of another host, to which it then sends one
	Closed    bool     `yaml:"closed"`    // nothing listens
}

// StagedPhone is a phone's configuration.
type StagedPhone struct {
	Trusts []string `yaml:"trusts"` // certificates, by their hashes
	HostID bool     `yaml:"host_id"`
}

// StagedFile is a file that somebody uploads.
type StagedFile struct {
	Has []string `yaml:"has"`
	DER bool     `yaml:"der"`
}

func (f StagedFile) name() string { return "expressway.cer" }

// Files of a stage.
const (
	phoneFile = "SEP8CB64F576113.cnf.xml"
	trustFile = "trusted-cas.pem"
)

// elsewhere is the host to which a server redirects.
const elsewhere = "other.example.com"

func (s Stage) host() string {
	if s.Server.Host != "" {
		return s.Server.Host
	}
	return "server.example.com"
}

func (s Stage) address(port string) string { return net.JoinHostPort(s.host(), port) }
func (s Stage) url() string                { return "https://" + s.host() + "/VPNPhone" }

var versionNames = map[string]hello.Version{"3.0": hello.SSL30, "1.0": hello.TLS10, "1.1": hello.TLS11, "1.2": hello.TLS12}

// check finds names that are none.
func (s Stage) check() error {
	made := map[string]bool{"": true}
	var problems []error
	for _, c := range s.Certificates {
		if !made[c.By] {
			problems = append(problems, fmt.Errorf("certificates: %s is issued by %q, which stands not before it", c.Name, c.By))
		}
		made[c.Name] = true
	}
	for at, list := range map[string][]string{
		"server.shows": s.Server.Shows, "server.shows_ec": s.Server.ShowsEC, "server.redirects": s.Server.Redirects,
		"phone.trusts": s.Phone.Trusts, "file.has": s.File.Has, "trust": s.Trust,
	} {
		for _, name := range list {
			if !made[name] || name == "" {
				problems = append(problems, fmt.Errorf("%s: there is no certificate %q", at, name))
			}
		}
	}
	for _, v := range append([]string{s.Offers}, s.Server.Versions...) {
		if _, ok := versionNames[v]; !ok && v != "" {
			problems = append(problems, fmt.Errorf("%q is no version: write 3.0, 1.0, 1.1 or 1.2", v))
		}
	}
	if r := hello.Refusal(s.Server.Refuses); r != hello.WithAlert && r != hello.WithReset && r != hello.WithClose {
		problems = append(problems, fmt.Errorf("server.refuses: %q is no way: leave it out, or write reset or close", r))
	}
	if len(s.Server.Redirects) > 0 && !s.Server.HTTPS {
		problems = append(problems, errors.New("server.redirects: what sends one elsewhere speaks https"))
	}
	for _, name := range s.Server.Ciphers {
		if _, ok := hello.SuiteByName(name); !ok {
			problems = append(problems, fmt.Errorf("server.ciphers: there is no cipher %q", name))
		}
	}
	return errors.Join(problems...)
}
