package config

import (
	"crypto/tls"
	"fmt"
	"time"
)

// Default returns the configuration in which nothing is set but the profile.
// An unknown profile has the defaults of modern. The required keys are empty.
func Default(profile Profile) RA {
	c := RA{
		Profile: profile,
		EST: EST{
			Listen:         "0.0.0.0:8084",
			TLS:            TLS{Min: tls.VersionTLS12, Max: tls.VersionTLS13},
			Revocation:     RevocationSoft,
			Dialect:        DialectRFC8951,
			Base64:         Base64Auto,
			Authentication: []Authentication{AuthenticateRelay},
			CSRAttributes:  "classic",
			Lockout:        Lockout{Failures: 3, For: 15 * time.Minute},
			Limits: Limits{
				Body:          64 << 10,
				HeaderTimeout: 10 * time.Second,
				BodyTimeout:   30 * time.Second,
				InFlight:      20000,
				PerClient:     1000,
			},
			DrainDelay: 5 * time.Second,
			Drain:      30 * time.Second,
		},
		CA: CA{
			Authentication: "ntlm",
			TLS:            TLS{Min: tls.VersionTLS12, Max: tls.VersionTLS13},
			NameCheck:      "go",
			Sessions:       SessionsPooled,
			Vouch:          time.Minute,
			Pool:           8,
			InFlight:       32,
			ScriptTimeout:  90 * time.Second,
			Renewal:        RenewalNewest,
			TemplateCheck:  "off",
			ChannelBinding: true,
			Timeouts: Timeouts{
				Resolve:   5 * time.Second,
				Connect:   10 * time.Second,
				Handshake: 10 * time.Second,
				Login:     10 * time.Second,
				Chain:     10 * time.Second,
				Template:  10 * time.Second,
				Submit:    120 * time.Second,
				Fetch:     30 * time.Second,
			},
			Refresh: time.Hour,
		},
		Ledger: Ledger{DSN: "sqlite:ra.db", Join: 10 * time.Minute, Retention: 400 * 24 * time.Hour},
		Logs: Logs{
			Level: "info",
			Files: LogFiles{NGINX: "logs/nginx-error.log", CiscoRA: "logs/ciscora.log"},

			Rotate: Rotate{Size: 100 << 20, Keep: 7},
		},
		Admin: RAAdmin{Admin: Admin{Listen: "127.0.0.1:8085"}},
	}
	if profile == ProfileCUCM {
		c.EST.TLS = TLS{Min: tls.VersionTLS12, Max: tls.VersionTLS12}
		c.EST.Revocation = RevocationOff
		c.EST.Dialect = DialectLibest
		c.EST.CSRAttributes = "none"
		c.CA.TLS = TLS{Min: tls.VersionTLS10, Max: tls.VersionTLS12}
		c.CA.NameCheck = "curl"
		c.CA.Sessions = SessionsPerEnrollment
		c.CA.InFlight = 0
		c.CA.Renewal = 0
		c.CA.TemplateCheck = "list"
		c.CA.ChannelBinding = false
		c.CA.Timeouts.Request = 10 * time.Second
	}
	return c
}

// DefaultCertsrv returns the built-in CA's configuration in which nothing is
// set. Its users, which are required, are empty.
func DefaultCertsrv() Certsrv {
	ciscora := DefaultTemplate()
	ciscora.Name = "CiscoRA"
	return Certsrv{
		Listen:             "127.0.0.1:8443",
		Dir:                "ca",
		Domain:             "LAB",
		Hosts:              []string{"localhost", "127.0.0.1"},
		Templates:          []Template{ciscora},
		Lockout:            AccountLockout{Duration: 10 * time.Minute},
		ExtendedProtection: "accept",
		TLS:                TLS{Min: tls.VersionTLS12, Max: tls.VersionTLS13},
		Log:                "logs/iis",
	}
}

// DefaultTemplate returns a template in which nothing is set; its name, which is
// required, is empty.
func DefaultTemplate() Template {
	return Template{
		Subject:     "request",
		MinKeySize:  2048,
		Validity:    365 * 24 * time.Hour,
		KeyUsage:    []string{"digitalSignature", "keyEncipherment"},
		ExtKeyUsage: []string{"serverAuth", "clientAuth"},
	}
}

// ParseProfile returns the profile of this name, or an error that names those
// that there are.
func ParseProfile(name string) (Profile, error) {
	switch p := Profile(name); p {
	case ProfileModern, ProfileCUCM:
		return p, nil
	}
	return "", fmt.Errorf("%q is not known, %s", name, Suggest(name, []string{string(ProfileModern), string(ProfileCUCM)}, "want one of"))
}
