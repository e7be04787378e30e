package scenario

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ciscora/internal/nearest"
	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
)

// Probe is what ra check says of a note's failure: a server, a client or files are made
// to be as the failure has them, and it is run against them.
type Probe struct {
	Check  string   `yaml:"check"`  // one of probes
	Client string   `yaml:"client"` // of tls
	Names  []string `yaml:"names"`  // of certificate
	Stage  Stage    `yaml:"stage"`
	Mended Stage    `yaml:"mended"` // the first one, with what the fix changes
	// Finds names the finding that fails there, with a line of the card's tells for
	// its symptom, and does not where it is mended.
	Finds string `yaml:"finds"`
}

// probes are the checks that a card can name, and the command of each.
var probes = map[string]func(p Probe) string{
	"tls": func(p Probe) string {
		if p.Client != "" {
			return "tls " + p.Stage.address("443") + " --as " + p.Client
		}
		return "tls " + p.Stage.address("443")
	},
	"listen": func(Probe) string { return "listen :443" },
	"capf":   func(p Probe) string { return "capf " + p.Stage.host() },
	"vpn":    func(p Probe) string { return "vpn " + p.Stage.url() + " --phone-config " + phoneFile },
	"certificate": func(p Probe) string {
		command := "certificate " + p.Stage.File.name()
		if len(p.Stage.Trust) > 0 {
			command += " --trust " + trustFile
		}
		for _, name := range p.Names {
			command += " --name " + name
		}
		return command
	},
}

// Command is what a person types for the same.
func (p Probe) Command() string { return "ra check " + probes[p.Check](p) }

// check reports what is wrong about a probe.
func (p Probe) check(file string) (problems []error) {
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(file+": probe."+format, args...))
	}
	if probes[p.Check] == nil {
		var known []string
		for name := range probes {
			known = append(known, name)
		}
		slices.Sort(known)
		near := ", known are " + strings.Join(known, ", ")
		if n := nearest.Name(p.Check, known); n != "" {
			near = ", did you mean " + n + "?"
		}
		report("check: there is no check %q%s", p.Check, near)
	}
	if p.Finds == "" {
		report("finds is missing: the name of a finding")
	}
	for at, s := range map[string]Stage{"stage": p.Stage, "mended": p.Mended} {
		if err := s.check(); err != nil {
			report("%s: %w", at, err)
		}
	}
	return problems
}

// probed tells whether the card has one.
func (c Card) probed() bool { return c.Probe != nil }

// WithoutCauseProbed returns the card with its probe's failure mended from the
// beginning.
func (c Card) WithoutCauseProbed() Card {
	probe := *c.Probe
	probe.Stage = probe.Mended
	c.Probe = &probe
	return c
}

// patient is how long one connection of a probe may take, on a machine that has other
// things to do.
const patient = 20 * time.Second

// runProbe runs the check twice: it fails as the card says, and mended it does not.
func runProbe(ctx context.Context, card Card, o Options) ([]Check, error) {
	p := card.Probe
	report, err := p.on(ctx, p.Stage, filepath.Join(o.Dir, "failure"), o)
	if err != nil {
		return nil, err
	}
	found := worst(report, p.Finds)
	checks := []Check{{What: p.Finds, Expected: string(check.Fail), Seen: strings.TrimSpace(string(found.State) + " " + found.Seen), OK: found.State == check.Fail}}
	checks = append(checks, card.toldInSymptom(found))
	if o.Mend != nil {
		o.Mend()
	}
	report, err = p.on(ctx, p.Mended, filepath.Join(o.Dir, "mended"), o)
	if err != nil {
		return checks, fmt.Errorf("mended: %w", err)
	}
	again := worst(report, p.Finds)
	checks = append(checks, Check{
		What: "mended: " + p.Finds, Expected: "ok, or nothing", Seen: strings.TrimSpace(string(again.State) + " " + again.Seen),
		OK: again.State == "" || again.State == check.OK,
	})
	seen, ok := "no FAIL", !report.Failed()
	if i := slices.IndexFunc(report.Findings, func(f check.Finding) bool { return f.State == check.Fail }); i >= 0 {
		seen = report.Findings[i].Name + " FAIL " + report.Findings[i].Seen
	}
	return append(checks, Check{What: "mended: the whole report", Expected: "no FAIL", Seen: seen, OK: ok}), nil
}

// worst is the finding of a name that fails, or the last of that name.
func worst(r check.Report, name string) (found check.Finding) {
	for _, f := range r.Findings {
		if f.Name == name && found.State != check.Fail {
			found = f
		}
	}
	return found
}

// toldInSymptom compares the finding's symptom with the lines that tell the failure: it
// has all of one log's.
func (c Card) toldInSymptom(f check.Finding) Check {
	out := Check{What: c.Probe.Finds + ", its symptom", Seen: f.Symptom}
	for log := range c.Tells {
		lines := c.told(log).Has
		out.Expected = strings.Join(lines, " / ")
		out.OK = len(lines) > 0 && !slices.ContainsFunc(lines, func(line string) bool { return !strings.Contains(f.Symptom, line) })
		if out.OK {
			break
		}
	}
	return out
}

// on runs the check against a stage that is made for it.
func (p Probe) on(ctx context.Context, s Stage, dir string, o Options) (r check.Report, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	made, err := s.make(ctx, dir, o.Keys)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, made.close()) }()
	outside := endpoint.Outside{Dial: made.dial, Timeout: patient, Now: time.Now, Soon: 24 * time.Hour}
	switch p.Check {
	case "tls":
		err = endpoint.TLS(ctx, endpoint.TLSOptions{Outside: outside, Address: s.address("443"), Client: p.Client}, &r)
	case "listen":
		err = made.listen(ctx, &r)
	case "capf":
		endpoint.CAPF(ctx, endpoint.CAPFOptions{Outside: outside, Address: s.address(endpoint.CAPFPort)}, &r)
	case "vpn":
		err = endpoint.VPN(ctx, endpoint.VPNOptions{Outside: outside, URL: s.url(), PhoneConfig: made.path(phoneFile)}, &r)
	case "certificate":
		options := endpoint.CertificateOptions{Outside: outside, Targets: []string{made.path(s.File.name())}, Names: p.Names}
		if len(s.Trust) > 0 {
			options.Trust = []string{made.path(trustFile)}
		}
		err = endpoint.Certificate(ctx, options, &r)
	}
	for _, f := range r.Findings {
		if o.Line != nil {
			o.Line("check", fmt.Sprintf("%-4s  %-24s %s", f.State, f.Name, f.Seen))
			if f.Symptom != "" {
				o.Line("check", "      seen as "+f.Symptom)
			}
		}
	}
	return r, err
}
