package certsrv

import "fmt"

// The HRESULTs that this CA answers with (docs/reference/certsrv.md 5.6).
const (
	hrInvalidParameter    uint32 = 0x80070057
	hrServerUnavailable   uint32 = 0x800706ba
	hrInvalidData         uint32 = 0x8007000d
	hrBadSignature        uint32 = 0x80090006
	hrBadAlgorithm        uint32 = 0x80090008
	hrASN1EndOfData       uint32 = 0x80093102
	hrASN1BadTag          uint32 = 0x8009310b
	hrBadRequestSubject   uint32 = 0x80094001
	hrPropertyEmpty       uint32 = 0x80094004
	hrTemplateDenied      uint32 = 0x80094012
	hrAdminDenied         uint32 = 0x80094014
	hrUnsupportedCertType uint32 = 0x80094800
	hrNoCertType          uint32 = 0x80094801
	hrKeyLength           uint32 = 0x80094811
)

type resultText struct{ symbol, message string }

func textOf(hr uint32) resultText {
	switch hr {
	case 0:
		return resultText{"", "The operation completed successfully."}
	case hrInvalidParameter:
		return resultText{"ERROR_INVALID_PARAMETER", "The parameter is incorrect."}
	case hrServerUnavailable:
		return resultText{"RPC_S_SERVER_UNAVAILABLE", "The RPC server is unavailable."}
	case hrInvalidData:
		return resultText{"ERROR_INVALID_DATA", "The data is invalid."}
	case hrBadSignature:
		return resultText{"NTE_BAD_SIGNATURE", "Invalid Signature."}
	case hrBadAlgorithm:
		return resultText{"NTE_BAD_ALGID", "Invalid algorithm specified."}
	case hrASN1EndOfData:
		return resultText{"CRYPT_E_ASN1_EOD", "ASN1 unexpected end of data."}
	case hrASN1BadTag:
		return resultText{"CRYPT_E_ASN1_BADTAG", "ASN1 bad tag value met."}
	case hrBadRequestSubject:
		return resultText{"CERTSRV_E_BAD_REQUESTSUBJECT", "The request subject name is invalid or too long."}
	case hrPropertyEmpty:
		return resultText{"CERTSRV_E_PROPERTY_EMPTY", "The requested property value is empty."}
	case hrTemplateDenied:
		return resultText{"CERTSRV_E_TEMPLATE_DENIED", "The permissions on the certificate template do not allow the current user to enroll for this type of certificate."}
	case hrAdminDenied:
		// The blank at the end is the CA's: two of them stand before the code.
		return resultText{"CERTSRV_E_ADMIN_DENIED_REQUEST", "The request was denied by a certificate manager or CA administrator. "}
	case hrUnsupportedCertType:
		return resultText{"CERTSRV_E_UNSUPPORTED_CERT_TYPE", "The requested certificate template is not supported by this CA."}
	case hrNoCertType:
		return resultText{"CERTSRV_E_NO_CERT_TYPE", "The request contains no certificate template information."}
	case hrKeyLength:
		return resultText{"CERTSRV_E_KEY_LENGTH", "The public key does not meet the minimum size required by the specified certificate template."}
	}
	return resultText{"", "Unknown error."}
}

// resultLine writes an HRESULT as the pages do: message, code, then the number in
// the notation of the facility it comes from and the symbol (docs/reference/certsrv.md 5.4).
func resultLine(hr uint32) string {
	t := textOf(hr)
	switch {
	case hr == 0:
		return t.message + " 0x0 (WIN32: 0)"
	case hr>>16 == 0x8007:
		return fmt.Sprintf("%s 0x%08x (WIN32: %d %s)", t.message, hr, hr&0xffff, t.symbol)
	case hr > 0x80093100 && hr < 0x80093200:
		return fmt.Sprintf("%s 0x%08x (ASN: %d %s)", t.message, hr, hr-0x80093000, t.symbol)
	}
	return fmt.Sprintf("%s 0x%08x (%d %s)", t.message, hr, int32(hr), t.symbol)
}
