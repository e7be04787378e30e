package endpoint

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"ciscora/internal/printable"
	"ciscora/ra/check"
	"ciscora/ra/check/certfile"
)

// CertificateOptions of a check of certificates.
type CertificateOptions struct {
	Outside
	Targets []string // files, or HOST:PORT of servers that show theirs
	Trust   []string // files with the trust store
	Names   []string // peer addresses and TLS verify names that must be in it
	Domain  string   // of Jabber's users
	URL     string   // by which a VPN phone reaches it

	TomcatTrust, CallManagerTrust []string // files with those two stores of CUCM
}

// Certificate looks at each of the targets. An error is one of the command line.
func Certificate(ctx context.Context, o CertificateOptions, r *check.Report) error {
	stores := map[string][]*x509.Certificate{}
	for name, files := range map[string][]string{"--trust": o.Trust, "--tomcat-trust": o.TomcatTrust, "--callmanager-trust": o.CallManagerTrust} {
		for _, file := range files {
			more, err := store(file)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			stores[name] = append(stores[name], more...)
		}
	}
	host := ""
	if o.URL != "" {
		u, err := phoneURL(o.URL)
		if err != nil {
			return fmt.Errorf("--url: %w", err)
		}
		host = u.Hostname()
	}
	if err := allThere(o.Targets); err != nil {
		return err
	}
	c := certificates{o: o, r: r, stores: stores, host: host, many: len(o.Targets) > 1}
	for _, target := range o.Targets {
		all, err := c.load(ctx, target)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			c.judge(target, all)
		}
	}
	c.overwriting()
	return nil
}

// allThere names the files that are not there, before anything is said of the others.
func allThere(targets []string) error {
	var missing []error
	for _, target := range targets {
		if _, err := os.Stat(target); err != nil {
			if _, noAddress := Address(target, ""); noAddress != nil {
				var where *fs.PathError
				if errors.As(err, &where) {
					err = where.Err
				}
				missing = append(missing, fmt.Errorf("%s: %w, and HOST:PORT it is not either", shown(target), err))
			}
		}
	}
	return errors.Join(missing...)
}

// store reads a trust store.
func store(file string) ([]*x509.Certificate, error) {
	data, err := certfile.Read(file)
	if err != nil {
		return nil, err
	}
	f := certfile.Parse(data)
	if len(f.Certificates) == 0 {
		return nil, fmt.Errorf("%s holds no certificate: it is %s", file, f.Kind)
	}
	return f.Certificates, nil
}

type certificates struct {
	o      CertificateOptions
	r      *check.Report
	stores map[string][]*x509.Certificate
	host   string
	many   bool
	leaves []*x509.Certificate
	served []*x509.Certificate // leaves that servers have shown as their own
}

// add names the target where there are several.
func (c *certificates) add(target string, f check.Finding) {
	if c.many {
		f.Seen = shown(target) + ": " + f.Seen
	}
	c.r.Add(f)
}

// load takes the certificates out of a file, or asks a server for them.
func (c *certificates) load(ctx context.Context, target string) ([]*x509.Certificate, error) {
	_, err := os.Stat(target)
	if err != nil && errors.Is(err, fs.ErrNotExist) {
		if address, addressErr := Address(target, ""); addressErr == nil {
			return c.fetch(ctx, address), nil
		}
	}
	data, err := certfile.Read(target)
	if err != nil {
		return nil, err
	}
	f := certfile.Parse(data)
	c.add(target, fileFinding(target, f))
	if f.Key {
		c.add(target, check.Finding{
			Name: "certificate.key", State: check.Warn, Seen: "a private key is in the file", Symptom: "whoever gets the file can be the server",
			Reason: "a certificate is public, its key is not", Fix: "Take the key out before the file is uploaded or mailed; if it was passed on already, make a new key",
		})
	}
	return f.Certificates, nil
}

