package exam

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"ciscora/ra/fault"
)

// Predicates about requests and the CSRs in them.

func publicOf(key any) crypto.PublicKey {
	if signer, ok := key.(crypto.Signer); ok {
		return signer.Public()
	}
	return nil
}

// posts are the requests that brought a CSR, or what is none. One that was answered before
// the client had leave to send its body is none of them.
func (r *run) posts() []*request {
	var all []*request
	for _, q := range r.requests {
		if q.method == "POST" && !q.withheld {
			all = append(all, q)
		}
	}
	return all
}

func decodeBody(body []byte) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
}

func (q *request) csr() (*x509.CertificateRequest, error) {
	der, err := decodeBody(q.body)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificateRequest(der)
}

// eachCSR is the first problem of a CSR that came; "" where none came.
func (r *run) eachCSR(problem func(*x509.CertificateRequest) string) string {
	for _, q := range r.posts() {
		csr, err := q.csr()
		if err != nil {
			return "the body is no CSR in base64"
		}
		if p := problem(csr); p != "" {
			return p
		}
	}
	return ""
}

// requestProblem: RFC 7030 sections 3.2.2 and 3.2.4.
func requestProblem(r *run) string {
	if len(r.requests) == 0 {
		return "no request came"
	}
	for _, q := range r.requests {
		if want := net.JoinHostPort(r.name, r.server.port); q.host != want {
			return fmt.Sprintf("Host is %q and not %q", q.host, want)
		}
		if q.method != "POST" {
			if len(q.body) > 0 {
				return fmt.Sprintf("%s %s has a body", q.method, q.uri)
			}
			continue
		}
		if kind, _, _ := strings.Cut(q.header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/pkcs10") {
			return fmt.Sprintf("Content-Type is %q and not application/pkcs10", kind)
		}
		if q.withheld {
			continue
		}
		if bytes.Contains(q.body, []byte("-----BEGIN")) {
			return "the body is PEM and not bare base64"
		}
		if _, err := q.csr(); err != nil {
			return "the body is no CSR in base64"
		}
	}
	return ""
}

func unsentProblem(r *run) string {
	if len(r.posts()) == 0 {
		return "no CSR came"
	}
	return ""
}

func csrProblem(r *run) string {
	if p := unsentProblem(r); p != "" {
		return p
	}
	return r.eachCSR(func(csr *x509.CertificateRequest) string {
		if csr.CheckSignature() != nil {
			return "the CSR's signature is not by its key"
		}
		switch csr.SignatureAlgorithm {
		case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
			return fmt.Sprintf("the CSR is signed with %s", csr.SignatureAlgorithm)
		}
		return ""
	})
}

func differentProblem(r *run) string {
	var seen []crypto.PublicKey
	for _, one := range append([]*run{r}, r.others...) {
		posts := one.posts()
		if len(posts) == 0 {
			return "no CSR came"
		}
		csr, err := posts[len(posts)-1].csr()
		if err != nil {
			return "the body is no CSR in base64"
		}
		if slices.ContainsFunc(seen, func(k crypto.PublicKey) bool { return samePublic(k, csr.PublicKey) }) {
			return "two enrollments have the same key"
		}
		seen = append(seen, csr.PublicKey)
	}
	return ""
}

func certificateProblem(r *run) string {
	for _, q := range r.posts() {
		if len(q.certificates) == 0 {
			return "no client certificate was shown in the handshake"
		}
		if r.old != nil && !q.certificates[0].Equal(r.old.Leaf) {
			return fmt.Sprintf("another certificate was shown: %s", q.certificates[0].Subject)
		}
	}
	if len(r.posts()) == 0 {
		return "no request came"
	}
	return ""
}

func reenrollProblem(r *run) string {
	posts := r.posts()
	if len(posts) == 0 {
		return "no request came"
	}
	for _, q := range posts {
		if q.operation() != "simplereenroll" {
			return "it asked /" + q.operation() + " and not /simplereenroll"
		}
	}
	return ""
}

// namesProblem: subject and subjectAltName are those of the old certificate (RFC 7030
// section 4.2.2).
func namesProblem(r *run) string {
	return r.eachCSR(func(csr *x509.CertificateRequest) string {
		if !bytes.Equal(csr.RawSubject, r.old.Leaf.RawSubject) {
			return fmt.Sprintf("the CSR's subject is %s and the old certificate's %s", csr.Subject, r.old.Leaf.Subject)
		}
		if !slices.Equal(csr.DNSNames, r.old.Leaf.DNSNames) {
			return fmt.Sprintf("the CSR's names are %q and the old certificate's %q", csr.DNSNames, r.old.Leaf.DNSNames)
		}
		return ""
	})
}

