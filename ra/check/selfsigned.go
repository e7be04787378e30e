package check

import (
	"crypto/x509"

	"ciscora/msca"
)

// SelfSigned says how OpenSSL 1.0.2, on which CES is built, takes a server's own
// self-signed certificate, which stands in the trust store or not: with which words it
// refuses it, "" = it takes it, and why that is so (docs/reference/curl.md; F2 of
// docs/reference/ces.md).
func SelfSigned(leaf *x509.Certificate, inStore bool, store string) (words, reason string) {
	switch {
	case !msca.MaySign(leaf) && inStore:
		return "unable to get local issuer certificate", "its key usage does not let it sign certificates: OpenSSL 1.0.2, on which CES is built, takes none such even from the trust store; OpenSSL 3, Go and Expressway do"
	case inStore:
		return "", "nobody has issued it: whoever has this very certificate in the trust store takes it, CES too by OpenSSL's rule; Cisco's document calls one at IIS not supported"
	case !msca.MaySign(leaf):
		return "unable to get local issuer certificate", "nobody has issued it, and it is not in " + store + "; its key usage does not let it sign certificates, and so OpenSSL 1.0.2 would not take it from there either"
	}
	return "self signed certificate", "nobody has issued it, and it is not in " + store
}
