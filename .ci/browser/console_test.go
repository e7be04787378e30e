package browser

import (
	"net/url"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"

	"ciscora/config"
)

func TestAPersonGoesThroughTheConsoleWithoutJavaScript(t *testing.T) {
	l := startLab(t, config.ProfileCUCM)
	b := open(t, 1280, 900, false)
	b.await(l.AdminURL+"/", "Ready: an enrollment would work now.", "Nothing.", "issuing CA")

	// A phone enrolls, and is seen.
	phone, err := l.EnrollPhone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.await(l.AdminURL+"/console/live", phone.Name, "issued", "200")
	b.click("table tbody tr:first-child a")
	b.has(phone.Name, "issued, answered 200", "submit", "fetch", "client")
	b.await(l.AdminURL+"/console/requests?cn="+url.QueryEscape(phone.Name), phone.Name, "delivered")
	b.click("table tbody tr:first-child a")
	b.has(phone.Name, "delivered", "submit")

	// F7: the CA answers after CES's ten seconds.
	b.do(chromedp.Navigate(l.AdminURL+"/console/lab"), chromedp.SendKeys(chromedp.CSS(`input[name=of][required]`), "certsrv.fetch:delay=12s"))
	b.click(`button[value=order]`)
	b.has("The fault certsrv.fetch:delay=12s is on")
	late := make(chan error, 1)
	go func() {
		_, err := l.EnrollPhone(t.Context())
		late <- err
	}()
	b.await(l.AdminURL+"/console/live", "under way")
	b.click("table tbody tr:first-child a")
	b.has("so far", "under way")
	<-late // it fails, as the document says
	b.await(l.AdminURL+"/console/live", "failed")
	b.click("table tbody tr:first-child a")
	b.has("failed", "fetch")
	// The RA's limit and the phone's are ten seconds each: either ends the wait.
	if bar := regexp.MustCompile(`fetch (9\.[5-9]|10\.)\d+ s`); !bar.MatchString(b.text()) {
		t.Errorf("no bar of ten seconds in\n%s", b.text())
	}
	b.do(chromedp.Navigate(l.AdminURL + "/console/lab"))
	b.click(`button[value=clear]`)
	b.has("1 fault is off.", "None is on.")

	if _, err := l.EnrollPhone(t.Context()); err != nil {
		t.Error("after the fault was taken back: ", err)
	}

	b.quiet(l.AdminURL)
}

// At 360 pixels nothing but tables and pictures is wider than the screen, and those scroll.
func TestThePagesFitAPhone(t *testing.T) {
	l := startLab(t, config.ProfileModern)
	if _, err := l.EnrollPhone(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := open(t, 360, 740, false)
	for _, page := range []string{"/", "/console/live", "/console/requests", "/console/requests/1", "/console/lab"} {
		b.do(chromedp.Navigate(l.AdminURL + page))
		// The devtools' own evaluation works without the page's JavaScript.
		width, err := chromedp.Run(b, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
		if err != nil {
			t.Fatal(err)
		}
		if width > 360 {
			t.Errorf("%s is %d pixels wide", page, width)
		}
	}
}
