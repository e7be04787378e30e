package browser

import (
	"html"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The terminal's picture: what ra lab shows while the sample phone enrolls.
func TestTheTerminalShowsEachLeg(t *testing.T) {
	program := filepath.Join(t.TempDir(), "ra")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/ra")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// script gives it a terminal.
	lab := "stty cols 120 rows 50; NO_COLOR= TERM=xterm-256color " + program + " lab --once --est 127.0.0.1:0 --certsrv 127.0.0.1:0 --admin 127.0.0.1:0 2>/dev/null"
	out, err := exec.CommandContext(t.Context(), "script", "-qec", lab, "/dev/null").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text := string(out)
	for _, want := range []string{"console  http://127.0.0.1:", "POST", "certfnsh.asp", "serial"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if first, _, _ := strings.Cut(text, "\n"); !strings.HasPrefix(first, "console  http://") {
		t.Errorf("the first line is %q", first)
	}
	b := open(t, 820, 560, false)
	b.do(chromedp.Navigate("data:text/html;charset=utf-8," + strings.ReplaceAll(strings.ReplaceAll(terminal(text), "%", "%25"), "#", "%23")))
	b.has("console")
	b.picture("terminal.png")
}

var (
	escape = regexp.MustCompile("\x1b\\[([0-9;]*)([A-Za-z])")
	colors = map[string]string{"1": "font-weight:bold", "2": "color:#9aa3ae", "31": "color:#ff8f80", "32": "color:#8fd694", "33": "color:#f2cf66", "34": "color:#8fb8ff", "35": "color:#d7a6ff", "36": "color:#7fdbe6", "90": "color:#9aa3ae"}
)

// terminal is what a program has written to a terminal, as a page.
func terminal(text string) string {
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="en"><title>ra lab</title><body style="margin:0;background:#14171c;color:#e6e8eb;padding:12px"><pre style="font:14px/1.35 monospace;margin:0">`)
	open := 0
	end := 0
	for _, at := range escape.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(html.EscapeString(text[end:at[0]]))
		end = at[1]
		if text[at[4]:at[5]] != "m" {
			continue
		}
		for _, code := range strings.Split(text[at[2]:at[3]], ";") {
			if style, ok := colors[code]; ok {
				b.WriteString(`<span style="` + style + `">`)
				open++
			} else {
				b.WriteString(strings.Repeat("</span>", open))
				open = 0
			}
		}
	}
	b.WriteString(html.EscapeString(text[end:]))
	return b.String() + strings.Repeat("</span>", open) + "</pre></body></html>"
}