// fileFinding judges what a file is, as Expressway's upload page does.
func fileFinding(target string, f certfile.File) check.Finding {
	if f.Kind == certfile.PEM && f.Broken == nil {
		return check.Finding{Name: "certificate.file", State: check.OK, Seen: fmt.Sprintf("%s, %d in it", f.Kind, len(f.Certificates))}
	}
	out := check.Finding{
		Name: "certificate.file", State: check.Fail, Seen: "it is " + string(f.Kind),
		Symptom: "Expressway says Invalid certificate: The file provided is not a valid X.509 PEM certificate file.",
		Reason:  "X.509 in PEM is wanted, whatever the file is called", Fix: printable.Line(f.Kind.Mend(target), 0),
	}
	if f.Broken != nil {
		out.Seen = "a certificate in it cannot be read: " + shown(f.Broken.Error())
	}
	return out
}

func (c *certificates) fetch(ctx context.Context, address string) []*x509.Certificate {
	chain, err := c.o.chainOf(ctx, address, serverName(address))
	if err != nil {
		c.add(address, check.Finding{
			Name: "certificate.server", State: check.Fail, Seen: shown(err.Error()), Symptom: "whoever connects gets no certificate",
			Reason: "there is no connection, or no TLS", Fix: "ra check tls " + address + " tells more",
		})
		return nil
	}
	c.served = append(c.served, chain[0])
	c.add(address, check.Finding{Name: "certificate.server", State: check.OK, Seen: fmt.Sprintf("it shows %d: %s", len(chain), subjects(chain))})
	return chain
}

func (c *certificates) judge(target string, all []*x509.Certificate) {
	leaf := leafOf(all)
	c.leaves = append(c.leaves, leaf)
	add := func(f check.Finding) { c.add(target, f) }
	add(check.Finding{Name: "certificate.leaf", State: check.OK, Seen: described(leaf) + "; names: " + allNames(leaf)})
	add(validity("certificate.dates", leaf, c.o.Outside,
		"TLS negotiation error at Expressway, certificate expired at a client; VPN phones stay outside",
		"Have it issued anew before that. VPN phones: upload the new one as phone-vpn-trust first, let the phones fetch it, and only then put it on the interface, in a trustpoint of its own",
		"Have it issued anew. VPN phones that are outside do not come back by themselves: upload the new one as phone-vpn-trust, and let them fetch their configuration inside the network"))
	if len(c.o.Trust) > 0 {
		c.trust(add, leaf, all)
	} else {
		add(check.Finding{Name: "certificate.chain", State: check.Skip, Seen: "no --trust was given to look for its issuers in"})
	}
	for _, name := range c.o.Names {
		add(peerName(name, leaf))
	}
	if c.o.Domain != "" {
		add(jabber(c.o.Domain, leaf))
	}
	for _, of := range []string{"tomcat-trust", "callmanager-trust"} {
		if trust := c.stores["--"+of]; len(trust) > 0 {
			add(ofCUCM(of, leaf, all, trust))
		}
	}
	if c.host != "" {
		add(hostID("certificate.host-id", c.host, leaf))
	}
	if f, ok := phoneCertificate(leaf); ok {
		add(f)
	}
}

