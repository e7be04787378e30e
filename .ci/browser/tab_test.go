// Package browser drives Chromium through the console as a person would: with JavaScript,
// by which pages change by themselves, and with it switched off, where all of it must
// read and work as well.
package browser

import (
	"context"
	_ "embed"
	"os"
	"os/exec"
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
	"ciscora/ra/scenario"
)

// tab is a browser's tab, with what it asked for and complained of.
type tab struct {
	context.Context
	t *testing.T

	mu         sync.Mutex
	asked      []string
	complaints []string
}

func open(t *testing.T, width, height int64, scripts bool) *tab {
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
			for _, a := range e.Args {
				b.complaints = append(b.complaints, string(e.Type)+" "+a.Description+" "+string(a.Value))
			}
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
	if !scripts {
		call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	}
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
	ctx, cancel := context.WithTimeout(b, 30*time.Second)
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

// quiet ends a visit: nothing was asked of another machine, and the browser had nothing
// to complain of.
func (b *tab) quiet(site string) { b.t.Helper(); b.quietly(site, 10) }

// quietly is quiet, after at least so many requests.
func (b *tab) quietly(site string, least int) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.asked {
		if !strings.HasPrefix(u, site+"/") && !strings.HasPrefix(u, "data:") {
			b.t.Errorf("the page asked for %s", u)
		}
	}
	if len(b.asked) < least {
		b.t.Errorf("only %d requests were seen: %q", len(b.asked), b.asked)
	}
	for _, c := range b.complaints {
		b.t.Errorf("the browser complains: %s", c)
	}
}

// axe is axe-core 4.14.1 (MPL-2.0), which looks for what keeps people out of a page.
//
//go:embed testdata/axe/axe.min.js
var axe string

// accessible fails the test for each fault of the page that axe calls serious or worse.
func (b *tab) accessible(page string) {
	b.t.Helper()
	type fault struct {
		ID, Impact, Help string
		Where            []string
	}
	faults, err := chromedp.Run(b, chromedp.Evaluate[[]fault](axe+`;
axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations
  .filter(v => v.impact === "serious" || v.impact === "critical")
  .map(v => ({ID: v.id, Impact: v.impact, Help: v.help, Where: v.nodes.map(n => n.html).slice(0, 5)})))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range faults {
		b.t.Errorf("%s: %s, %s (%s): %q", page, f.Impact, f.Help, f.ID, f.Where)
	}
}

func startLab(t *testing.T, profile config.Profile) *lab.Lab {
	t.Helper()
	player, err := scenario.NewPlayer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := player.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := lab.Start(t.Context(), lab.Options{
		Dir: t.TempDir(), Profile: profile, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0",
		Catalog: scenario.Catalog, Cards: player,
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
