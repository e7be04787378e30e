package tracelog_test

import (
	"strings"
	"testing"
	"time"

	"ciscora/ra/tracelog"
)

func TestCAPFTraces(t *testing.T) {
	good := tracelog.Device{Index: 2, Name: "SEP74A02FC0A675"}
	bad := tracelog.Device{Index: 2, Name: "SEP001F6C81118B"}
	for file, write := range map[string]func(*tracelog.CAPF){
		"capf-start.log":  func(c *tracelog.CAPF) { c.ServiceStarted("lab-dc.michamen.com", 443, "CiscoRA") },
		"capf-client.log": func(c *tracelog.CAPF) { c.ESTClientReady(1367) },
		"capf-good.log": func(c *tracelog.CAPF) {
			c.EnrollmentStarted(good)
			c.CSRRead(good)
			c.EnrollmentFinished(good, 0, "EST_ERR_NONE", 1963)
			c.CertificateWritten(good)
			c.SigningSucceeded(good)
			c.AddedToReadSet(6)
			c.CertificateDelivered(good)
		},
		"capf-operation.log": func(c *tracelog.CAPF) { c.OperationSucceeded(good) },
		"capf-bad.log": func(c *tracelog.CAPF) {
			c.EnrollmentStarted(bad)
			c.CSRRead(bad)
			c.EnrollmentFinished(bad, 35, "EST_ERR_SSL_READ", 0)
			c.SigningFailed(bad, 35)
			c.AddedToReadSet(10)
		},
	} {
		t.Run(file, func(t *testing.T) {
			want := document(t, file)
			var out strings.Builder
			write(tracelog.NewCAPF(&out, tracelog.Options{Location: time.UTC, Now: stampsOf(t, want)}))
			same(t, want, out.String())
		})
	}
}

func TestTheEndOfASession(t *testing.T) {
	var out strings.Builder
	tracelog.NewCAPF(&out, tracelog.Options{Location: time.UTC, Now: at("2019-01-16 14:05:05 +0000")}).SessionEnded()
	same(t, "14:05:05.000 |-->debug\n14:05:05.000 | debug MsgType : CAPF_MSG_END_SESSION\n14:05:05.000 |<--debug\n", out.String())
}