// trust judges the chain as Expressway does: every CA of it must be in the trust store.
func (c *certificates) trust(add func(check.Finding), leaf *x509.Certificate, all []*x509.Certificate) {
	served := slices.ContainsFunc(c.served, leaf.Equal)
	w := up(leaf, all, c.stores["--trust"])
	for _, l := range w.links {
		if f := validity("certificate.ca-dates", l.certificate, c.o.Outside, "TLS negotiation error at Expressway, whatever the server's own certificate says",
			"Upload the CA's new certificate to the trust stores; if it has another key, have the server's certificate issued anew", ""); f.State != check.OK && !l.certificate.Equal(leaf) {
			add(f)
		}
	}
	unrecognized := "Expressway says Invalid certificate: Unrecognized CA. This certificate is not currently trusted by the Expressway. This is because the CA certificate is not in the trust store."
	switch {
	case w.missing != nil:
		who, fetch := wanted(w.missing)
		reason := "it is neither in the trust store nor with the certificate"
		if namesake(w.missing, all) || namesake(w.missing, c.stores["--trust"]) {
			reason = "a CA of that name is there, but with another key: the CA was renewed, or is another"
		}
		add(check.Finding{
			Name: "certificate.chain", State: check.Fail, Seen: "the issuer of " + subject(w.missing) + " is missing: " + who, Symptom: unrecognized,
			Reason: reason, Fix: "Upload the root and every intermediate first (Maintenance > Security > Trusted CA certificate); " + fetch,
		})
	case !w.anchored():
		root := w.links[len(w.links)-1].certificate
		add(check.Finding{
			Name: "certificate.chain", State: check.Fail, Seen: "its root is not in the trust store: " + subject(root), Symptom: unrecognized,
			Reason: "the chain is complete, but nobody here trusts its root", Fix: "Upload the root, if it is the right one, and every intermediate (Maintenance > Security > Trusted CA certificate)",
		})
	case w.broken(leaf) != "":
		add(check.Finding{
			Name: "certificate.chain", State: check.Fail, Seen: w.broken(leaf), Symptom: "TLS negotiation error at Expressway; openssl verify names the same",
			Reason: "the signatures are right, but this chain must not be taken (RFC 5280 section 6.1)",
			Fix:    "Have the certificate issued by a CA that may, or the CA's own certificate anew with what it needs; uploading more CAs does not help",
		})
	case len(w.notTrusted()) > 0:
		add(check.Finding{
			Name: "certificate.chain", State: check.Fail, Seen: "only because it comes along it verifies; not in the trust store: " + subjects(w.notTrusted()),
			Symptom: "the traversal zone is up, but No SSH tunnels have been established",
			Reason: "Expressway's zone comes up with the root alone, its SSH tunnels need every intermediate in the trust store; CAs change those when they renew. " +
				"Clients that take what the server sends along, as CES does, are content: ra check ca asks as they do",
			Fix: "Upload the intermediates on every Expressway (Maintenance > Security > Trusted CA certificate)",
		})
	case len(w.links) == 1 && selfIssued(leaf) && (served || !leaf.IsCA || len(leaf.DNSNames)+len(leaf.IPAddresses) > 0): // a CA's own has no names, and no server
		words, reason := check.SelfSigned(leaf, true, "--trust")
		symptom := "clients that do not have this very certificate in their trust store refuse it"
		if words != "" {
			symptom = "CES of CUCM: return code 60 (SSL certificate problem: " + words + ")"
		}
		add(check.Finding{
			Name: "certificate.chain", State: check.Warn, Seen: "it is self-signed, and in the trust store itself: " + subject(leaf),
			Symptom: symptom, Reason: reason, Fix: "For IIS and CES have one issued by the CA (template Web Server)",
		})
	default:
		var path []*x509.Certificate
		for _, l := range w.links {
			path = append(path, l.certificate)
		}
		add(check.Finding{Name: "certificate.chain", State: check.OK, Seen: "every CA is in the trust store: " + subjects(path)})
	}
}

// peerName judges whether a peer may be called by a name.
func peerName(name string, leaf *x509.Certificate) check.Finding {
	if ip := net.ParseIP(name); ip != nil && slices.ContainsFunc(leaf.IPAddresses, ip.Equal) || leaf.VerifyHostname(name) == nil {
		return check.Finding{Name: "certificate.name", State: check.OK, Seen: shown(name) + " is among its SANs"}
	}
	seen := shown(name) + " is not among " + amongNames(leaf)
	if slices.Contains(leaf.DNSNames, name) {
		seen = shown(name) + " is among its SANs as a DNS name, and an address counts only as an address"
	}
	return check.Finding{
		Name: "certificate.name", State: check.Fail, Seen: seen, Symptom: "the traversal zone is down: TLS negotiation error",
		Reason: "the peer address of the zone on C, or the TLS verify name on E, must be a SAN of the other side's certificate",
		Fix:    "Change the peer address or the verify name to one of the certificate's, or have it issued with this one; a cluster's FQDN must be in every peer's certificate",
	}
}

