package est

import (
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"net/http"
)

// oidChallengePassword is the attribute that carries the proof (RFC 7030 §3.5).
var oidChallengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}

// exporterLabel and exporterLength are those of tls-exporter (RFC 9266 §2).
const (
	exporterLabel  = "EXPORTER-Channel-Binding"
	exporterLength = 32
)

// checkPossession compares the CSR's challengePassword with the channel binding of
// the TLS connection that it came on: tls-unique up to TLS 1.2 (RFC 7030 §3.5),
// tls-exporter in TLS 1.3 (RFC 9266 §3). It is compared whenever it is there, and
// must be there where that is demanded. The value belongs to this connection, so
// that of another one, replayed, is wrong.
//
// A resumed session of TLS 1.2 without the extended master secret has no tls-unique
// that could be trusted (RFC 7627): there nothing is proven, and a proof is refused.
//
// A binding is for one authentication, good or not: the connection ends with the answer
// (RFC 9266 §4.1).
func (x *exchange) checkPossession(r *http.Request, csr *x509.CertificateRequest, demanded bool) error {
	value, present, err := challengePassword(csr)
	if present {
		x.closeAfter()
	}
	switch {
	case err != nil:
		return &refusal{why: refusedPossession, text: err.Error()}
	case !present && !demanded:
		return nil
	case !present:
		return &refusal{why: refusedPossession, text: "the CSR has no proof of possession: put the channel binding of this TLS connection into challengePassword (RFC 7030 section 3.5)"}
	}
	binding := channelBinding(r.TLS)
	if binding == nil {
		return &refusal{why: refusedPossession, text: "this TLS connection has no channel binding to prove possession with: make a new one, not a resumed one"}
	}
	want := base64.StdEncoding.EncodeToString(binding)
	if subtle.ConstantTimeCompare([]byte(value), []byte(want)) != 1 {
		return &refusal{why: refusedPossession, text: "the CSR's proof of possession is not that of this TLS connection: challengePassword must hold its tls-unique (TLS 1.2) or tls-exporter (TLS 1.3) in base64, or be left out"}
	}
	return nil
}

// channelBinding returns the connection's, nil where it has none.
func channelBinding(state *tls.ConnectionState) []byte {
	if state == nil {
		return nil
	}
	if state.Version < tls.VersionTLS13 {
		if len(state.TLSUnique) == 0 {
			return nil
		}
		return state.TLSUnique
	}
	binding, err := state.ExportKeyingMaterial(exporterLabel, nil, exporterLength)
	if err != nil {
		return nil
	}
	return binding
}

// challengePassword returns the value of the CSR's challengePassword attribute
// (RFC 2985 §5.4.1: a DirectoryString). More than one is an error.
func challengePassword(csr *x509.CertificateRequest) (value string, present bool, err error) {
	for _, a := range attributesOf(csr) {
		if !a.Type.Equal(oidChallengePassword) {
			continue
		}
		if present || len(a.Values) != 1 {
			return "", true, errors.New("the CSR has more than one challengePassword: one is allowed")
		}
		switch a.Values[0].Tag {
		case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagT61String, asn1.TagIA5String:
		default:
			return "", true, errors.New("the CSR's challengePassword is no string")
		}
		value, present = string(a.Values[0].Bytes), true
	}
	return value, present, nil
}

// requestInfo is a CSR's CertificationRequestInfo (RFC 2986 §4.1).
type requestInfo struct {
	Version            int
	Subject, PublicKey asn1.RawValue
	Attributes         []asn1.RawValue `asn1:"tag:0,set"`
}

// attribute is one of a CSR's.
type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// attributesOf returns a CSR's attributes; those that cannot be read are left out.
func attributesOf(csr *x509.CertificateRequest) []attribute {
	var info requestInfo
	if _, err := asn1.Unmarshal(csr.RawTBSCertificateRequest, &info); err != nil {
		return nil
	}
	var all []attribute
	for _, raw := range info.Attributes {
		var a attribute
		if _, err := asn1.Unmarshal(raw.FullBytes, &a); err == nil {
			all = append(all, a)
		}
	}
	return all
}
