package config

import (
	"crypto/x509"
	"time"
)

// Certsrv is certsrv.yaml: the built-in Microsoft CA, when it runs alone. Make
// one with [LoadCertsrv] or [DefaultCertsrv].
type Certsrv struct {
	// Listen is the address of IIS's TLS listener. Default 127.0.0.1:8443.
	Listen string `yaml:"listen"`

	// Dir holds the CA: certificates, keys and journal; made when absent.
	// Default ca.
	Dir string `yaml:"dir" file:"yes"`

	// Domain is the NetBIOS name of the Windows domain. Default LAB.
	Domain string `yaml:"domain"`

	// Hosts are the names and addresses in IIS's certificate. Default
	// [localhost, 127.0.0.1].
	Hosts []string `yaml:"hosts"`

	// Users are the accounts that may log in. Required.
	Users []User `yaml:"users" required:"yes"`

	// Templates are the certificate templates that the CA has published.
	// Default one, CiscoRA.
	Templates []Template `yaml:"templates"`

	// Lockout is the domain's own lock-out of accounts. Default never, for 10m.
	Lockout AccountLockout `yaml:"lockout"`

	// ExtendedProtection is IIS's: "none", "accept" (a channel binding that is
	// sent must be right) or "require". Default accept.
	ExtendedProtection string `yaml:"extended_protection" enum:"none accept require"`

	// Basic offers Basic authentication besides, which many public clients use.
	// Default false, as on a fresh server.
	Basic bool `yaml:"basic"`

	// Vary is a seed from which IIS and CA do what is not known of real ones in
	// another way, so that a client can be tried against many; 0, the default, is
	// the usual way.
	Vary int `yaml:"vary"`

	// TLS bounds the protocol versions. Default 1.2 to 1.3.
	TLS TLS `yaml:"tls"`

	// Log is the folder for IIS's W3C log files; empty for none. Default logs/iis.
	Log string `yaml:"log" file:"yes"`

	// Admin is the port where requests are listed, approved and denied. Off by
	// default.
	Admin Admin `yaml:"admin"`

	// Faults are faults that are on from the start, such as
	// "certsrv.submit:delay=12s".
	Faults []string `yaml:"faults"`

	source *source
}

// AccountLockout locks an account of the built-in CA for Duration after so many wrong
// passwords, which count as long after the last one; 0 = never.
type AccountLockout struct {
	Threshold int           `yaml:"threshold"`
	Duration  time.Duration `yaml:"duration"`
}

// User is an account of the built-in CA: a name with its NT hash or with a
// password file, or a credentials file, which holds both. A password never
// stands in certsrv.yaml itself.
type User struct {
	// Name is DOMAIN\user, or the user alone, who is then of Certsrv.Domain.
	Name string `yaml:"name"`

	// NTHash is the account's NT hash in hexadecimal. Who has it can log in, so
	// certsrv.yaml must then be mode 0600.
	NTHash NTHash `yaml:"nt_hash"`

	// PasswordFile holds the password and nothing else, mode 0600; a line break
	// at its end does not count.
	PasswordFile string `yaml:"password_file" file:"yes"`

	// Credentials is a file with the keys user and password, mode 0600, as in
	// ra.yaml; Name can then be left out.
	Credentials string `yaml:"credentials" file:"yes"`
}

// Template is a certificate template of the built-in CA.
type Template struct {
	// Name is the template's CN: what a request asks for. Required.
	Name string `yaml:"name" required:"yes"`

	// FriendlyName is what the list of templates shows. Default Name.
	FriendlyName string `yaml:"friendly_name"`

	// OID makes it a template of version 2: requests may name it so, and the page's
	// list and the certificates do. Default none, which is version 1.
	OID string `yaml:"oid"`

	// Subject is where a certificate's subject comes from: the "request" or the
	// "directory", which is the account that asks. Default request.
	Subject string `yaml:"subject" enum:"request directory"`

	// MinKeySize is the smallest RSA key, in bits. Default 2048.
	MinKeySize int `yaml:"min_key_size"`

	// Validity of a certificate. Default 365d.
	Validity time.Duration `yaml:"validity"`

	// KeyUsage by the names of RFC 5280 §4.2.1.3. Default [digitalSignature,
	// keyEncipherment].
	KeyUsage []string `yaml:"key_usage" enum:"digitalSignature contentCommitment keyEncipherment dataEncipherment keyAgreement keyCertSign cRLSign encipherOnly decipherOnly"`

	// ExtKeyUsage by the names of RFC 5280 §4.2.1.12. Default [serverAuth,
	// clientAuth].
	ExtKeyUsage []string `yaml:"ext_key_usage" enum:"any serverAuth clientAuth codeSigning emailProtection timeStamping OCSPSigning"`

	// Enroll lists the users who may ask for it, as Users names them; empty
	// means everybody who can log in.
	Enroll []string `yaml:"enroll"`

	// ManagerApproval keeps requests pending until somebody approves them.
	ManagerApproval bool `yaml:"manager_approval"`
}

func (t *Template) setDefaults() { *t = DefaultTemplate() }

var keyUsages = map[string]x509.KeyUsage{
	"digitalSignature":  x509.KeyUsageDigitalSignature,
	"contentCommitment": x509.KeyUsageContentCommitment,
	"keyEncipherment":   x509.KeyUsageKeyEncipherment,
	"dataEncipherment":  x509.KeyUsageDataEncipherment,
	"keyAgreement":      x509.KeyUsageKeyAgreement,
	"keyCertSign":       x509.KeyUsageCertSign,
	"cRLSign":           x509.KeyUsageCRLSign,
	"encipherOnly":      x509.KeyUsageEncipherOnly,
	"decipherOnly":      x509.KeyUsageDecipherOnly,
}

var extKeyUsages = map[string]x509.ExtKeyUsage{
	"any":             x509.ExtKeyUsageAny,
	"serverAuth":      x509.ExtKeyUsageServerAuth,
	"clientAuth":      x509.ExtKeyUsageClientAuth,
	"codeSigning":     x509.ExtKeyUsageCodeSigning,
	"emailProtection": x509.ExtKeyUsageEmailProtection,
	"timeStamping":    x509.ExtKeyUsageTimeStamping,
	"OCSPSigning":     x509.ExtKeyUsageOCSPSigning,
}

// KeyUsageBits returns KeyUsage as crypto/x509 has it.
func (t Template) KeyUsageBits() x509.KeyUsage {
	var usage x509.KeyUsage
	for _, name := range t.KeyUsage {
		usage |= keyUsages[name]
	}
	return usage
}

// ExtKeyUsages returns ExtKeyUsage as crypto/x509 has it.
func (t Template) ExtKeyUsages() []x509.ExtKeyUsage {
	usages := make([]x509.ExtKeyUsage, 0, len(t.ExtKeyUsage))
	for _, name := range t.ExtKeyUsage {
		usages = append(usages, extKeyUsages[name])
	}
	return usages
}