// jabber judges the names that Jabber looks for.
func jabber(domain string, leaf *x509.Certificate) check.Finding {
	for _, name := range []string{domain, "collab-edge." + domain} {
		if slices.ContainsFunc(leaf.DNSNames, func(san string) bool { return strings.EqualFold(san, name) }) {
			return check.Finding{Name: "certificate.domain", State: check.OK, Seen: shown(name) + " is among its SANs"}
		}
	}
	return check.Finding{
		Name: "certificate.domain", State: check.Fail, Seen: fmt.Sprintf("neither %s nor collab-edge.%s is among %s", shown(domain), shown(domain), amongNames(leaf)),
		Symptom: "Jabber warns of the certificate when its users log in from outside (MRA)", Reason: "Jabber looks for its users' domain in Expressway-E's certificate",
		Fix: "Have Expressway-E's certificate issued with one of the two as a SAN",
	}
}

// ofCUCM judges whether CUCM trusts Expressway-C.
func ofCUCM(name string, leaf *x509.Certificate, all, trust []*x509.Certificate) check.Finding {
	f := check.Finding{Name: "certificate." + name, State: check.OK}
	w := up(leaf, all, trust)
	broken := w.broken(leaf)
	if w.anchored() && len(w.notTrusted()) == 0 && broken == "" {
		f.Seen = "every CA is in " + name
		return f
	}
	f.State = check.Fail
	switch {
	case w.anchored() && broken != "":
		f.Seen = broken
	case w.missing != nil:
		who, _ := wanted(w.missing)
		f.Seen = "not in " + name + ": " + who
	default:
		f.Seen = "not in " + name + ": " + subjects(w.notTrusted())
	}
	f.Symptom = "log-in from outside (MRA) fails after an upgrade or a renewal"
	f.Reason = "Expressway's traffic server verifies certificates in newer versions, and CUCM must trust Expressway-C's CA"
	f.Fix = "Upload Expressway-C's CAs to CUCM as tomcat-trust and as callmanager-trust, then restart Tomcat, CallManager, TFTP and the HAProxy service on each node"
	return f
}

// overwriting warns of two certificates of one CN: CUCM keeps one of them.
func (c *certificates) overwriting() {
	for i, one := range c.leaves {
		for _, other := range c.leaves[:i] {
			cn := one.Subject.CommonName
			if cn == "" || !strings.EqualFold(cn, other.Subject.CommonName) || one.Equal(other) {
				continue
			}
			c.r.Add(check.Finding{
				Name: "certificate.same-cn", State: check.Warn, Seen: fmt.Sprintf("two certificates have the CN %s, until %s and %s", shown(cn), day(other.NotAfter), day(one.NotAfter)),
				Symptom: "phones that have only the old hash no longer connect: VPN cert chain verification failed, issuer certificate not found and leaf not trusted",
				Reason:  "uploaded as phone-vpn-trust, the second overwrites the first (CSCuh19734)",
				Fix:     "Let all phones fetch the new hash while the ASA still shows the old certificate, then change it there; or give the new one another CN",
			})
		}
	}
}

// phoneURL reads the URL by which a phone reaches its VPN gateway.
func phoneURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no URL: want https://HOST/GROUP", shown(text))
	case u.Scheme != "https" || u.Hostname() == "" || u.User != nil:
		return nil, fmt.Errorf("%q: want https://HOST/GROUP", shown(u.Redacted()))
	}
	return u, nil
}
