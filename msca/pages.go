package msca

import (
	"errors"
	"fmt"
	"html"
	"io"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/html/charset"

	"ciscora/internal/printable"
)

// outcome is what a page of certsrv tells about a request. All of them come with
// HTTP status 200.
type outcome int

const (
	outcomeUnknown outcome = iota
	outcomeIssued
	outcomeDenied
	outcomePending
	outcomeRevoked
	outcomeFailed
)

// The dispositions of a request (CR_DISP_*, docs/reference/certsrv.md 5).
const (
	dispositionError   = 1
	dispositionDenied  = 2
	dispositionIssued  = 3
	dispositionPending = 5
	dispositionRevoked = 6
)

// page is what was read from an answer of certsrv.
type page struct {
	outcome     outcome
	status      int
	reqID       int
	disposition int
	hresult     uint32
	message     string // the CA's words
	down        bool   // the page says that the CA's service does not run
	text        string // the beginning of its text, for errors
	mark        string // that decided the outcome, as the page has it; "" = there is none
}

// The markers: element ids, link and numbers, which no translation touches.
var (
	linkIssued     = regexp.MustCompile(`certnew\.cer\?ReqID=(\d{1,18})&`)
	markDenied     = marker("locDenied")
	markReason     = marker("locInfoReqIDandReason")
	markRevoked    = marker("locIssRev")
	markReqID      = marker("locInfoReqID")
	markChkPnd     = marker("locInfoChkPnd")
	markDispMsg    = marker("locDispMsgLabel")
	markTitle      = marker("locPageTitle")
	markNotStarted = marker("locSvcNotStarted")
	dispositionRow = regexp.MustCompile(`(?i)\b([0-9a-f]{1,8})\s*<LocID\b[^>]*\bid\s*=\s*["']?locDispSpacer\b`)
	hresultNumber  = regexp.MustCompile(`\b0[xX]([0-9a-fA-F]{8})\b`)
	element        = regexp.MustCompile(`<[^>]*>`)
	digits         = regexp.MustCompile(`\b\d{1,18}\b`)
	codeElement    = regexp.MustCompile(`(?is)<(script|style)\b.*?</(script|style)\s*>`)
)

