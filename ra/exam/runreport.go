package exam

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// RunReport is one run of the client as reports have it, without secrets.
type RunReport struct {
	Stage       string   `json:"stage"`
	Control     bool     `json:"control,omitempty"`
	Again       bool     `json:"again,omitempty"` // of the second go, which went otherwise than the first
	Problem     string   `json:"problem,omitempty"`
	Connections int      `json:"connections"`
	Requests    []string `json:"requests"`
	Exit        int      `json:"exit"`
	Signal      string   `json:"signal,omitempty"`
	Hung        bool     `json:"hung,omitempty"`
	Left        int      `json:"children_left,omitempty"`
	TookMS      int64    `json:"took_ms"`
	Out         string   `json:"out_sha256,omitempty"`
	Wire        string   `json:"wire,omitempty"`
}

// Name tells the run from the case's others.
func (r RunReport) Name() string {
	name := r.Stage
	if r.Control {
		name += ", without faults"
	}
	if r.Again {
		name += ", again"
	}
	return name
}

const maxWire = 4 << 10 // of one message, in a report

func (t trial) report(r *run, problem string) RunReport {
	report := RunReport{
		Stage: strings.TrimSuffix(r.stage.describe(), ": "), Control: r.control, Problem: problem, Connections: len(r.connections), Requests: []string{},
		Exit: r.Exit, Signal: r.Signal, Hung: r.Hung, Left: r.Left, TookMS: r.Took.Milliseconds(),
	}
	if r.out != nil {
		sum := sha256.Sum256(r.out)
		report.Out = hex.EncodeToString(sum[:])
	}
	for _, q := range r.requests {
		report.Requests = append(report.Requests, q.line(r.began))
	}
	for _, q := range r.otherRequests {
		report.Requests = append(report.Requests, q.line(r.began)+" (the other server)")
	}
	if t.Wire {
		report.Wire = r.wire()
	}
	return report
}

func (q *request) line(began time.Time) string {
	how := ""
	if scheme, _, _ := strings.Cut(q.header.Get("Authorization"), " "); scheme != "" {
		how += ", " + shorten(scheme, 20)
	}
	if len(q.certificates) > 0 {
		how += ", client certificate"
	}
	status := "no answer by net/http"
	if q.status != 0 {
		status = fmt.Sprint(q.status)
	} else if head, _, ok := strings.Cut(string(q.answer), "\r\n"); ok {
		status = shorten(head, 60)
	}
	return fmt.Sprintf("%.3fs %s %s TLS %s%s: %s", q.at.Sub(began).Seconds(), q.method, shorten(q.uri, 120), versionName(q.version), how, status)
}

// wire is all that was seen of a run, for a person.
func (r *run) wire() string {
	var b strings.Builder
	for _, c := range r.connections {
		fmt.Fprintf(&b, "* %.3fs connection, %d bytes came", c.at.Sub(r.began).Seconds(), c.in)
		if h, ok := parseHello(c.first); ok {
			fmt.Fprintf(&b, "; Client Hello up to TLS %s, %d suites, server_name %q, ALPN %v", versionName(h.version), len(h.suites), h.serverName, h.alpn)
		} else if len(c.first) > 0 && c.first[0] != 22 {
			fmt.Fprintf(&b, "; in clear: %s", shorten(r.secretless(string(c.first)), 80))
		}
		b.WriteString("\n")
	}
	for _, q := range r.requests {
		fmt.Fprintf(&b, "* %s\n> %s %s HTTP/1.1\n> Host: %s\n", q.line(r.began), q.method, shorten(q.uri, 200), shorten(q.host, 100))
		for name, values := range q.header {
			for _, value := range values {
				if name == "Authorization" {
					value, _, _ = strings.Cut(value, " ")
					value += " [not shown]"
				}
				fmt.Fprintf(&b, "> %s: %s\n", name, shorten(r.secretless(value), 300))
			}
		}
		quote(&b, "> ", r.secretless(string(q.body)))
		if q.operation() == "serverkeygen" {
			b.WriteString("< [a private key, not shown]\n")
			continue
		}
		quote(&b, "< ", r.secretless(string(q.answer)))
	}
	fmt.Fprintf(&b, "* exit %d %s after %.1f s\n", r.Exit, r.Signal, r.Took.Seconds())
	quote(&b, "out ", r.secretless(r.Stdout))
	quote(&b, "err ", r.secretless(r.Stderr))
	return b.String()
}

func quote(b *strings.Builder, mark, text string) {
	more := ""
	if len(text) > maxWire {
		text, more = text[:maxWire], fmt.Sprintf("%s[%d bytes more]\n", mark, len(text)-maxWire)
	}
	for line := range strings.Lines(text) {
		fmt.Fprintf(b, "%s%s\n", mark, shorten(strings.TrimRight(line, "\r\n"), 300))
	}
	b.WriteString(more)
}
