package browser

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"ciscora/config"
	"ciscora/est/capf"
)

var pictures = flag.String("pictures", "", "write the README's pictures into this folder")

// A UC engineer shows a customer what CES did: sees a phone enroll, makes the CA slow,
// reads why, mends it, approves a request, plays a card, and leaves the lab as it was.
func TestAPersonGoesThroughALab(t *testing.T) {
	l := startLab(t, config.ProfileCUCM)
	b := open(t, 1280, 1000, true)
	b.await(l.AdminURL+"/", "Ready: an enrollment would work now.", "Nothing.")
	b.accessible("overview")

	// A phone enrolls, and shows on the page that is open.
	b.do(chromedp.Navigate(l.AdminURL + "/console/live"))
	b.has("None yet.")
	b.do(chromedp.Evaluate[chromedp.Void](`window.stays = true`))
	phone, err := l.EnrollPhone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.has(phone.Name, "issued", "200")
	if stays, err := chromedp.Run(b, chromedp.Evaluate[bool](`window.stays === true`)); err != nil || !stays {
		t.Error("the page was loaded again")
	}
	b.accessible("live")
	b.click("table tbody tr:first-child a")
	b.has(phone.Name, "issued, answered 200", "NTLM, a token of", "AUTHENTICATE_MESSAGE (type 3)", "decided by", "certnew.cer?ReqID=1&", "NGINX error.log", "CAPF's trace", "IIS's log", "LAB Issuing CA")
	b.accessible("a good enrollment")

	// A leg marks its lines.
	b.click(`.log a[href="#leg-3"]`)
	marked, err := chromedp.Run(b, chromedp.Evaluate[string](`getComputedStyle(document.querySelector(".log .of-3")).backgroundColor + " " + getComputedStyle(document.querySelector(".log .of-client")).backgroundColor`))
	if err != nil || marked == "rgba(0, 0, 0, 0) rgba(0, 0, 0, 0)" {
		t.Errorf("the leg marks no lines: %s, %v", marked, err)
	}

	// F7: the CA answers the log-in after the ten seconds of CES.
	b.do(chromedp.Navigate(l.AdminURL + "/console/lab"))
	b.accessible("lab")
	b.do(chromedp.SendKeys(chromedp.CSS(`input[name=of][required]`), "certsrv.login:delay=12s"))
	b.click(`button[value=order]`)
	b.has("The fault certsrv.login:delay=12s is on")
	b.click(`button[value=enroll]`)
	b.has("under way")
	b.click("table tbody tr:first-child a")
	b.has("so far", "under way")
	b.has("failed, answered 401", "The CA does not answer the log-in in time", "Find out what IIS waits for", "It hit the limit of 10.00 s.", "Play this again (f7-slow-login)")
	b.accessible("an enrollment that failed")
	b.do(chromedp.Reload())
	b.picture("theatre.png")

	// It is taken back, and that this mends it is seen.
	b.click(`a[href="/console/lab#faults"]`)
	b.has("certsrv.login:delay=12s")
	b.click(`button[value=clear]`)
	b.has("1 fault is off.", "None is on.")
	b.click(`button[value=enroll]`)
	b.has("issued")

	// A request waits for a manager, who is found, and approves it.
	supervised, err := l.Client(nil, func(o *capf.Options) { o.Label = "supervised" })
	if err != nil {
		t.Fatal(err)
	}
	if r := supervised.Enroll(t.Context(), phone.Name, phone.CSR); r.RV != capf.StatusEnrollRetry {
		t.Fatalf("the request does not wait: %v", r.RV)
	}
	b.await(l.AdminURL+"/", "1 request waits for a manager")
	b.do(chromedp.Navigate(l.AdminURL + "/console/lab"))
	b.click(`button[value=approve]`)
	b.has("is approved.", "Nothing waits.")
	if r := supervised.Enroll(t.Context(), phone.Name, phone.CSR); r.Err != nil {
		t.Errorf("after the approval: %v", r.Err)
	}

	// A card is played, and watched.
	b.click(`#cards ~ details summary`)
	b.click(`button[aria-label="Play f4-unknown-host"]`)
	b.has("Could not resolve: lab-dcc.michamen.com", "With the fix:", "the logs say what the card says")
	b.accessible("a card that was played")

	b.do(chromedp.Navigate(l.AdminURL + "/console/lab"))
	b.click(`button[value=reset]`)
	b.has("The lab is as it was", "None is on.")
	b.do(chromedp.Navigate(l.AdminURL + "/console/live"))
	b.has("None yet.")
	b.quiet(l.AdminURL)
}

// In the dark, and with the pages of those that enroll elsewhere, nothing is too faint.
func TestThePagesAreReadableInTheDark(t *testing.T) {
	l := startLab(t, config.ProfileModern)
	b := open(t, 1280, 1000, true)
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	l.Faults.Order("certsrv.submit:denied,count=1") //nolint:errcheck // the page shows whether it is on
	if _, err := l.EnrollPhone(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"/", "/console/live", "/console/requests", "/console/requests/1", "/console/lab", "/console/none"} {
		b.do(chromedp.Navigate(l.AdminURL + page))
		b.accessible(page)
	}
}

// A list that somebody reads stays as it is, and goes on when he has read it.
func TestAListWaitsForItsReader(t *testing.T) {
	l := startLab(t, config.ProfileModern)
	b := open(t, 1280, 1000, true)
	first, err := l.EnrollPhone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(l.AdminURL + "/console/live"))
	b.has(first.Name)
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("table a").focus()`))
	second, err := l.EnrollPhone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.has("Paused while you read")
	if strings.Contains(b.text(), second.Name) {
		t.Error("the list has changed under its reader")
	}
	b.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	b.has(second.Name)
	b.quietly(l.AdminURL, 1)
}

// click clicks what the page has there. Where the page is changing, what was found may be
// another by then, and was not clicked: a person clicks again.
func (b *tab) click(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b, 30*time.Second)
	defer cancel()
	for {
		err := chromedp.Do(ctx, chromedp.ScrollIntoView(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
		var gone *cdproto.Error
		switch {
		case err == nil:
			return
		case !errors.As(err, &gone) || gone.Code != noSuchNode:
			b.t.Fatal(err)
		}
		b.t.Logf("%s: while the page changes: %v", selector, err)
	}
}

// noSuchNode is what Chromium says of a node that is no more in its page.
const noSuchNode = -32000

// picture takes one of the page's beginning, where pictures are wanted.
func (b *tab) picture(name string) {
	b.t.Helper()
	if *pictures == "" {
		return
	}
	b.do(chromedp.Evaluate[chromedp.Void](`window.scrollTo(0, 0)`))
	data, err := chromedp.Run(b, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*pictures, name), data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
