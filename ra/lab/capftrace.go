package lab

import (
	"ciscora/est/capf"
	"ciscora/ra/tracelog"
)

// CAPFTrace returns a listener to an EST client's events that writes them as
// CAPF's trace does.
func CAPFTrace(trace *tracelog.CAPF) func(capf.Event) {
	return func(event capf.Event) {
		switch e := event.(type) {
		case capf.EnrollStarted:
			trace.EnrollmentStarted(device(e.Enrollment))
		case capf.CSRRead:
			trace.CSRRead(device(e.Enrollment))
		case capf.EnrollFinished:
			trace.EnrollmentFinished(device(e.Enrollment), int(e.RV), e.RV.String(), e.PKCS7Length)
		case capf.CertificateWritten:
			trace.CertificateWritten(device(e.Enrollment))
		case capf.EnrollDone:
			if e.Err != nil {
				trace.SigningFailed(device(e.Enrollment), int(e.RV))
				return
			}
			trace.SigningSucceeded(device(e.Enrollment))
			trace.CertificateDelivered(device(e.Enrollment))
			trace.SessionEnded()
		}
	}
}

func device(e capf.Enrollment) tracelog.Device {
	return tracelog.Device{Index: e.Index, Name: e.Device}
}
