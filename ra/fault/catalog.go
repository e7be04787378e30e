package fault

import (
	"slices"
	"strings"
)

// Place is where a fault bites.
type Place string

// The places.
const (
	Resolve         Place = "resolve"
	CertsrvTLS      Place = "certsrv.tls"
	CertsrvLogin    Place = "certsrv.login"
	CertsrvTemplate Place = "certsrv.template"
	CertsrvSubmit   Place = "certsrv.submit"
	CertsrvFetch    Place = "certsrv.fetch"
	CertsrvChain    Place = "certsrv.chain"
	CertsrvAny      Place = "certsrv.any"
	CertsrvCRL      Place = "certsrv.crl"
	CertsrvCA       Place = "certsrv.ca"
	ESTTLS          Place = "est.tls"
	ESTCACerts      Place = "est.cacerts"
	ESTEnroll       Place = "est.simpleenroll"
	ESTReenroll     Place = "est.simplereenroll"
	ESTCSRAttrs     Place = "est.csrattrs"
	ESTServerKeygen Place = "est.serverkeygen"
	ESTAny          Place = "est.any"
)

// AtCA tells whether the place is inside the built-in CA, so that only that can
// have the fault.
func (p Place) AtCA() bool { return strings.HasPrefix(string(p), "certsrv.") }

// AtEST tells whether the place is the front end.
func (p Place) AtEST() bool { return strings.HasPrefix(string(p), "est.") }

// valueKind is what a kind's value is.
type valueKind int

const (
	noValue valueKind = iota
	duration
	status
	hresult
	language
	number
	text
	optionalText
	optionalHRESULT
	oneOf // of Value's words
	size  // a number of bytes or lines
)

// Entry is one kind of fault at some places.
type Entry struct {
	Places []Place
	Kind   string
	Value  string // what it takes: "", "DURATION", "STATUS", ...; in brackets where it can be left out
	Help   string

	value valueKind
}

var (
	pages      = []Place{CertsrvLogin, CertsrvTemplate, CertsrvSubmit, CertsrvFetch, CertsrvChain, CertsrvAny}
	operations = []Place{ESTCACerts, ESTEnroll, ESTReenroll, ESTCSRAttrs, ESTServerKeygen, ESTAny}
	enrolls    = []Place{ESTEnroll, ESTReenroll, ESTAny}
	both       = slices.Concat(pages, operations)
)

