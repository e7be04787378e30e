package capf

import "fmt"

// Status is libest's return value, EST_ERROR in its header file. 0 to 54 are
// the same in all its versions; those above are 3.2.0's (docs/reference/libest.md,
// "Error codes").
type Status int

// The return values that this client gives.
const (
	StatusNone               Status = 0  // a certificate, or the CA certificates, came
	StatusNoCert             Status = 3  // no client certificate to re-enroll with
	StatusLoadCACerts        Status = 6  // /cacerts is no base64 PKCS#7 that libest reads
	StatusBadPKCS10          Status = 9  // the CSR cannot be parsed; nothing was sent
	StatusHTTPUnsupported    Status = 11 // missing or foreign headers, a chunked body
	StatusHTTPBadRequest     Status = 13 // 400
	StatusHTTPNotFound       Status = 14 // 404, or closed without an answer
	StatusHTTPNoContent      Status = 15 // 204
	StatusHTTPLocked         Status = 16 // 423
	StatusAuthFail           Status = 22 // 401, with credentials or without a usable challenge
	StatusAuthFailTLSUID     Status = 23 // no tls-unique to prove possession with
	StatusEnrollRetry        Status = 26 // 202 with Retry-After
	StatusSSLWrite           Status = 34 // the connection broke while the request was sent
	StatusSSLRead            Status = 35 // no data in time, or the connection broke
	StatusSSLConnect         Status = 38 // the TLS handshake failed
	StatusAddress            Status = 42 // the host name does not resolve
	StatusConnect            Status = 43 // the TCP connection failed
	StatusBufferTooSmall     Status = 49 // the answer is over the bound
	StatusFQDNMismatch       Status = 53 // the certificate is for another name
	StatusCACertVerification Status = 60 // /cacerts does not verify against its own roots
	StatusInvalidRetryValue  Status = 62 // 202 without digits in Retry-After
	StatusUnknown            Status = 94 // a status that libest does not know
)

// String is libest's name, EST_ERR_AUTH_FAIL.
func (s Status) String() string {
	names := [...]string{
		"NONE", "NO_CTX", "NO_CSR", "NO_CERT", "NO_KEY", "INVALID_PARAMETERS", "LOAD_CACERTS", "LOAD_TRUST_CERTS",
		"BAD_MODE", "BAD_PKCS10", "HTTP_WRITE", "HTTP_UNSUPPORTED", "HTTP_CANNOT_BUILD_HEADER", "HTTP_BAD_REQ",
		"HTTP_NOT_FOUND", "HTTP_NO_CONTENT", "HTTP_LOCKED", "HTTP_INVALID_PATH_SEGMENT",
		"HTTP_PATH_SEGMENT_NOT_SUPPORTED", "BAD_CONTENT_TYPE", "BAD_CONTENT_LEN", "NO_SSL_CTX", "AUTH_FAIL",
		"AUTH_FAIL_TLSUID", "AUTH_PENDING", "CA_ENROLL_FAIL", "CA_ENROLL_RETRY", "WRONG_METHOD", "X509_SIGN",
		"X509_VER", "X509_CN", "X509_ATTR", "X509_PUBKEY", "MALLOC", "SSL_WRITE", "SSL_READ", "SSL_NEW",
		"SSL_CTX_NEW", "SSL_CONNECT", "SSL_CIPHER_LIST", "PEM_READ", "NULL_CALLBACK", "IP_GETADDR", "IP_CONNECT",
		"INVALID_SERVER_NAME", "INVALID_PORT_NUM", "CLIENT_INVALID_KEY", "CLIENT_NOT_INITIALIZED",
		"ZERO_LENGTH_BUF", "READ_BUFFER_TOO_SMALL", "BUF_EXCEEDS_MAX_LEN", "NO_CERTIFICATE", "NO_CERTS_FOUND",
		"FQDN_MISMATCH", "SYSCALL",
	}
	switch {
	case s >= 0 && int(s) < len(names):
		return "EST_ERR_" + names[s]
	case s == StatusCACertVerification:
		return "EST_ERR_CACERT_VERIFICATION"
	case s == StatusInvalidRetryValue:
		return "EST_ERR_INVALID_RETRY_VALUE"
	case s == StatusUnknown:
		return "EST_ERR_UNKNOWN"
	default:
		return fmt.Sprintf("EST_ERR_%d", int(s))
	}
}

// Error is why an operation gave no certificate.
type Error struct {
	Operation  string // "cacerts", "simpleenroll", "simplereenroll"
	RV         Status // what libest would return; StatusNone where it sees no fault
	HTTPStatus int    // 0 without an answer
	Reason     string // what happened
	Message    string // the first words of the server's own text, if it sent one
	Err        error  // below, or nil
}

// Error is one line: the operation, libest's name for it, the reason and, if
// there is one, the server's own text or the remedy.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s (%d): %s", e.Operation, e.RV, int(e.RV), e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Message != "" {
		return text + fmt.Sprintf("; the server says %q", e.Message)
	}
	if remedy := e.RV.remedy(); remedy != "" {
		text += "; " + remedy
	}
	return text
}

// Unwrap gives the error below.
func (e *Error) Unwrap() error { return e.Err }

// remedy is what to look at first; empty where the reason says it all.
func (s Status) remedy() string {
	switch s {
	case StatusHTTPUnsupported:
		return "the server must send Content-Length and libest's exact Content-Type (its libest dialect does)"
	case StatusAuthFail:
		return "check user, password, and that the CA knows the account and the template"
	case StatusSSLRead:
		return "check the server's own log: its CA may be slow"
	case StatusSSLConnect:
		return "check the trust anchors, the dates and that the server speaks TLS 1.2"
	case StatusAddress, StatusConnect:
		return "check the host, the port and that the server runs"
	case StatusFQDNMismatch:
		return "use the name that the server's certificate carries"
	default:
		return ""
	}
}