// sameProblem: who comes back after 202 sends the same request (RFC 7030 section 4.2.3).
func sameProblem(r *run) string {
	var first *request
	for _, q := range r.posts() {
		switch {
		case first == nil:
			if q.status == 202 {
				first = q
			}
		case q.uri != first.uri:
			return fmt.Sprintf("after 202 it asked %s in place of %s", q.uri, first.uri)
		default:
			before, err := first.csr()
			after, err2 := q.csr()
			if err != nil || err2 != nil {
				return "the body is no CSR in base64"
			}
			if !samePublic(before.PublicKey, after.PublicKey) {
				return "after 202 it sent a CSR for another key"
			}
			_, bound := challengePassword(before)
			if !bound && !bytes.Equal(before.RawTBSCertificateRequest, after.RawTBSCertificateRequest) {
				return "after 202 it sent another CSR"
			}
		}
	}
	return ""
}

func onceProblem(r *run) string {
	n := 0
	for _, q := range r.requests {
		if q.header.Get("Authorization") != "" {
			n++
		}
	}
	if n > 1 {
		return fmt.Sprintf("a password that was refused went out %d times", n)
	}
	return ""
}

func challengeProblem(r *run) string {
	if len(r.requests) == 0 {
		return "no request came"
	}
	if r.requests[0].header.Get("Authorization") != "" {
		return "credentials went out before anybody asked for them"
	}
	return ""
}

// opaqueProblem: RFC 7616 section 3.4.
func opaqueProblem(r *run) string {
	for _, q := range r.requests {
		scheme, params, _ := strings.Cut(q.header.Get("Authorization"), " ")
		switch {
		case scheme == "":
		case !strings.EqualFold(scheme, "Digest"):
			return scheme + " was chosen where Digest was offered"
		case !strings.Contains(params, `opaque="`+fault.Opaque+`"`):
			return "the challenge's opaque did not come back"
		}
	}
	return ""
}

// unreadProblem: whoever sends credentials unasked takes any challenge for good, unread.
func unreadProblem(r *run) string {
	if i := slices.IndexFunc(r.requests, func(q *request) bool { return q.method == "POST" }); i >= 0 && r.requests[i].header.Get("Authorization") != "" {
		return "it sent its credentials unasked, and so read no challenge"
	}
	return ""
}

// openProblem: what needs no credentials gets none.
func openProblem(r *run) string {
	for _, q := range r.requests {
		if q.method == "GET" && q.header.Get("Authorization") != "" {
			return "credentials went out with GET " + q.operation() + ", for which nobody asks them"
		}
	}
	return ""
}

// Attributes of a CSR (RFC 7030 sections 3.5 and 4.4.1).
var (
	oidChallengePassword      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}
	oidSMIMECapabilities      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
	oidDecryptKeyID           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 37}
	oidAsymmetricDecryptKeyID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 54}
)

func challengePassword(csr *x509.CertificateRequest) (string, bool) {
	return attribute(csr, oidChallengePassword)
}

// attribute is the content of an attribute's first value; false without one.
func attribute(csr *x509.CertificateRequest, oid asn1.ObjectIdentifier) (string, bool) {
	var info struct {
		Version            int
		Subject, PublicKey asn1.RawValue
		Attributes         []asn1.RawValue `asn1:"tag:0,set"`
	}
	if _, err := asn1.Unmarshal(csr.RawTBSCertificateRequest, &info); err != nil {
		return "", false
	}
	for _, raw := range info.Attributes {
		var a struct {
			Type   asn1.ObjectIdentifier
			Values []asn1.RawValue `asn1:"set"`
		}
		if _, err := asn1.Unmarshal(raw.FullBytes, &a); err == nil && a.Type.Equal(oid) && len(a.Values) > 0 {
			return string(a.Values[0].Bytes), true
		}
	}
	return "", false
}

// bindingProblem: a proof that is there is that of its connection (RFC 7030 section
// 3.5, RFC 9266 section 3).
func bindingProblem(r *run) string {
	for _, q := range r.posts() {
		csr, err := q.csr()
		if err != nil {
			return "the body is no CSR in base64"
		}
		value, ok := challengePassword(csr)
		if !ok {
			continue
		}
		if want := base64.StdEncoding.EncodeToString(q.binding); value != want || len(q.binding) == 0 {
			kind := "tls-unique"
			if q.version >= tls.VersionTLS13 {
				kind = "tls-exporter"
			}
			return "challengePassword is not the " + kind + " of its connection"
		}
	}
	return ""
}

