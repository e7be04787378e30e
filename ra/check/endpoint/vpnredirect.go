package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"

	"ciscora/ra/check"
)

const (
	// maxAnswer is how much of an answer is read; nothing of it is looked at.
	maxAnswer = 1 << 16
	// maxRedirects is how often a gateway may send to another page of its own.
	maxRedirects = 5
)

// errNoTLS: what the gateway speaks is nothing that Go speaks, which tells nothing of phones.
var errNoTLS = errors.New("no TLS")

// redirect asks for the URL, and for the pages of the same host to which that leads.
func (v *vpn) redirect(ctx context.Context) {
	client, err := v.client()
	if err != nil {
		v.r.Skip("vpn.redirect", "no answer to GET: "+shown(err.Error()))
		return
	}
	at, came := v.url, ""
	for range maxRedirects {
		location, status, err := v.get(ctx, client, at)
		switch {
		case errors.Is(err, errNoTLS):
			v.r.Skip("vpn.redirect", "this program cannot finish a handshake with what the gateway speaks, and so cannot ask for the page; a phone may: "+shown(err.Error()))
			return
		case ctx.Err() != nil:
			v.r.Skip("vpn.redirect", "no answer to GET: "+shown(err.Error()))
			return
		case err != nil:
			v.r.Add(check.Finding{
				Name: "vpn.redirect", State: check.Fail, Seen: fmt.Sprintf("GET %s: no answer: %s", shown(at.String()), shown(err.Error())),
				Symptom: "the phone connects, and its log-in ends in nothing",
				Reason:  "the gateway takes TLS, and answers no HTTP with it",
				Fix:     "See on the ASA that WebVPN and AnyConnect are enabled on this interface (show run webvpn), and that nothing else listens on the port",
			})
			return
		case location == nil:
			v.r.Add(v.page(at, status, came))
			return
		case !v.sameHost(location):
			v.r.Add(v.leadsAway(ctx, location, status))
			return
		}
		at, came = location, "redirected to the same host: "+shown(location.String())+"; "
	}
	v.r.Add(check.Finding{
		Name: "vpn.redirect", State: check.Warn, Seen: fmt.Sprintf("%d redirects on the same host, and no page; the last to %s", maxRedirects, shown(at.String())),
		Symptom: "the phone's log-in does not come to its end",
		Reason:  "the gateway sends whoever asks on and on",
		Fix:     "Open the URL with a browser and follow where it leads; check the group URL of the tunnel group, and what stands in front of the ASA",
	})
}

// page judges what came where nothing leads on.
func (v *vpn) page(at *url.URL, status, came string) check.Finding {
	f := check.Finding{Name: "vpn.redirect", State: check.OK, Seen: fmt.Sprintf("%sGET %s: %s", came, shown(at.String()), shown(status))}
	switch status[0] {
	case '4': // a phone asks in other words
		f.State, f.Symptom = check.Warn, "the phone connects, and perhaps finds nothing to log in to"
		f.Reason = "the gateway has no such page for this request"
		f.Fix = "Compare the URL with the group URL of the tunnel group (show run tunnel-group), and open it with a browser"
	case '5':
		f.State, f.Symptom = check.Fail, "the phone connects, and its log-in fails"
		f.Reason = "what answers behind TLS is broken, or has nothing behind it"
		f.Fix = "Open the URL with a browser; see what stands in front of the ASA, and the ASA's own log"
	default:
		if came == "" {
			f.Seen += ", no redirect"
		}
	}
	return f
}

func (v *vpn) sameHost(u *url.URL) bool {
	return u.Scheme == "https" && strings.EqualFold(u.Hostname(), v.url.Hostname()) && portOf(u) == portOf(v.url)
}

func (v *vpn) leadsAway(ctx context.Context, to *url.URL, status string) check.Finding {
	if to.Scheme != "https" {
		return check.Finding{
			Name: "vpn.redirect", State: check.Fail, Seen: fmt.Sprintf("%s, out of TLS: %s", shown(status), shown(to.String())),
			Symptom: "the phone's console says process_login: login code: 302 (redirected), set_redirect_url: new URL, and then fails",
			Reason:  "a VPN phone logs in over TLS alone",
			Fix:     "Let the gateway answer itself, or redirect to https on the same host",
		}
	}
	return check.Finding{
		Name: "vpn.redirect", State: check.Fail, Seen: fmt.Sprintf("%s, to another host: %s%s", shown(status), shown(to.String()), v.second(ctx, to)),
		Symptom: "the phone's console says process_login: login code: 302 (redirected), set_redirect_url: new URL, and then fails at the certificate",
		Reason:  "load balancing is a redirect to another host with another certificate, and a phone checks one by its hash",
		Fix:     "Let VPN phones connect to an ASA without load balancing: another URL in the VPN gateway",
	}
}

// second tells of the certificate at the other end of a redirect.
func (v *vpn) second(ctx context.Context, to *url.URL) string {
	if to.Scheme != "https" || to.Hostname() == "" {
		return ""
	}
	address, err := Address(net.JoinHostPort(to.Hostname(), portOf(to)), "")
	if err != nil {
		return ""
	}
	chain, err := v.o.chainOf(ctx, address, serverName(address))
	switch {
	case err != nil:
		return "; there: " + shown(err.Error())
	case slices.ContainsFunc(v.leaves, func(l leaf) bool { return l.certificate.Equal(chain[0]) }):
		return "; the same certificate is there"
	}
	return "; another certificate is there: " + described(chain[0])
}

// client keeps cookies, as gateways want it of who follows them.
func (v *vpn) client() (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext: v.o.Dial, DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswer,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS10, CipherSuites: everySuite(),
			InsecureSkipVerify: true, //nolint:gosec // a phone goes by the hash, which was compared; no secret is sent
		},
	}
	return &http.Client{Transport: transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// get returns where a redirect leads; nil = there is none.
func (v *vpn) get(ctx context.Context, client *http.Client, at *url.URL) (*url.URL, string, error) {
	ctx, cancel := context.WithTimeout(ctx, v.o.Timeout)
	defer cancel()
	var refused error
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{TLSHandshakeDone: func(_ tls.ConnectionState, err error) { refused = err }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		if refused != nil && ctx.Err() == nil {
			return nil, "", fmt.Errorf("%w: %w", errNoTLS, err)
		}
		return nil, "", err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // nothing of it is looked at
	if resp.StatusCode/100 != 3 {
		return nil, resp.Status, nil
	}
	location, err := resp.Location()
	if errors.Is(err, http.ErrNoLocation) {
		return nil, resp.Status, nil
	}
	return location, resp.Status, err
}

// everySuite is what Go can speak, for servers that speak nothing better.
func everySuite() (ids []uint16) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, s.ID)
	}
	return ids
}
