package msca

import (
	"fmt"
	"testing"
)

// errorPage is certsrv's error page after a submit; disposition "" = never set.
func errorPage(disposition string, code uint32) []byte {
	row := "(never set)"
	if disposition != "" {
		row = disposition + " <LocID ID=locDispSpacer>-</LocID>(unknown)"
	}
	return fmt.Appendf(nil, "<P ID=locPageTitle> <B> Error </B>\r\n<P ID=locReqFailed> Your request failed.\r\n<DL>"+
		"<DT ID=locDispLabel>Disposition:</DT><DD>\t\t%s</DD>\r\n<DT ID=locResultLabel>Result:</DT><DD>\r\n\t\tSome words. 0x%08x (1 SYMBOL)\r\n</DD></DL>", row, code)
}

func deniedPage(message string) []byte {
	return fmt.Appendf(nil, `<P ID=locPageTitle> <B> Certificate Request Denied </B><P ID=locDenied> Your certificate request was denied. </P>`+
		`<P ID=locInfoReqIDandReason> Your Request Id is 26. The disposition message is "%s". </P>`, message)
}

func TestTheAnswerToASubmitProvesWhatItSaysAndNoMore(t *testing.T) {
	for _, c := range []struct {
		name          string
		page          []byte
		kind          Kind
		issued, works bool
	}{
		{"denied by the policy", deniedPage("Denied by Policy Module  0x80094012"), KindDenied, false, false},
		{"denied, whatever the number", deniedPage("Denied by Policy Module  0x80091234"), KindDenied, false, false},
		{"denied, since the policy's own RPC failed", deniedPage("Denied by Policy Module  0x800706be"), KindDenied, false, false},
		{"denied, since the CA could not check a revocation", deniedPage("Error Constructing or Publishing Certificate  0x80092013"), KindDenied, false, false},
		{"denied for the CSR", deniedPage("Error Parsing Request"), KindBadCSR, false, false},
		{"an error page with the disposition denied", errorPage("2", 0x80091234), KindDenied, false, false},
		{"an error page with a denial's number", errorPage("", 0x80094011), KindDenied, false, false},
		{"an error page that refuses the CSR", errorPage("", 0x8009310b), KindBadCSR, false, false},
		{"access denied before the CA took it", errorPage("", 0x80070005), KindForbidden, false, false},
		{"the RPC server is unavailable: the call was not delivered", errorPage("", 0x800706ba), KindServiceDown, false, false},
		{"the RPC call failed and did not execute", errorPage("", 0x800706bf), KindServiceDown, false, false},
		{"the server died and the call did not execute", errorPage("", 0x80010012), KindServiceDown, false, false},
		{"the RPC call failed", errorPage("", 0x800706be), KindUnclear, true, true},
		{"the RPC call failed, disposition 0", errorPage("0", 0x800706be), KindUnclear, true, true},
		{"the server died, the call may have executed", errorPage("", 0x80010007), KindUnclear, true, true},
		{"RPC was canceled", errorPage("", 0x8007071a), KindUnclear, true, true},
		{"an unknown failure of RPC", errorPage("", 0x800706ff), KindUnclear, true, true},
		{"an unknown failure of COM's RPC", errorPage("", 0x800101ff), KindUnclear, true, true},
		{"the network timed out", errorPage("", 0x80072ee2), KindUnclear, true, true},
		{"an unknown number of Win32", errorPage("", 0x80071234), KindUnclear, true, true},
		{"an unknown number of the CA", errorPage("", 0x80094fff), KindUnclear, true, false},
		{"any failure", errorPage("", 0x80004005), KindUnclear, true, false},
		{"an unknown number with the disposition error", errorPage("1", 0x80094fff), KindUnclear, true, false},
		{"issued, and yet an error", errorPage("3", 0x80094012), KindUnclear, true, false},
		{"an error without a number", []byte("<P ID=locPageTitle> <B> Error </B>"), KindParse, true, false},
		{"a page of somebody else", []byte("<html>hello"), KindParse, true, false},
		{"issued under a number that cannot be read", []byte(`<A Href="certnew.cer?ReqID=99999999999999&amp;Enc=b64">`), KindParse, true, false},
		{"the service has not been started", []byte("<P ID=locSvcNotStarted>The service has not been started.</P>"), KindServiceDown, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := readPage(answerOf(c.page)).err()
			if e.MayHaveIssued() || e.MayStillWork() {
				t.Error("of no submit")
			}
			e.Phase, e.Sent = PhaseSubmit, true
			if e.Kind != c.kind || e.MayHaveIssued() != c.issued || e.MayStillWork() != c.works {
				t.Errorf("%s, may have issued %v, may still work %v; want %s, %v, %v: %v", e.Kind, e.MayHaveIssued(), e.MayStillWork(), c.kind, c.issued, c.works, e)
			}
		})
	}
}

func TestEveryKnownNumberProvesWhatItsKindSays(t *testing.T) {
	for code, m := range hresults {
		switch {
		case m.symbol == "" || m.kind == "":
			t.Errorf("0x%08x has no name or no kind", code)
		case (m.kind == KindDenied || m.kind == KindBadCSR) && m.proves != provesRefused:
			t.Errorf("%s is a refusal that does not prove one", m.symbol)
		case m.kind == KindUnclear && m.proves < provesNothing:
			t.Errorf("%s is unclear and proves something", m.symbol)
		}
	}
}