func marker(id string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\bid\s*=\s*["']?(` + id + `)\b[^>]*>`)
}

// markOf is the first of these marks that a page has, as it is spelt there.
func markOf(page string, marks ...*regexp.Regexp) string {
	for _, m := range marks {
		if found := m.FindStringSubmatch(page); found != nil {
			return found[1]
		}
	}
	return ""
}

// pageText returns a page in UTF-8: a localised CA may write in its code page.
func pageText(a *answer) string {
	encoding, _, _ := charset.DetermineEncoding(a.body, a.header.Get("Content-Type"))
	text, err := io.ReadAll(io.LimitReader(encoding.NewDecoder().Reader(strings.NewReader(string(a.body))), 3*maxBody))
	if err != nil {
		return strings.ToValidUTF8(string(a.body), "?")
	}
	return string(text)
}

// readPage reads an answer in the order that tells the outcomes apart (see
// docs/reference/certsrv.md 5.4): each step would also match on a page that an earlier one stands for.
func readPage(a *answer) page {
	s := pageText(a)
	p := page{status: a.status}
	notStarted, down := after(s, markNotStarted)
	p.down = down
	// By far the most frequent page, for which nothing else need be looked for.
	if link := linkIssued.FindStringSubmatch(s); link != nil {
		p.outcome, p.disposition, p.reqID = outcomeIssued, dispositionIssued, number(link[1])
		p.mark = link[0]
		return p
	}
	s = codeElement.ReplaceAllString(s, " ") // scripts are not the answer
	p.text = excerpt(s)
	var spelt string
	p.hresult, spelt, p.message = findHRESULT(s)
	if down && p.message == "" {
		p.message = notStarted
	}
	reason, hasReason := after(s, markReason)
	reqID, hasReqID := after(s, markReqID)
	row := dispositionRow.FindStringSubmatch(s)
	title, _ := after(s, markTitle)
	switch {
	case markRevoked.MatchString(s):
		p.mark, p.outcome, p.disposition = markOf(s, markRevoked), outcomeRevoked, dispositionRevoked
		p.reqID, p.message = readReason(reason)
	case markDenied.MatchString(s) || hasReason:
		p.mark, p.outcome, p.disposition = markOf(s, markDenied, markReason), outcomeDenied, dispositionDenied
		p.reqID, p.message = readReason(reason)
	case hasReqID || markChkPnd.MatchString(s):
		p.mark, p.outcome, p.disposition = markOf(s, markReqID, markChkPnd), outcomePending, dispositionPending
		p.reqID = number(digits.FindString(reqID))
	case row != nil:
		d, _ := strconv.ParseUint(row[1], 16, 32)
		p.disposition, p.mark = int(d), row[0]
		p.outcome = outcomeOf(p.disposition)
		p.addDispositionMessage(s)
	case p.hresult != 0:
		p.outcome, p.mark = outcomeFailed, spelt
		p.addDispositionMessage(s)
	default:
		if p.outcome, p.disposition = outcomeTitled(title); p.outcome != outcomeUnknown {
			p.mark = title
		}
	}
	return p
}

func outcomeOf(disposition int) outcome {
	switch disposition {
	case dispositionDenied:
		return outcomeDenied
	case dispositionPending:
		return outcomePending
	case dispositionRevoked:
		return outcomeRevoked
	}
	return outcomeFailed
}

// outcomeTitled is the last resort, for English pages only.
func outcomeTitled(title string) (outcome, int) {
	switch title {
	case "Certificate Pending":
		return outcomePending, dispositionPending
	case "Certificate Request Denied":
		return outcomeDenied, dispositionDenied
	case "Error":
		return outcomeFailed, dispositionError
	}
	return outcomeUnknown, 0
}

// addDispositionMessage puts the row "Disposition message" of an error page before
// the HRESULT's text. "(none)" stands in parentheses in every language.
func (p *page) addDispositionMessage(s string) {
	at := markDispMsg.FindStringIndex(s)
	if at == nil {
		return
	}
	_, row, ok := strings.Cut(printable.Cut(s[at[1]:], 2048), "<DD")
	if !ok {
		_, row, ok = strings.Cut(printable.Cut(s[at[1]:], 2048), "<dd")
	}
	_, row, found := strings.Cut(row, ">")
	if !ok || !found {
		return
	}
	for _, end := range []string{"<DT", "<dt", "</DD", "</dd", "</DL", "</dl"} {
		row, _, _ = strings.Cut(row, end)
	}
	said := plain(row)
	switch {
	case said == "" || strings.HasPrefix(said, "("):
	case p.message == "":
		p.message = said
	default:
		p.message = said + ": " + p.message
	}
}

// err returns what the page says, for all but an issued certificate.
func (p page) err() *Error {
	e := &Error{Status: p.status, Disposition: p.disposition, ReqID: p.reqID, HRESULT: p.hresult, Message: p.message}
	m := hresult(p.hresult)
	e.Symbol = m.symbol
	switch {
	case p.down:
		e.Kind = KindServiceDown
	case p.outcome == outcomePending:
		e.Kind = KindPending
	case p.outcome == outcomeRevoked:
		e.Kind = KindRevoked
	case p.outcome == outcomeIssued && p.reqID == 0:
		e.Kind = KindParse
		e.Err = errors.New("the page says that the certificate was issued, under a request id that cannot be read")
	case p.outcome == outcomeUnknown, p.outcome == outcomeIssued:
		e.Kind = KindParse
		e.Err = fmt.Errorf("the page has none of the marks of a certsrv page; it begins %q", p.text)
	case p.outcome == outcomeDenied:
		e.Kind = p.refusal(m)
	case p.outcome == outcomeFailed && p.disposition == dispositionIssued:
		e.Kind = KindUnclear // issued, and yet an error
	case p.hresult == 0:
		e.Kind = KindParse
		e.Err = errors.New("the CA shows an error without a number")
	default:
		// No word of a refusal: the number alone tells, where it does.
		e.Kind = m.kind
	}
	return e
}

// refusal is the kind of a request that the CA says it denied: whatever the number
// is, it was not issued.
func (p page) refusal(m meaning) Kind {
	if m.kind == KindBadCSR || p.hresult == 0 && strings.HasPrefix(p.message, "Error Parsing Request") {
		return KindBadCSR
	}
	return KindDenied
}

// serviceError returns an error if the page says that the CA behind it failed,
// for pages that answer no request.
func (p page) serviceError() *Error {
	if !p.down && p.hresult == 0 {
		return nil
	}
	e := p.err()
	if e.Kind != KindForbidden {
		e.Kind = KindServiceDown
	}
	e.Disposition, e.ReqID = 0, 0
	return e
}

// findHRESULT returns the first number that is a failure ([MS-ERREF] 2.1: the highest
// bit is set), as it is spelt, and the text of its line before it.
func findHRESULT(s string) (hresult uint32, spelt, message string) {
	for _, at := range hresultNumber.FindAllStringSubmatchIndex(s, 64) {
		n, err := strconv.ParseUint(s[at[2]:at[3]], 16, 32)
		if err != nil || n>>31 == 0 {
			continue
		}
		before := s[max(0, at[0]-1024):at[0]]
		if i := strings.LastIndexAny(before, "\r\n"); i >= 0 {
			before = before[i:]
		}
		message = plain(before)
		for _, call := range []string{"CCertRequest::Submit:", "CCertRequest::RetrievePending:", "CCertRequest::GetCACertificate:"} {
			message = strings.TrimSpace(strings.TrimPrefix(message, call))
		}
		return uint32(n), s[at[0]:at[1]], message
	}
	return 0, "", ""
}

// after returns the text that follows a marker, up to the end of its paragraph.
func after(s string, mark *regexp.Regexp) (string, bool) {
	at := mark.FindStringIndex(s)
	if at == nil {
		return "", false
	}
	rest := printable.Cut(s[at[1]:], 4096)
	for _, end := range []string{"</P>", "</p>", "<P ", "<p ", "<P>", "<p>"} {
		rest, _, _ = strings.Cut(rest, end)
	}
	return plain(rest), true
}

// readReason takes a sentence apart that has the CA's message, in quotation marks, and
// before it or behind it the ReqID: the message has numbers of its own. A page that does
// not say its code page may seem to have marks where it has letters; those of ASCII are
// what they are.
func readReason(s string) (reqID int, message string) {
	for _, marks := range []string{`"„“”«»‹›「」『』`, `"`} {
		around, quoted := cutQuoted(s, marks)
		if reqID = number(digits.FindString(around)); reqID != 0 {
			return reqID, quoted
		}
		if message == "" {
			message = quoted
		}
	}
	return 0, message
}

// cutQuoted returns what stands between the first and the last of the quotation marks,
// and what stands around them; without two of them, all of it, twice.
func cutQuoted(s, marks string) (around, quoted string) {
	first, last := strings.IndexAny(s, marks), strings.LastIndexAny(s, marks)
	if first >= last {
		return s, s
	}
	return s[:first] + " " + s[last:], strings.Trim(s[first:last], marks+" ")
}

// plain returns the text of a fragment of HTML on one line.
func plain(s string) string {
	return printable.Line(html.UnescapeString(element.ReplaceAllString(s, " ")), 0)
}

// excerpt is what a page that is not understood says first.
func excerpt(s string) string {
	return printable.Shorten(plain(printable.Cut(s, 8192)), 200)
}

// number reads a ReqID: 0 if it is none.
func number(s string) int {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0
	}
	return int(n)
}
