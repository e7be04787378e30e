package endpoint

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"ciscora/ra/check"
	"ciscora/ra/check/hello"
)

// judge makes the findings. Where one client was asked for it must get through; of
// all that are known, some may not.
func (s *seen) judge(r *check.Report, must bool) {
	if err := s.unreachable(); err != nil {
		r.Add(unreachable("tls.connect", s.address, err))
		r.Skip("tls.versions", "there is no connection")
		return
	}
	r.OK("tls.connect", s.address+" takes connections")
	if !s.speaks() {
		r.Add(s.noHello())
		return
	}
	for _, v := range hello.Versions() {
		r.Add(s.version(v))
	}
	if s.versions[hello.TLS12].err != nil && s.versions[hello.TLS13].err != nil {
		r.Add(check.Finding{
			Name: "tls.current", State: check.Warn, Seen: "neither TLS 1.2 nor 1.3 is taken",
			Symptom: "clients of today refuse it: \"unsupported protocol\" (OpenSSL), \"tls: server selected unsupported protocol version\" (Go), curl's return code 35",
			Reason:  "TLS 1.0 and 1.1 are deprecated (RFC 8996), and switched off in most clients",
			Fix:     "Switch TLS 1.2 on at the server, besides the older one where old clients need that",
		})
	}
	s.ciphers(r)
	s.judgeLeaves(r)
	for _, c := range s.clients {
		r.Add(c.judge(must))
	}
}

// unreachable is a connection that did not come about.
func unreachable(name, address string, err error) check.Finding {
	f := check.Finding{
		Name: name, State: check.Fail, Seen: shown(err.Error()), Symptom: "whoever connects to " + address + " gets no connection",
		Reason: "nothing answers there: the machine is off, or a firewall is in between",
		Fix:    "Look whether the machine is up, and what is on the way to it",
	}
	switch {
	case nameUnknown(err):
		f.Reason, f.Fix = "DNS, as it is asked from here, does not know the name", "Correct the name, or add it to DNS; ask with an address to check the server meanwhile"
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Reason = "nothing listens there, or a firewall refuses"
		f.Fix = "Look whether the service runs and listens on that port (netstat -an); a service that stops at its start tells why in its own log"
	}
	return f
}

func nameUnknown(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns)
}

// noHello is a port that is open and speaks no TLS.
func (s *seen) noHello() check.Finding {
	f := check.Finding{
		Name: "tls.hello", State: check.Fail,
		Symptom: "a service of Windows logs The server was unable to initialize encryption because of a problem with a security library (SQL Server, events 26011 and 3999); " +
			"clients see the connection closed, reset or silent behind their Client Hello",
		Reason: "the port is open and no Server Hello comes, whatever version is offered: the service has no version of TLS or no certificate that it can use, or something else listens there " +
			"(SQL Server's own port 1433 speaks TLS only inside TDS, and cannot be asked so)",
		Fix: "SQL Server 2008 R2 needs TLS 1.0 and SSL 3.0 switched on in SCHANNEL, SQL Server 2012 the update KB3052404; elsewhere look for what listens there and which certificate it has",
	}
	said := map[string][]hello.Version{}
	for _, v := range hello.Versions() {
		said[s.versions[v].err.Error()] = append(said[s.versions[v].err.Error()], v)
	}
	var parts []string
	for _, v := range hello.Versions() {
		err := s.versions[v].err
		if versions := said[err.Error()]; versions[0] == v {
			parts = append(parts, joined(versions)+": "+shown(err.Error()))
		}
	}
	f.Seen = "TCP is open, but no version of TLS is taken: " + strings.Join(parts, "; ")
	var other *hello.NotTLS
	const wrongVersion = "clients report wrong version number (OpenSSL), curl's return code 35"
	switch {
	case errors.As(s.versions[hello.TLS12].err, &other) && (strings.HasPrefix(string(other.Begins), "HTTP") || strings.HasPrefix(string(other.Begins), "<")):
		f.Symptom, f.Reason, f.Fix = wrongVersion, "plain HTTP is spoken there, without TLS", "Use the port that has TLS, or switch TLS on for this one"
	case other != nil:
		f.Symptom, f.Reason, f.Fix = wrongVersion, "what listens there speaks something else than TLS", "Use the port that has TLS: that of another service answers here"
	case s.silent():
		f.Symptom = "clients wait for an answer to their Client Hello until they give up"
		f.Reason = "the port takes connections and says nothing: the service hangs, waits for its client to begin in another protocol, or something in between drops what it sends"
		f.Fix = "Look what listens there (netstat -an with the program's name), and ask from the same network"
	}
	return f
}

// silent tells that no version was answered at all.
func (s *seen) silent() bool {
	return !slices.ContainsFunc(hello.Versions(), func(v hello.Version) bool { return !errors.Is(s.versions[v].err, hello.ErrSilent) })
}

func (s *seen) version(v hello.Version) check.Finding {
	f := check.Finding{Name: "tls.version." + strings.ReplaceAll(strings.ToLower(v.String()), " ", ""), State: check.OK}
	got := s.versions[v]
	if got.err != nil {
		f.Seen = v.String() + " is not taken: " + shown(got.err.Error())
		if errors.Is(got.err, hello.ErrSilent) {
			f.State, f.Seen = check.Skip, v.String()+": "+got.err.Error()
		}
		return f
	}
	f.Seen = v.String() + " is taken"
	if v == hello.SSL30 {
		f.State = check.Warn
		f.Symptom = "security scanners report POODLE"
		f.Reason = "SSL 3.0 can be read by who sits in between (RFC 7568)"
		f.Fix = "Switch it off; but SQL Server 2008 R2 on the same Windows does not start without it (event 26011): upgrade that first"
	}
	return f
}

