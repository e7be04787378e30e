package capf

import "crypto"

// Event is one fact of an enrollment, in the order in which CAPF's trace tells
// them.
type Event interface{ event() }

// Enrollment says which enrollment an event belongs to.
type Enrollment struct {
	Index  int64  // the client's number for it, from 1
	Device string // the phone's name
}

// EnrollStarted says that a device's CSR is to be enrolled.
type EnrollStarted struct{ Enrollment }

// CSRRead says that the CSR could be parsed.
type CSRRead struct{ Enrollment }

// Challenged says that the server asked for credentials and that the client
// connects again to send them.
type Challenged struct{ Enrollment }

// EnrollFinished says what libest returns: the value, and the length of the
// PKCS#7 in base64 as it came, 0 without one.
type EnrollFinished struct {
	Enrollment
	RV          Status
	PKCS7Length int
	HTTPStatus  int
}

// CertificateWritten says that the PKCS#7 was converted to PEM and DER and holds
// the certificate for the CSR's key.
type CertificateWritten struct{ Enrollment }

// EnrollDone ends every enrollment; Err is nil exactly if there is a
// certificate.
type EnrollDone struct {
	Enrollment
	RV  Status
	Err error
	Key crypto.PublicKey // the certificate's; nil without one
}

func (EnrollStarted) event()      {}
func (CSRRead) event()            {}
func (Challenged) event()         {}
func (EnrollFinished) event()     {}
func (CertificateWritten) event() {}
func (EnrollDone) event()         {}
