package lab

import (
	"time"

	"ciscora/est/capf"
	"ciscora/ra/tracelog"
)

// phoneSocket stands for the descriptor of a phone's connection, which there is
// none of here: the EST client is all of CAPF that the lab has.
const phoneSocket = 6

// CAPFTrace returns a listener to an EST client's events that writes them as
// CAPF's trace does. now nil is time.Now.
func CAPFTrace(trace *tracelog.CAPF, now func() time.Time) func(capf.Event) {
	if now == nil {
		now = time.Now
	}
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
				trace.AddedToReadSet(phoneSocket)
				return
			}
			trace.SigningSucceeded(device(e.Enrollment))
			trace.AddedToReadSet(phoneSocket)
			trace.CertificateDelivered(device(e.Enrollment))
			trace.OperationSucceeded(device(e.Enrollment))
			trace.PublicKeyStored(device(e.Enrollment), e.Key)
			trace.RecordSelected(device(e.Enrollment), tracelog.Record{Key: e.Key, FinishBy: finishBy(now())})
			trace.SessionEnded()
		}
	}
}

// finishBy is until when CUCM's administration lets an operation run if nobody says
// otherwise: ten days on, at noon.
func finishBy(now time.Time) time.Time {
	day := now.AddDate(0, 0, 10)
	return time.Date(day.Year(), day.Month(), day.Day(), 12, 0, 0, 0, day.Location())
}

func device(e capf.Enrollment) tracelog.Device {
	return tracelog.Device{Index: e.Index, Name: e.Device}
}
