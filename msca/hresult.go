package msca

// proof is what the CA's answer to a submit proves about the request.
type proof int

const (
	// provesRefused: the CA has looked at the request and refused it, or could not
	// sign it. It has issued nothing and will not.
	provesRefused proof = iota
	// provesNotTaken: the CA has not got the request, or turned it away before it
	// gave it a number.
	provesNotTaken
	// provesNothing: the answer does not tell, but it is an answer, and whoever
	// gave it is done. A certificate may have been issued before it.
	provesNothing
	// provesLost: as provesNothing, and the CA may be at work on the request still,
	// since what failed is the way to it.
	provesLost
)

// meaning is what an HRESULT of the CA says.
type meaning struct {
	symbol string
	kind   Kind
	proves proof // on a page that answers a submit and names no disposition
}

// hresults are the codes that certsrv is known to show (docs/reference/certsrv.md 5.6).
// Names and texts are those of [MS-ERREF] 2.1.1 and 2.2; what a code proves comes
// from the source that stands above its group.
var hresults = map[uint32]meaning{
	// [MS-WCCE] 3.2.1.4.2.1 and 3.2.2.6.2.1: the CA and its policy reject a request
	// with these, which leaves no certificate behind.
	0x80094800: {"CERTSRV_E_UNSUPPORTED_CERT_TYPE", KindDenied, provesRefused},
	0x80094801: {"CERTSRV_E_NO_CERT_TYPE", KindDenied, provesRefused},
	0x80094802: {"CERTSRV_E_TEMPLATE_CONFLICT", KindBadCSR, provesRefused},
	0x80094012: {"CERTSRV_E_TEMPLATE_DENIED", KindDenied, provesRefused},
	0x80094011: {"CERTSRV_E_ENROLL_DENIED", KindDenied, provesRefused},
	0x80094014: {"CERTSRV_E_ADMIN_DENIED_REQUEST", KindDenied, provesRefused},
	0x80094811: {"CERTSRV_E_KEY_LENGTH", KindBadCSR, provesRefused},
	0x80094001: {"CERTSRV_E_BAD_REQUESTSUBJECT", KindBadCSR, provesRefused},
	0x8009480d: {"CERTSRV_E_SUBJECT_UPN_REQUIRED", KindDenied, provesRefused},
	0x8009480f: {"CERTSRV_E_SUBJECT_DNS_REQUIRED", KindDenied, provesRefused},
	0x80094812: {"CERTSRV_E_SUBJECT_EMAIL_REQUIRED", KindDenied, provesRefused},
	0x80094803: {"CERTSRV_E_SUBJECT_ALT_NAME_REQUIRED", KindBadCSR, provesRefused},
	0x80094809: {"CERTSRV_E_SIGNATURE_POLICY_REQUIRED", KindDenied, provesRefused},
	0x8009480a: {"CERTSRV_E_SIGNATURE_COUNT", KindDenied, provesRefused},
	0x80094806: {"CERTSRV_E_BAD_RENEWAL_SUBJECT", KindBadCSR, provesRefused},
	0x80094816: {"CERTSRV_E_RENEWAL_BAD_PUBLIC_KEY", KindBadCSR, provesRefused},
	0x80094813: {"CERTSRV_E_UNKNOWN_CERT_TYPE", KindDenied, provesRefused},
	0x80094013: {"CERTSRV_E_DOWNLEVEL_DC_SSL_OR_UPGRADE", KindServiceDown, provesRefused},

	// The same section: the CA parses and verifies the CSR before it does anything
	// else with it.
	0x80094007: {"CERTSRV_E_ENCODING_LENGTH", KindBadCSR, provesRefused},
	0x8009310b: {"CRYPT_E_ASN1_BADTAG", KindBadCSR, provesRefused},
	0x80093102: {"CRYPT_E_ASN1_EOD", KindBadCSR, provesRefused},
	0x80093103: {"CRYPT_E_ASN1_CORRUPT", KindBadCSR, provesRefused},
	0x80093005: {"OSS_DATA_ERROR", KindBadCSR, provesRefused},
	0x8007000d: {"ERROR_INVALID_DATA", KindBadCSR, provesRefused},
	0x80090006: {"NTE_BAD_SIGNATURE", KindBadCSR, provesRefused},
	0x80090008: {"NTE_BAD_ALGID", KindBadCSR, provesRefused},

	// The same section: parameters and the caller's rights are checked before the
	// request is stored.
	0x80070057: {"ERROR_INVALID_PARAMETER", KindDenied, provesRefused},
	0x80070005: {"E_ACCESSDENIED", KindForbidden, provesNotTaken}, // or DCOM refused the call ([MS-DCOM] 3.1.2.5.2)

	// [MS-ERREF]: the CA's service is there and takes no requests now.
	0x80094006: {"CERTSRV_E_SERVER_SUSPENDED", KindServiceDown, provesNotTaken},
	0x8009400f: {"CERTSRV_E_NO_DB_SESSIONS", KindServiceDown, provesNotTaken},

	// The CA does not sign: its key is gone, its own chain is expired, revoked or
	// cannot be checked (Microsoft, "Event ID 100", "48", "53" of AD CS).
	0x8009000d: {"NTE_NO_KEY", KindServiceDown, provesRefused},
	0x80092010: {"CRYPT_E_REVOKED", KindDenied, provesRefused},
	0x80092012: {"CRYPT_E_NO_REVOCATION_CHECK", KindServiceDown, provesRefused},
	0x80092013: {"CRYPT_E_REVOCATION_OFFLINE", KindServiceDown, provesRefused},
	0x800b0101: {"CERT_E_EXPIRED", KindServiceDown, provesRefused},
	0x800b0109: {"CERT_E_UNTRUSTEDROOT", KindServiceDown, provesRefused},

	// Anything may have failed so, before the CA signed or after it.
	0x80090020: {"NTE_FAIL", KindServiceDown, provesNothing},
	0x80004003: {"E_POINTER", KindUnclear, provesNothing},
	0x80004005: {"E_FAIL", KindUnclear, provesNothing},
	0x8007000e: {"E_OUTOFMEMORY", KindUnclear, provesNothing},
	0x8000ffff: {"E_UNEXPECTED", KindUnclear, provesNothing},

	// Of a request by its number: as an answer to a submit they tell of what the
	// page asked for after it.
	0x80094002: {"CERTSRV_E_NO_REQUEST", KindUnknownRequest, provesNothing},
	0x80094003: {"CERTSRV_E_BAD_REQUESTSTATUS", KindUnknownRequest, provesNothing},
	0x80094004: {"CERTSRV_E_PROPERTY_EMPTY", KindUnknownRequest, provesNothing},

	// RPC from the page to the CA's service. "Did not execute" is promised by
	// these texts alone ([MS-ERREF] 2.2; "RPC Return Values", Win32 documentation):
	// the server was not found, or did not take the call.
	0x800706ba: {"RPC_S_SERVER_UNAVAILABLE", KindServiceDown, provesNotTaken},
	0x800706bb: {"RPC_S_SERVER_TOO_BUSY", KindServiceDown, provesNotTaken},
	0x800706b5: {"RPC_S_UNKNOWN_IF", KindServiceDown, provesNotTaken},
	0x800706bf: {"RPC_S_CALL_FAILED_DNE", KindServiceDown, provesNotTaken},
	0x800706d9: {"EPT_S_NOT_REGISTERED", KindServiceDown, provesNotTaken},
	0x80010012: {"RPC_E_SERVER_DIED_DNE", KindServiceDown, provesNotTaken},
	0x80040154: {"REGDB_E_CLASSNOTREG", KindServiceDown, provesNotTaken},
	0x80080005: {"CO_E_SERVER_EXEC_FAILURE", KindServiceDown, provesNotTaken},

	// "The call may have executed" (RPC_E_SERVER_DIED), or its text does not say
	// that it did not.
	0x800706be: {"RPC_S_CALL_FAILED", KindUnclear, provesLost},
	0x800706c0: {"RPC_S_PROTOCOL_ERROR", KindUnclear, provesLost},
	0x8007071a: {"RPC_S_CALL_CANCELLED", KindUnclear, provesLost},
	0x80070721: {"RPC_S_SEC_PKG_ERROR", KindUnclear, provesLost},
	0x80010002: {"RPC_E_CALL_CANCELED", KindUnclear, provesLost},
	0x80010007: {"RPC_E_SERVER_DIED", KindUnclear, provesLost},
	0x80010100: {"RPC_E_SYS_CALL_FAILED", KindUnclear, provesLost},
	0x80010105: {"RPC_E_SERVERFAULT", KindUnclear, provesLost},
	0x80010108: {"RPC_E_DISCONNECTED", KindUnclear, provesLost},
	0x8001011f: {"RPC_E_TIMEOUT", KindUnclear, provesLost},

	// The network beneath it (Win32 and WinINet error codes).
	0x80070040: {"ERROR_NETNAME_DELETED", KindUnclear, provesLost},
	0x80070079: {"ERROR_SEM_TIMEOUT", KindUnclear, provesLost},
	0x800704cf: {"ERROR_NETWORK_UNREACHABLE", KindUnclear, provesLost},
	0x800704d4: {"ERROR_CONNECTION_ABORTED", KindUnclear, provesLost},
	0x800705b4: {"ERROR_TIMEOUT", KindUnclear, provesLost},
	0x80072746: {"WSAECONNRESET", KindUnclear, provesLost},
	0x8007274c: {"WSAETIMEDOUT", KindUnclear, provesLost},
	0x80072ee2: {"ERROR_INTERNET_TIMEOUT", KindUnclear, provesLost},
	0x80072efe: {"ERROR_INTERNET_CONNECTION_ABORTED", KindUnclear, provesLost},
	0x80072eff: {"ERROR_INTERNET_CONNECTION_RESET", KindUnclear, provesLost},
}

const (
	facilityRPC   = 0x001
	facilityWin32 = 0x007 // Win32 errors, with them RPC's and the network's
)

// hresult returns the meaning of a code. One that is not listed proves nothing, and
// one of RPC or of Win32 not even that the CA is done.
func hresult(code uint32) meaning {
	if m, known := hresults[code]; known {
		return m
	}
	m := meaning{kind: KindUnclear, proves: provesNothing}
	if facility := code >> 16 & 0x7ff; facility == facilityRPC || facility == facilityWin32 {
		m.proves = provesLost
	}
	return m
}

// HRESULTSymbol returns the name of a code as the CA shows it, such as
// CERTSRV_E_TEMPLATE_DENIED, and "" for one that certsrv is not known to show.
func HRESULTSymbol(code uint32) string {
	return hresult(code).symbol
}
