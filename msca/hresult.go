package msca

// meaning is what an HRESULT of the CA says.
type meaning struct {
	symbol string
	kind   Kind
}

// hresult returns the meaning of a code, of those that certsrv is known to show
// (reference: certsrv.md 5.6).
func hresult(code uint32) (m meaning, known bool) {
	switch code {
	case 0x80094800:
		m = meaning{"CERTSRV_E_UNSUPPORTED_CERT_TYPE", KindDenied}
	case 0x80094801:
		m = meaning{"CERTSRV_E_NO_CERT_TYPE", KindDenied}
	case 0x80094802:
		m = meaning{"CERTSRV_E_TEMPLATE_CONFLICT", KindBadCSR}
	case 0x80094012:
		m = meaning{"CERTSRV_E_TEMPLATE_DENIED", KindDenied}
	case 0x80094011:
		m = meaning{"CERTSRV_E_ENROLL_DENIED", KindDenied}
	case 0x80094014:
		m = meaning{"CERTSRV_E_ADMIN_DENIED_REQUEST", KindDenied}
	case 0x80094811:
		m = meaning{"CERTSRV_E_KEY_LENGTH", KindBadCSR}
	case 0x80094001:
		m = meaning{"CERTSRV_E_BAD_REQUESTSUBJECT", KindBadCSR}
	case 0x8009480d:
		m = meaning{"CERTSRV_E_SUBJECT_UPN_REQUIRED", KindDenied}
	case 0x8009480f:
		m = meaning{"CERTSRV_E_SUBJECT_DNS_REQUIRED", KindDenied}
	case 0x80094812:
		m = meaning{"CERTSRV_E_SUBJECT_EMAIL_REQUIRED", KindDenied}
	case 0x80094803:
		m = meaning{"CERTSRV_E_SUBJECT_ALT_NAME_REQUIRED", KindBadCSR}
	case 0x80094809:
		m = meaning{"CERTSRV_E_SIGNATURE_POLICY_REQUIRED", KindDenied}
	case 0x8009480a:
		m = meaning{"CERTSRV_E_SIGNATURE_COUNT", KindDenied}
	case 0x80094806:
		m = meaning{"CERTSRV_E_BAD_RENEWAL_SUBJECT", KindBadCSR}
	case 0x80094816:
		m = meaning{"CERTSRV_E_RENEWAL_BAD_PUBLIC_KEY", KindBadCSR}
	case 0x80094813:
		m = meaning{"CERTSRV_E_UNKNOWN_CERT_TYPE", KindDenied}
	case 0x80094002:
		m = meaning{"CERTSRV_E_NO_REQUEST", KindUnknownRequest}
	case 0x80094003:
		m = meaning{"CERTSRV_E_BAD_REQUESTSTATUS", KindUnknownRequest}
	case 0x80094004:
		m = meaning{"CERTSRV_E_PROPERTY_EMPTY", KindUnknownRequest}
	case 0x80094006:
		m = meaning{"CERTSRV_E_SERVER_SUSPENDED", KindServiceDown}
	case 0x8009400f:
		m = meaning{"CERTSRV_E_NO_DB_SESSIONS", KindServiceDown}
	case 0x80094007:
		m = meaning{"CERTSRV_E_ENCODING_LENGTH", KindBadCSR}
	case 0x80094013:
		m = meaning{"CERTSRV_E_DOWNLEVEL_DC_SSL_OR_UPGRADE", KindServiceDown}
	case 0x8009310b:
		m = meaning{"CRYPT_E_ASN1_BADTAG", KindBadCSR}
	case 0x80093102:
		m = meaning{"CRYPT_E_ASN1_EOD", KindBadCSR}
	case 0x80093103:
		m = meaning{"CRYPT_E_ASN1_CORRUPT", KindBadCSR}
	case 0x80093005:
		m = meaning{"OSS_DATA_ERROR", KindBadCSR}
	case 0x8007000d:
		m = meaning{"ERROR_INVALID_DATA", KindBadCSR}
	case 0x80090006:
		m = meaning{"NTE_BAD_SIGNATURE", KindBadCSR}
	case 0x80070057:
		m = meaning{"ERROR_INVALID_PARAMETER", KindDenied}
	case 0x80070005:
		m = meaning{"E_ACCESSDENIED", KindForbidden}
	case 0x800706ba:
		m = meaning{"RPC_S_SERVER_UNAVAILABLE", KindServiceDown}
	case 0x80004003:
		m = meaning{"E_POINTER", KindBadCSR}
	case 0x80040154:
		m = meaning{"REGDB_E_CLASSNOTREG", KindServiceDown}
	case 0x8009000d:
		m = meaning{"NTE_NO_KEY", KindServiceDown}
	case 0x80090020:
		m = meaning{"NTE_FAIL", KindServiceDown}
	case 0x80092010:
		m = meaning{"CRYPT_E_REVOKED", KindDenied}
	case 0x80092012:
		m = meaning{"CRYPT_E_NO_REVOCATION_CHECK", KindServiceDown}
	case 0x80092013:
		m = meaning{"CRYPT_E_REVOCATION_OFFLINE", KindServiceDown}
	case 0x800b0101:
		m = meaning{"CERT_E_EXPIRED", KindServiceDown}
	case 0x800b0109:
		m = meaning{"CERT_E_UNTRUSTEDROOT", KindServiceDown}
	default:
		return meaning{kind: KindDenied}, false
	}
	return m, true
}

// HRESULTSymbol returns the name of a code as the CA shows it, such as
// CERTSRV_E_TEMPLATE_DENIED, and "" for one that certsrv is not known to show.
func HRESULTSymbol(code uint32) string {
	m, _ := hresult(code)
	return m.symbol
}
