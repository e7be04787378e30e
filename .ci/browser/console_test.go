// Package browser drives Chromium through the console as a person would, with
// JavaScript switched off: all of it must read and work so.
package browser

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"ciscora/config"
	"ciscora/ra/lab"
)

// tab is a browser's tab, with what it asked for and complained of.
type tab struct {
	context.Context
	t *testing.T

	mu         sync.Mutex
	asked      []string
	complaints []string
}

func open(t *testing.T, width, height int64) *tab {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		if os.Getenv("RA_PEERS") == "required" {
			t.Fatal("there is no chromium, and RA_PEERS=required")
		}
		t.Skip("there is no chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{Context: ctx, t: t}
	if err := chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			b.asked = append(b.asked, e.Request.URL)
		case *log.EventEntryAdded:
			b.complaints = append(b.complaints, e.Entry.Text)
		case *runtime.EventConsoleAPICalled:
			b.complaints = append(b.complaints, string(e.Type))
		case *runtime.EventExceptionThrown:
			b.complaints = append(b.complaints, e.ExceptionDetails.Text)
		}
	}); err != nil {
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.do(chromedp.EmulateViewport(width, height))
	return b
}

func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b, command, params); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// text is what a reader sees of the page; "" while one page gives way to the next.
func (b *tab) text() string {
	text, err := chromedp.Run(b, chromedp.Text(chromedp.CSS("body")))
	if err != nil && b.Err() == nil {
		b.t.Logf("while the page changes: %v", err)
		return ""
	}
	return text
}

// await loads a page again until it has the words: what happens in the lab takes its
// time.
func (b *tab) await(page string, words ...string) {
	b.t.Helper()
	for {
		b.do(chromedp.Navigate(page))
		text, missing := b.text(), ""
		for _, w := range words {
			if !strings.Contains(text, w) {
				missing = w
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond): // as a person who presses reload
		case <-b.Done():
			b.t.Fatalf("%s: no %q in\n%s", page, missing, text)
		}
	}
}

// has waits until the page that a click leads to has the words.
func (b *tab) has(words ...string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b, 10*time.Second)
	defer cancel()
	for {
		text, missing := b.text(), ""
		for _, w := range words {
			if !strings.Contains(text, w) {
				missing = w
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			b.t.Fatalf("no %q in\n%s", missing, text)
		}
	}
}

func startLab(t *testing.T, profile config.Profile) *lab.Lab {
	t.Helper()
	l, err := lab.Start(t.Context(), lab.Options{
		Dir: t.TempDir(), Profile: profile, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAPersonGoesThroughTheConsoleWithoutJavaScript(t *testing.T) {
	l := startLab(t, config.ProfileCUCM)
	b := open(t, 1280, 900)
	b.await(l.AdminURL+"/", "Ready: an enrollment would work now.", "Nothing.", "issuing CA")

	// A phone enrolls, and is seen.
	phone, err := l.EnrollPhone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.await(l.AdminURL+"/console/live", phone.Name, "issued", "200")
	b.do(chromedp.Click(chromedp.CSS("table tbody tr:first-child a")))
	b.has(phone.Name, "issued, answered 200", "submit", "fetch", "client")
	b.await(l.AdminURL+"/console/requests?cn="+url.QueryEscape(phone.Name), phone.Name, "delivered")
	b.do(chromedp.Click(chromedp.CSS("table tbody tr:first-child a")))
	b.has(phone.Name, "delivered", "submit")

	// F7: the CA answers after CES's ten seconds.
	b.do(chromedp.Navigate(l.AdminURL+"/console/lab"), chromedp.SendKeys(chromedp.CSS(`input[name=of][required]`), "certsrv.fetch:delay=12s"),
		chromedp.Click(chromedp.CSS(`button[value=order]`)))
	b.has("The fault certsrv.fetch:delay=12s is on")
	late := make(chan error, 1)
	go func() {
		_, err := l.EnrollPhone(t.Context())
		late <- err
	}()
	b.await(l.AdminURL+"/console/live", "under way")
	b.do(chromedp.Click(chromedp.CSS("table tbody tr:first-child a")))
	b.has("so far", "under way")
	<-late // it fails, as the document says
	b.await(l.AdminURL+"/console/live", "failed")
	b.do(chromedp.Click(chromedp.CSS("table tbody tr:first-child a")))
	b.has("failed", "fetch")
	// The RA's limit and the phone's are ten seconds each: either ends the wait.
	if bar := regexp.MustCompile(`fetch (9\.[5-9]|10\.)\d+ s`); !bar.MatchString(b.text()) {
		t.Errorf("no bar of ten seconds in\n%s", b.text())
	}
	b.do(chromedp.Navigate(l.AdminURL+"/console/lab"), chromedp.Click(chromedp.CSS(`button[value=clear]`)))
	b.has("1 faults are off.", "None is on.")

	if _, err := l.EnrollPhone(t.Context()); err != nil {
		t.Error("after the fault was taken back: ", err)
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.asked {
		if !strings.HasPrefix(u, l.AdminURL+"/") && !strings.HasPrefix(u, "data:") {
			t.Errorf("the page asked for %s", u)
		}
	}
	if len(b.asked) < 10 {
		t.Errorf("only %d requests were seen: %q", len(b.asked), b.asked)
	}
	for _, c := range b.complaints {
		t.Errorf("the browser complains: %s", c)
	}
}

// At 360 pixels nothing but tables and pictures is wider than the screen, and those scroll.
func TestThePagesFitAPhone(t *testing.T) {
	l := startLab(t, config.ProfileModern)
	if _, err := l.EnrollPhone(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := open(t, 360, 740)
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
