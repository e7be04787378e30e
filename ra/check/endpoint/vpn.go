package endpoint

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // what phones compare (hashAlg 0)
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"ciscora/ra/check"
	"ciscora/ra/check/hello"
)

// VPNOptions of a check of a VPN gateway as a phone sees it.
type VPNOptions struct {
	Outside
	URL         string // of the gateway: https://HOST/GROUP
	PhoneConfig string // the phone's file from TFTP; "" = what needs it is skipped
}

// VPN checks what a phone checks. An error is one of the command line.
func VPN(ctx context.Context, o VPNOptions, r *check.Report) error {
	u, err := phoneURL(o.URL)
	if err != nil {
		return err
	}
	v := vpn{o: o, r: r, url: u, address: net.JoinHostPort(u.Hostname(), portOf(u))}
	if err := v.config(); err != nil {
		return err
	}
	if !v.certificates(ctx) {
		return nil
	}
	v.hashes()
	v.hostID()
	for _, l := range v.leaves {
		v.add(l, validity("vpn.dates", l.certificate, o.Outside, "VPN cert chain verification failed at the phones, as soon as the ASA has another certificate",
			"Upload the new certificate as phone-vpn-trust first, let the phones fetch it while they are connected, and only then put it on the interface (ssl trustpoint), from a trustpoint of its own; "+
				"with the same CN it overwrites the old one in phone-vpn-trust (CSCuh19734)", ""))
	}
	v.redirect(ctx)
	return nil
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return "443"
}

type vpn struct {
	o       VPNOptions
	r       *check.Report
	url     *url.URL
	address string
	phone   *phoneConfig // nil = none was given, or it cannot be read
	leaves  []leaf
}

// config reads the phone's configuration.
func (v *vpn) config() error {
	if v.o.PhoneConfig == "" {
		v.r.Skip("vpn.config", "no --phone-config was given: SEP….cnf.xml, from TFTP")
		return nil
	}
	c, err := readPhoneConfig(v.o.PhoneConfig)
	switch {
	case errors.Is(err, errNoVPNGroup):
		v.r.Add(check.Finding{
			Name: "vpn.config", State: check.Fail, Seen: err.Error(), Symptom: "the phone offers no VPN, or does not log in",
			Reason: "the phone's common profile names no VPN group and profile",
			Fix:    "Put both into the common phone profile (Device > Device Settings), reset the phone inside the network, and fetch the file again",
		})
		return nil
	case err != nil:
		return fmt.Errorf("--phone-config: %w", err)
	}
	v.phone = &c
	has := check.Finding{
		Name: "vpn.config", State: check.OK,
		Seen: fmt.Sprintf("URLs: %d, hashes: %d, host-ID check %s", len(c.URLs), len(c.Hashes), map[bool]string{true: "on", false: "off"}[c.HostID]),
	}
	if c.Unreadable > 0 {
		has.State = check.Warn
		has.Seen += fmt.Sprintf("; not readable as base64 of a SHA-1 or SHA-256: %d", c.Unreadable)
		has.Symptom, has.Reason, has.Fix = "the phone trusts none of those", "the file is cut off, or was edited", "Fetch it again by TFTP; if CUCM wrote it so, put the certificate into the VPN gateway again and reset the phone"
	}
	v.r.Add(has)
	f := check.Finding{Name: "vpn.url", State: check.OK, Seen: shown(v.url.String()) + " is one of the phone's"}
	if !slices.ContainsFunc(c.URLs, v.sameURL) {
		urls := make([]string, len(c.URLs))
		for i, u := range c.URLs {
			urls[i] = shown(u)
		}
		f = check.Finding{
			Name: "vpn.url", State: check.Warn, Seen: shown(v.url.String()) + " is none of the phone's: " + strings.Join(urls, ", "),
			Symptom: "the phone connects elsewhere than was checked here", Reason: "the VPN gateway in CUCM has another URL", Fix: "Check the phone's URL, or correct it in the VPN gateway",
		}
	}
	v.r.Add(f)
	return nil
}

func (v *vpn) sameURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && strings.EqualFold(u.Hostname(), v.url.Hostname()) && portOf(u) == portOf(v.url) && strings.Trim(u.Path, "/") == strings.Trim(v.url.Path, "/")
}