// ciphers tells, for each version, the suites, and which of them protect nothing.
func (s *seen) ciphers(r *check.Report) {
	bad := map[string][]string{}
	for _, v := range hello.Versions() {
		list := s.suites[v]
		if len(list) == 0 {
			continue
		}
		told := fmt.Sprintf("%s: %s", v, names(list))
		if s.cut[v] != nil {
			told += fmt.Sprintf(" (and perhaps more: then %v)", s.cut[v])
		}
		r.OK("tls.ciphers."+strings.ReplaceAll(strings.ToLower(v.String()), " ", ""), told)
		for _, suite := range list {
			if why := suite.Weak(); why != "" && !slices.Contains(bad[why], suite.Name) {
				bad[why] = append(bad[why], suite.Name)
			}
		}
	}
	if len(bad) == 0 {
		return
	}
	var parts []string
	for _, why := range []string{"no certificate", "no encryption", "a key that is guessed in hours", "RC4"} {
		if len(bad[why]) > 0 {
			parts = append(parts, strings.Join(bad[why], ", ")+" ("+why+")")
		}
	}
	r.Add(check.Finding{
		Name: "tls.weak", State: check.Warn, Seen: "taken: " + strings.Join(parts, "; "),
		Symptom: "security scanners report weak ciphers", Reason: "these protect nothing, or no longer (RFC 7465, RFC 9325)", Fix: "Take them out of the server's list of ciphers",
	})
}

// judgeLeaves compares the certificates that come with RSA's and with ECDSA's ciphers.
func (s *seen) judgeLeaves(r *check.Report) {
	if len(s.leaves) == 0 {
		r.Skip("tls.leaf", "no certificate was shown")
		return
	}
	for _, l := range s.leaves {
		keys := make([]string, len(l.keys))
		for i, k := range l.keys {
			keys[i] = string(k)
		}
		slices.Sort(keys)
		r.OK("tls.leaf", fmt.Sprintf("with %s: %s", strings.Join(keys, ", "), described(l.certificate)))
	}
	if f, ok := twoLeaves("tls.leaves", s.leaves); ok {
		r.Add(f)
	}
}

// twoLeaves tells of a server that shows another certificate to who offers ECDSA.
func twoLeaves(name string, leaves []leaf) (check.Finding, bool) {
	var rsa, ec *leaf
	for i, l := range leaves {
		if slices.Contains(l.keys, hello.ECDHEECDSA) {
			ec = &leaves[i]
		} else if !slices.Contains(l.keys, hello.Any) {
			rsa = &leaves[i]
		}
	}
	if rsa == nil || ec == nil {
		return check.Finding{}, false
	}
	f := check.Finding{
		Name: name, State: check.Warn,
		Seen: fmt.Sprintf("two certificates: %s with RSA's ciphers, %s with ECDSA's", subject(rsa.certificate), subject(ec.certificate)),
		Symptom: "newer VPN phones fail at DTLS while older ones connect: SSL3_GET_SERVER_HELLO:old session cipher not returned, DTLS write alert: code 47, illegal parameter; " +
			"or they do not know the second certificate's hash",
		Reason: "who offers curves is answered with the ECDSA certificate, whatever was uploaded for the RSA one",
		Fix: `On the ASA offer ciphers with RSA and no others: ssl cipher tlsv1.2 custom "AES256-SHA:AES128-SHA:DHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA", ` +
			"or take a release with the fix of CSCuu02848; elsewhere see that both certificates are trusted",
	}
	if selfIssued(ec.certificate) && !selfIssued(rsa.certificate) {
		f.State = check.Fail
		f.Reason = "who offers curves is answered with a self-signed ECDSA certificate, although an RSA one from a CA is set up: ASA 9.4.1 and later do so"
	}
	return f, true
}

// judge tells whether a client gets through.
func (c clientSeen) judge(must bool) check.Finding {
	f := check.Finding{Name: "tls.client." + c.name, State: check.OK}
	var connect *hello.ConnectError
	switch {
	case c.err == nil && slices.Contains(c.offer("").Suites, c.answer.Suite):
		f.Seen = fmt.Sprintf("%s gets %s with %s", c.what, c.answer.Version, hello.SuiteByID(c.answer.Suite).Name)
		return f
	case errors.As(c.err, &connect):
		f.State, f.Seen = check.Skip, "no connection any more: "+shown(c.err.Error())
		return f
	case c.err == nil:
		c.err = otherAnswer{c.answer}
	}
	f = c.finding
	f.Name, f.State = "tls.client."+c.name, check.Warn
	if must {
		f.State = check.Fail
	}
	var alert hello.Alert
	if errors.As(c.err, &alert) && alert.Code == hello.AlertProtocolVersion { // it has not come to ciphers
		f.Symptom = strings.Replace(f.Symptom, "no shared cipher", "unsupported protocol", 1)
	}
	f.Seen = fmt.Sprintf("%s does not get through: %s", c.what, shown(c.err.Error()))
	return f
}