// freshProblem: each connection has a proof of its own.
func freshProblem(r *run) string {
	seen := map[string]string{}
	proven := false
	for _, q := range r.posts() {
		csr, err := q.csr()
		if err != nil {
			return "the body is no CSR in base64"
		}
		value, ok := challengePassword(csr)
		if !ok {
			continue
		}
		proven = true
		if other, ok := seen[value]; ok && other != q.remote {
			return "the proof of one connection came again on another"
		}
		seen[value] = q.remote
	}
	if !proven && len(r.posts()) > 0 {
		return "no CSR has a proof of possession"
	}
	return ""
}

func labelProblem(r *run) string {
	for _, q := range r.requests {
		if want := "/.well-known/est/" + r.stage.Label + "/"; !strings.HasPrefix(q.uri, want) {
			return fmt.Sprintf("it asked %s and not %s...", shorten(q.uri, 80), want)
		}
	}
	if len(r.requests) == 0 {
		return "no request came"
	}
	return ""
}

func newKeyProblem(r *run) string {
	return r.eachCSR(func(csr *x509.CertificateRequest) string {
		if samePublic(csr.PublicKey, r.old.Leaf.PublicKey) {
			return "the CSR is for the old key"
		}
		return ""
	})
}

// postsOnlyProblem: an enrollment that became a GET asks for nothing.
func postsOnlyProblem(r *run) string {
	for _, q := range r.requests {
		if q.operation() == "simpleenroll" && q.method != "POST" {
			return "the redirected POST came back as " + q.method
		}
	}
	return ""
}

// newSessionProblem: who fetched the CA's certificates without knowing the server
// enrolls on another connection (RFC 7030 section 4.1.1).
func newSessionProblem(r *run) string {
	fetched := map[string]bool{}
	enrolled := false
	for _, q := range r.requests {
		before := enrolled
		enrolled = enrolled || q.method != "GET"
		switch {
		case before: // on what the first one has verified
		case q.method == "GET":
			fetched[q.remote] = true
		case len(fetched) == 0:
			return "it enrolled without having fetched the CA's certificates"
		case fetched[q.remote]:
			return "it enrolled on the connection that nobody had verified"
		case q.resumed:
			return "it enrolled on a session that goes back to the one that nobody had verified"
		}
	}
	return ""
}

// encryptionProblem: RFC 7030 section 4.4.1.
func encryptionProblem(r *run) string {
	return r.eachCSR(func(csr *x509.CertificateRequest) string {
		_, secret := attribute(csr, oidDecryptKeyID)
		_, public := attribute(csr, oidAsymmetricDecryptKeyID)
		_, capable := attribute(csr, oidSMIMECapabilities)
		switch {
		case !secret && !public:
			return "the CSR asks for no encryption"
		case !capable:
			return "the CSR asks for encryption, and has no SMIMECapabilities"
		}
		return ""
	})
}

// boundProblem: there is a proof of possession.
func boundProblem(r *run) string {
	return r.eachCSR(func(csr *x509.CertificateRequest) string {
		if _, ok := challengePassword(csr); !ok {
			return "the CSR has no proof of possession"
		}
		return ""
	})
}

// Whoever enrolls does so with the key, and the signature, that was asked for.

func p384Problem(r *run) string {
	return r.eachCSR(func(csr *x509.CertificateRequest) string {
		if key, ok := csr.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P384() {
			return "a P-384 key was asked for, and the CSR has another"
		}
		return ""
	})
}

func rsaProblem(r *run, _ time.Duration, bits int) string {
	return r.eachCSR(func(csr *x509.CertificateRequest) string {
		if key, ok := csr.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != bits {
			return fmt.Sprintf("an RSA key of %d bits was asked for, and the CSR has another", bits)
		}
		return ""
	})
}

func sha384Problem(r *run) string {
	return r.eachCSR(func(csr *x509.CertificateRequest) string {
		if csr.SignatureAlgorithm != x509.ECDSAWithSHA384 {
			return fmt.Sprintf("ECDSA with SHA-384 was asked for, and the CSR is signed with %s", csr.SignatureAlgorithm)
		}
		return ""
	})
}

func behindProblem(r *run) string {
	for _, q := range r.requests {
		if len(q.behind) > 0 {
			return fmt.Sprintf("%d bytes came behind %s %s: %q", len(q.behind), q.method, q.operation(), q.behind[:min(len(q.behind), 20)])
		}
	}
	return ""
}
