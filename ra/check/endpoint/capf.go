package endpoint

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"ciscora/ra/check"
	"ciscora/ra/check/hello"
)

// CAPFPort is CAPF's, as CUCM has it.
const CAPFPort = "3804"

// CAPFOptions of a check of CAPF as the TSP or a phone sees it.
type CAPFOptions struct {
	Outside
	Address string // HOST:PORT
}

// capfName is the CN of CAPF's certificate: its serial number is in it.
var capfName = regexp.MustCompile(`^CAPF-[0-9a-fA-F]{8}$`)

// CAPF checks the TCP port, the hello and the certificate. What stands behind log-in
// (instance id, authorization string) cannot be seen from outside.
func CAPF(ctx context.Context, o CAPFOptions, r *check.Report) {
	prober := o.prober(o.Address)
	aes128 := named("AES128-SHA")
	taken := map[hello.Version]outcome{}
	for _, v := range []hello.Version{hello.TLS10, hello.TLS11, hello.TLS12} {
		taken[v] = ask(ctx, prober, v, aes128, "")
		var connect *hello.ConnectError
		if errors.As(taken[v].err, &connect) {
			f := unreachable("capf.connect", o.Address, connect)
			f.Symptom = "Certificate Status in the TSP never becomes Available; CUCM shows Certificate Operation Status: Operation Pending"
			if !nameUnknown(connect) {
				f.Reason = "CAPF runs on the publisher alone, and only where it was activated; else a firewall is in between"
				f.Fix = "Activate Cisco Certificate Authority Proxy Function on the first node (Serviceability > Service Activation), and open port 3804 on the way"
			}
			r.Add(f)
			return
		}
	}
	r.OK("capf.connect", o.Address+" takes connections")
	var versions []hello.Version
	best := outcome{}
	for _, v := range []hello.Version{hello.TLS10, hello.TLS11, hello.TLS12} {
		if taken[v].err == nil {
			versions, best = append(versions, v), taken[v]
		}
	}
	if len(versions) == 0 {
		r.Add(noAES128(taken[hello.TLS12].err))
	} else {
		r.OK("capf.cipher", "AES128-SHA is taken with "+joined(versions)+": SSL connection using AES128-SHA, as a TSP logs it")
	}
	capfCertificate(ctx, o, best, r)
	r.Skip("capf.profile", "cannot be seen from outside, look into CUCM: whether the cluster security mode is 1 (mixed), whether instance id and authorization string are the same there and in the TSP, "+
		"and whether the CA is an offline one, which a TSP cannot use (its certificate status then never becomes Available)")
}

// Why a port takes connections and answers no Client Hello, and what helps.
const (
	silentReason = "the server is overloaded or hangs, or a firewall lets the connection through and then nothing more"
	silentFix    = "Look at the server's load and log, and at firewalls that inspect TLS; or the port is another one"
)

func noAES128(err error) check.Finding {
	if errors.Is(err, hello.ErrSilent) {
		return check.Finding{
			Name: "capf.cipher", State: check.Fail, Seen: "the connection opens, and nothing is said: " + shown(err.Error()),
			Symptom: "the TSP's trace has no SSLConnectThreadEntry() Handshake: Finished", Reason: silentReason, Fix: silentFix,
		}
	}
	return check.Finding{
		Name: "capf.cipher", State: check.Fail, Seen: "AES128-SHA is not taken: " + shown(err.Error()),
		Symptom: "the TSP's trace has no SSLConnectThreadEntry() Handshake: Finished", Reason: "TSP and phones speak to CAPF with AES128-SHA",
		Fix: "Look whether CAPF is what listens there, and at TLS Ciphers and minimum TLS version of the cluster (Enterprise Parameters, set tls min-version)",
	}
}

// capfCertificate judges whose certificate is shown.
func capfCertificate(ctx context.Context, o CAPFOptions, best outcome, r *check.Report) {
	chain, err := parsed(best.answer.Certificates)
	if err != nil {
		if chain, err = o.chainOf(ctx, o.Address, ""); err != nil {
			r.Skip("capf.certificate", "none was shown: "+shown(err.Error()))
			return
		}
	}
	c := chain[0]
	f := check.Finding{Name: "capf.certificate", State: check.OK, Seen: described(c)}
	if !capfName.MatchString(c.Subject.CommonName) {
		f.State, f.Symptom = check.Fail, "the TSP, or a phone, does not find the certificate in its CTL and ends the connection"
		f.Reason = "CAPF's own certificate has the CN CAPF- and eight hexadecimal digits: something else listens there, or its certificate was replaced"
		f.Fix = "Name the publisher, port 3804; after a new CAPF certificate bring the CTL up to date (utils ctl update CTLFile), and restart CAPF, TFTP and the phones"
	}
	r.Add(f)
	r.Add(validity("capf.dates", c, o.Outside, "no LSC is issued, and the TSP's certificate status never becomes Available",
		"Regenerate CAPF.pem (OS Administration > Security > Certificate Management), bring the CTL up to date, restart CAPF and TFTP, and have the LSCs issued anew", ""))
	others := slices.DeleteFunc(hello.SuitesOf(hello.TLS12), func(s hello.Suite) bool { return s.Name == "AES128-SHA" })
	if got := ask(ctx, o.prober(o.Address), hello.TLS12, others, ""); got.err == nil {
		r.OK("capf.others", fmt.Sprintf("takes others, too: first %s", hello.SuiteByID(got.answer.Suite).Name))
	}
}