// certificates asks as a phone of each kind does.
func (v *vpn) certificates(ctx context.Context) bool {
	prober, name := v.o.prober(v.address), serverName(v.address)
	s := seen{address: v.address}
	silent := true
	for _, try := range []struct {
		version hello.Version
		keys    []hello.Key
	}{
		{hello.TLS12, []hello.Key{hello.RSA, hello.DHERSA, hello.ECDHERSA}},
		{hello.TLS10, []hello.Key{hello.RSA, hello.DHERSA, hello.ECDHERSA}},
		{hello.TLS12, []hello.Key{hello.ECDHEECDSA}},
	} {
		got := ask(ctx, prober, try.version, hello.SuitesOf(try.version, try.keys...), name)
		var connect *hello.ConnectError
		if errors.As(got.err, &connect) {
			v.r.Add(unreachable("vpn.connect", v.address, got.err))
			return false
		}
		silent = silent && errors.Is(got.err, hello.ErrSilent)
		if got.err == nil {
			s.addLeaf(got.answer, hello.SuiteByID(got.answer.Suite).Key)
		}
	}
	if len(s.leaves) == 0 {
		if chain, err := v.o.chainByTLS13(ctx, v.address, name); err == nil && len(chain) > 0 {
			s.leaves = []leaf{{chain[0], []hello.Key{hello.Any}}}
		}
	}
	if len(s.leaves) == 0 {
		f := check.Finding{
			Name: "vpn.connect", State: check.Fail, Seen: "the port is open, and no certificate comes", Symptom: "the phone's console says SSL_connect: SSL_ERROR_SSL (error 1)",
			Reason: "there is no TLS that can be agreed on", Fix: "ra check tls " + v.address + " tells more",
		}
		if silent {
			f.Seen, f.Reason, f.Fix = "the port is open, and nothing is said", silentReason, silentFix
		}
		v.r.Add(f)
		return false
	}
	v.r.OK("vpn.connect", v.address+" takes connections")
	for _, c := range clients() {
		if c.name == "7962g" {
			answer, err := prober.Ask(ctx, c.offer(name))
			f := clientSeen{c, outcome{answer, err}}.judge(false)
			f.Name = "vpn.cipher"
			v.r.Add(f)
		}
	}
	v.leaves = s.leaves
	if f, ok := twoLeaves("vpn.leaves", s.leaves); ok {
		v.r.Add(f)
	}
	return true
}

// add adds what there is to say of a certificate: of two, of which.
func (v *vpn) add(l leaf, f check.Finding) {
	if len(v.leaves) > 1 {
		f.Seen = l.certificate.PublicKeyAlgorithm.String() + ": " + f.Seen
	}
	v.r.Add(f)
}

// hashes compares each certificate with what the phone trusts.
func (v *vpn) hashes() {
	for _, l := range v.leaves {
		sum := sha1.Sum(l.certificate.Raw)
		long := sha256.Sum256(l.certificate.Raw)
		told := fmt.Sprintf("%s: SHA-1 %s, in base64 %s", subject(l.certificate), strings.ToUpper(hex.EncodeToString(sum[:])), base64.StdEncoding.EncodeToString(sum[:]))
		switch {
		case v.phone == nil:
			v.add(l, check.Finding{Name: "vpn.hash", State: check.Skip, Seen: told + "; there is no phone's configuration to compare with"})
		case slices.ContainsFunc(v.phone.Hashes, func(h []byte) bool { return bytes.Equal(h, sum[:]) || bytes.Equal(h, long[:]) }):
			v.add(l, check.Finding{Name: "vpn.hash", State: check.OK, Seen: told + "; the phone trusts it"})
		default:
			f := check.Finding{
				Name: "vpn.hash", State: check.Fail, Seen: told + "; the phone has " + v.phone.told(),
				Symptom: "the phone's console says Leaf cert hash = " + strings.ToUpper(hex.EncodeToString(sum[:])) +
					", VPN cert chain verification failed, issuer certificate not found and leaf not trusted, alert code 48, unknown CA, notify code: 37 [SslAlertSrvrCert]; the ASA logs tlsv1 alert unknown ca",
				Reason: "a VPN phone trusts the certificates alone whose hashes CUCM has written into its configuration, and this is none of them",
				Fix: "Export the certificate of the trustpoint that show run ssl names for the interface, upload it to CUCM as phone-vpn-trust, put it into the VPN gateway, and let the phone fetch its configuration " +
					"inside the network",
			}
			switch {
			case len(v.phone.Hashes) == 0 && v.phone.Unreadable > 0:
				f.Reason = "no hash of the phone's configuration can be read, see vpn.config"
			case len(v.phone.Hashes) == 0:
				f.Reason = "the phone's configuration has no hash: no certificate was put into the VPN gateway"
			}
			v.add(l, f)
		}
	}
}

// told are the phone's hashes in both forms.
func (c *phoneConfig) told() string {
	if len(c.Hashes) == 0 {
		return "none"
	}
	parts := make([]string, len(c.Hashes))
	for i, h := range c.Hashes {
		parts[i] = fmt.Sprintf("%s (%s)", strings.ToUpper(hex.EncodeToString(h)), base64.StdEncoding.EncodeToString(h))
	}
	return strings.Join(parts, ", ")
}

// hostID is of no account where the phone does not look.
func (v *vpn) hostID() {
	for _, l := range v.leaves {
		f := hostID("vpn.host-id", v.url.Hostname(), l.certificate)
		if f.State != check.OK && v.phone != nil && !v.phone.HostID {
			f = check.Finding{Name: f.Name, State: check.OK, Seen: f.Seen + ": " + f.Reason + "; but the phone's host-ID check is off"}
		}
		if f.State == check.Fail && v.phone == nil {
			f.State, f.Reason = check.Warn, f.Reason+" (if the host-ID check is on)"
		}
		v.add(l, f)
	}
}
