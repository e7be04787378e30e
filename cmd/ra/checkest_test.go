package main

import (
	"testing"

	"ciscora/ra/check"
)

func TestWhatAConfigurationAsksForIsNoFailure(t *testing.T) {
	r := check.Report{Findings: []check.Finding{
		{Name: "L7", State: check.Fail, Seen: "TLS 1.2 is not spoken"}, {Name: "L8", State: check.Fail}, {Name: "L1", State: check.OK},
	}}
	asConfigured(&r, "L7", "est.tls.min has it so")
	asConfigured(&r, "L1", "")
	if f := r.Findings[0]; f.State != check.Warn || f.Reason != "est.tls.min has it so" || f.Seen == "" {
		t.Errorf("%+v", f)
	}
	if r.Findings[1].State != check.Fail || r.Findings[2].State != check.OK {
		t.Errorf("%+v", r.Findings)
	}
}