// Catalog lists every fault that there is, place by place.
func Catalog() []Entry {
	one := func(p ...Place) []Place { return p }
	return []Entry{
		{one(Resolve), "not-found", "", "the CA's name does not exist", noValue},
		{one(Resolve), "timeout", "", "the name servers do not answer", noValue},

		{one(CertsrvTLS), "self-signed", "", "IIS's certificate is self-signed, as PowerShell makes it (no keyCertSign)", noValue},
		{one(CertsrvTLS), "self-signed-ca", "", "IIS's certificate is self-signed, with keyCertSign", noValue},
		{one(CertsrvTLS), "missing-intermediate", "", "IIS leaves out the issuing CA's certificate", noValue},
		{one(CertsrvTLS), "unknown-root", "", "IIS's chain ends in a root that nobody knows", noValue},
		{one(CertsrvTLS), "wrong-name", "", "IIS's certificate has another DNS name", noValue},
		{one(CertsrvTLS), "wrong-name-cn", "[CN]", "IIS's certificate has a CN and no DNS name, and it is another (lab-dc)", optionalText},
		{one(CertsrvTLS), "expired", "", "IIS's certificate has expired", noValue},
		{one(CertsrvTLS), "not-yet-valid", "", "IIS's certificate is not valid yet: a clock is wrong", noValue},
		{one(CertsrvTLS), "client-certificate", "", "IIS demands a client certificate in the handshake", noValue},
		{one(CertsrvTLS), "tls1.0", "", "IIS speaks TLS 1.0 only", noValue},
		{one(CertsrvTLS), "plain-http", "", "plain HTTP answers on the port", noValue},
		{one(CertsrvTLS), "refuse", "", "the connection is closed at once", noValue},
		{one(CertsrvTLS, ESTTLS), "stall", "", "the handshake stalls", noValue},
		{one(CertsrvTLS, ESTTLS), "reset", "", "the connection is reset in the handshake", noValue},

		{one(ESTTLS), "self-signed", "", "the RA's certificate is self-signed", noValue},
		{one(ESTTLS), "wrong-name", "", "the RA's certificate has another DNS name", noValue},
		{one(ESTTLS), "expired", "", "the RA's certificate has expired", noValue},
		{one(ESTTLS), "not-yet-valid", "", "the RA's certificate is not valid yet", noValue},
		{one(ESTTLS), "missing-intermediate", "", "the RA leaves out the issuing CA's certificate", noValue},
		{one(ESTTLS), "extra-certificates", "", "the RA sends its chain in disorder: its root, then a stranger, before the issuing CA", noValue},
		{one(ESTTLS), "unknown-root", "", "the RA's chain ends in a root that nobody knows", noValue},
		{one(ESTTLS), "revoked", "", "the RA's certificate is revoked, and a stapled answer of OCSP says so", noValue},
		{one(ESTTLS), "key", "rsa1024", "the RA's certificate has an RSA key of 1024 bits", oneOf},
		{one(ESTTLS), "signature", "sha1", "the RA's certificate is signed with SHA-1", oneOf},
		{one(ESTTLS), "cn-only", "[CN]", "the RA's certificate has its host as CN (or the one given), and no subjectAltName", optionalText},
		{one(ESTTLS), "san", "dns|wildcard|dns-ip", "the RA's certificate has DNS names alone; or the name *; or its IP address as a DNS name", oneOf},
		{one(ESTTLS), "dns", "NAME", "the RA's certificate has this DNS name alone, which may have a wildcard", text},
		{one(ESTTLS), "eku", "client|cmcra", "the RA's certificate is for clients alone; or for a CMC RA, with another name", oneOf},
		{one(ESTTLS), "issuer", "not-ca|name-constraint", "the RA's certificate was issued by one that is no CA; or by a CA that may not issue for this name", oneOf},
		{one(ESTTLS), "critical-extension", "", "the RA's certificate has a critical extension that nobody knows", noValue},
		{one(ESTTLS), "rotate", "new|stranger|leaf", "the RA's certificate is from the root that cacerts:p7=rollover announces, from that of p7=stranger, or signed by the end entity of p7=leaf", oneOf},
		{one(ESTTLS), "plain-http", "", "plain HTTP answers on the port", noValue},
		{one(ESTTLS), "cipher", "null|anon|export|des", "the RA chooses a cipher suite of that kind, whatever the client offers", oneOf},
		{one(ESTTLS), "client-certificate", "ask|require", "the RA asks for a client certificate in the handshake, or ends it without one", oneOf},
		{one(ESTTLS), "renegotiate", "", "the RA speaks TLS 1.2 only, and asks for a new handshake behind the first; a client that begins one is turned away", noValue},
		{one(ESTTLS), "no-resumption", "", "no TLS session is resumed, and no ticket given", noValue},
		{one(ESTTLS), "tls1.0", "", "the RA speaks TLS 1.0 only", noValue},
		{one(ESTTLS), "tls1.1", "", "the RA speaks TLS 1.1 only", noValue},
		{one(ESTTLS), "tls1.2", "", "the RA speaks TLS 1.2 only", noValue},
		{one(ESTTLS), "tls1.3", "", "the RA speaks TLS 1.3 only", noValue},

		{both, "delay", "DURATION", "the answer comes later", duration},
		{both, "hang", "", "the request is read, and no answer comes; at est.* with after=half one half of it", noValue},
		{both, "drip", "DURATION", "the answer comes one byte in each such time", duration},
		{both, "reset", "", "the connection is reset in place of an answer", noValue},
		{both, "close", "", "the connection is closed in place of an answer; at est.* with when=idle behind the answer, once the next request comes", noValue},

		{pages, "truncate", "", "half of the answer's body comes, then the connection is closed", noValue},
		{pages, "wrong-password", "", "401.1: user name or password is wrong", noValue},
		{pages, "locked", "", "401.1: the account is locked; on the wire as a wrong password", noValue},
		{pages, "no-dc", "", "401.1: IIS reaches no domain controller", noValue},
		{pages, "403.4", "", "403.4: TLS is required", noValue},
		{pages, "403.7", "", "403.7: a client certificate is required", noValue},
		{append(slices.Clone(pages), CertsrvCRL), "404", "", "404: there is no such page", noValue},
		{pages, "500", "", "500: IIS failed", noValue},
		{pages, "503", "", "503 of http.sys: the application pool is stopped", noValue},
		{pages, "asp-timeout", "", "500.100: the ASP script took too long", noValue},
		{pages, "service-stopped", "", "the page that tells 0x800706ba: the CA's service is stopped", noValue},
		{pages, "redirect", "", "a redirect to another server, as behind a load balancer", noValue},
		{pages, "language", "LANGUAGE", "the page comes in fr, de, ja or ru", language},
		{one(CertsrvAny), "keepalive", "N", "a connection takes N requests after its first, and is closed with the last one's answer: Apache's MaxKeepAliveRequests N", number},
		{one(CertsrvAny), "clock", "DURATION", "IIS's clock, as its Date header tells it, is ahead by so much", duration},
		{one(CertsrvLogin), "basic-only", "", "IIS offers Basic alone, and takes it where certsrv.yaml has basic: true", noValue},
		{one(CertsrvLogin), "kerberos-only", "", "IIS offers Negotiate alone, and takes no NTLM in it: NTLM is off in the domain", noValue},
		{one(CertsrvTemplate), "absent", "[TEMPLATE]", "the template is not in the list (without a value: the list is empty)", optionalText},
		{one(CertsrvSubmit, CertsrvCA), "denied", "[HRESULT]", "the policy denies the request, with 0x80094012 or the code that is given", optionalHRESULT},
		{one(CertsrvSubmit, CertsrvCA), "pending", "", "a manager has to approve the request", noValue},
		{one(CertsrvSubmit, CertsrvCA), "wrong-key", "", "the CA certifies another key", noValue},
		{one(CertsrvFetch), "wrong-key", "", "certnew.cer gives a certificate for another key", noValue},
		{one(CertsrvCRL), "stale", "", "the CA's revocation list has expired", noValue},
		{one(CertsrvCRL), "revoked", "", "IIS's own certificate is on the CA's revocation list", noValue},
		{one(CertsrvCA), "renewed", "N", "the CA has been renewed N times, with new keys; stays once it bit", number},

		{operations, "status", "STATUS", "the answer is this HTTP status; with retry-after=SECONDS (or date+SECONDS, or any word) that header, with body=good the body of a good answer, with body=text one of several lines and control bytes", status},
		{operations, "redirect", "same|http|URL", "the answer leads to the same place again (with count=1 once), to plain HTTP, or to a URL; with code=307 that status (302 without)", text},
		{operations, "challenge", "lower|unknown-first|unknown-in-line|unknown-only|more|stale", "401 has its challenge in lower case; behind one that nobody knows, in two headers or in one; or has only that one; a Digest challenge has opaque, a parameter that nobody knows, and Basic beside it; or a nonce of long ago", oneOf},
		{operations, "expect", "ignored|refused", "a client that waits for leave to send its body (Expect: 100-continue) gets none, or 417; goes with no other fault of the wire", oneOf},
		{operations, "no-challenge", "", "401 without WWW-Authenticate", noValue},
		{operations, "content-type", "VALUE", "the answer has this Content-Type", text},
		{operations, "no-content-type", "", "the answer has no Content-Type", noValue},
		{operations, "chunked", "", "the answer comes in chunks", noValue},
		{operations, "trailers", "", "the answer comes in chunks, with fields behind them", noValue},
		{operations, "single-line", "", "the base64 is not wrapped", noValue},
		{operations, "base64", "lf64|crlf76|blanks|corrupt|pem|der", "the base64 is wrapped so; has blanks, tabs and line ends inside; has characters that are none; or the body is PEM or DER", oneOf},
		{operations, "cte", "none|8bit|binary", "the answer has no Content-Transfer-Encoding, or this one", oneOf},
		{operations, "header-case", "lower|upper", "the names of the answer's headers are in lower or upper case", oneOf},
		{operations, "header-size", "N", "the answer has one header more, of N bytes", size},
		{operations, "header-lines", "N", "the answer has N headers more", size},
		{operations, "http", "1.0|1.1", "the answer is HTTP/1.0; or HTTP/1.1, and written past net/http", oneOf},
		{operations, "interim", "102|103", "an interim answer comes first; with times=N so many", oneOf},
		{operations, "gzip", "", "the body is compressed, which nobody asked for", noValue},
		{operations, "length", "N|+N|-N|two", "Content-Length is N, with 0 the body is empty too; N bytes more than the body has; below zero; or is there twice", text},
		{operations, "no-length", "", "the answer has no Content-Length and ends with the connection", noValue},
		{operations, "no-close-notify", "", "the connection is closed behind the answer without TLS's close_notify", noValue},
		{operations, "half-close", "", "close_notify comes behind the answer, and the connection stays open", noValue},
		{operations, "truncate", "", "half of the answer's body comes, then the connection is closed", noValue},
		{operations, "tail", "", "bytes come behind the answer's body", noValue},
		{operations, "split", "N", "the answer's first N bytes are a TLS record of their own", size},
		{operations, "endless", "", "the body has no end", noValue},
		{operations, "p7", "root-first|duplicates|many|crl|rollover|new|stranger|leaf|no-root|empty|ber", "the PKCS #7 has its certificates root first, or twice; forty of them; CRLs beside them; those of a new root and its links to the old; of the new root alone; one of a stranger, or of no CA, besides; no root; none at all; or is BER of indefinite length", oneOf},
		{one(ESTEnroll, ESTReenroll), "certificate", "bad-signature|other-ca|stranger-first|not-yet-valid|expired|other-subject", "the certificate's signature is wrong; it is another CA's; another one stands before it; or it is this CA's, not valid yet, expired, or of another subject", oneOf},
		{one(ESTCSRAttrs), "attributes", "empty|unknown|challenge|p384|rsa3072|sha384|template|extensions|empty-values|truncated|100kB|deep", "the CSR attributes are none; ones that nobody knows; challengePassword; a P-384 key, an RSA key of 3072 bits, or SHA-384; RFC 9908's template for a P-384 key; a subjectAltName with a name, or without its value; cut off; 100 kB of them; nested a thousand deep", oneOf},
		{one(ESTServerKeygen), "parts", "reversed|quoted-boundary|preamble|lf|no-cte|one|other-key|pkcs1|plain", "the two parts are in the other order; their boundary is in quotes; text stands before them; lines end in LF; they do not say that they are base64; there is one; the key is another; or not in PKCS #8 but in the form of its kind; or is in clear although it was to be encrypted", oneOf},
		{operations, "garbage", "", "the PKCS #7 is none", noValue},
		{enrolls, "wrong-key", "", "the certificate is for another key", noValue},
		{enrolls, "two-certificates", "", "the answer has two certificates", noValue},
	}
}

// Places lists all places.
func Places() []Place {
	return append([]Place{Resolve, CertsrvTLS, CertsrvCRL, CertsrvCA, ESTTLS}, both...)
}

// kindsAt lists the kinds at a place.
func kindsAt(p Place) []string {
	var names []string
	for _, e := range Catalog() {
		if slices.Contains(e.Places, p) {
			names = append(names, e.Kind)
		}
	}
	return names
}

func entryOf(p Place, kind string) (Entry, bool) {
	for _, e := range Catalog() {
		if e.Kind == kind && slices.Contains(e.Places, p) {
			return e, true
		}
	}
	return Entry{}, false
}
