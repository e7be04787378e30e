package scenario

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ciscora/est/capf"
	"ciscora/ra/lab"
	"ciscora/ra/tracelog"
)

// Options of a run.
type Options struct {
	Dir     string      // of the card's lab; it is made
	Network lab.Network // nil = TCP on loopback
	// Keys is a folder with a lab's CA, whose keys are used again; "" = new ones.
	Keys string
	// Line sees each line of each log as it comes; nil = nobody does.
	Line func(log, line string)
}

// Result is how a card went.
type Result struct {
	Card    Card          `json:"-"`
	Name    string        `json:"name"`
	Passed  bool          `json:"passed"`
	Took    time.Duration `json:"took_ns"`
	Checks  []Check       `json:"checks"`
	Error   string        `json:"error,omitempty"` // where it could not be played
	Differs int           `json:"differences"`
}

// settleTime is how long a run waits for what the CA does after its client has
// gone.
const settleTime = 30 * time.Second

// Run plays a card.
func Run(ctx context.Context, card Card, o Options) Result {
	began := time.Now()
	result := Result{Card: card, Name: card.Name}
	checks, err := run(ctx, card, o)
	result.Took = time.Since(began)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	result.Checks = checks
	for _, c := range checks {
		if !c.OK {
			result.Differs++
		}
	}
	result.Passed = result.Differs == 0 && len(checks) > 0
	return result
}

func run(ctx context.Context, card Card, o Options) (_ []Check, err error) {
	if err := useKeys(o); err != nil {
		return nil, err
	}
	p := &play{card: card, options: o}
	defer func() {
		if p.lab != nil {
			err = errors.Join(err, p.lab.Close())
		}
	}()
	if o.Line != nil {
		stop := follow(ctx, o.Dir, o.Line)
		defer stop()
	}
	// The faults before the start are there when it starts.
	for _, step := range card.Steps {
		if err := p.step(ctx, step); err != nil {
			return nil, fmt.Errorf("%s: %w", step.Do, err)
		}
	}
	return p.verdict(ctx)
}

// play is a card on its way.
type play struct {
	card    Card
	options Options
	lab     *lab.Lab
	early   []string // faults that are ordered before the start
	phone   *capf.Phone
	last    *capf.Result
}

func (p *play) step(ctx context.Context, step Step) error {
	if p.lab == nil && step.Do != "start" && step.Do != "fault" {
		return errors.New("comes before start")
	}
	switch step.Do {
	case "start":
		return p.start(ctx)
	case "fault":
		if p.lab == nil {
			p.early = append(p.early, step.Fault)
			return nil
		}
		_, err := p.lab.Faults.Order(step.Fault)
		return err
	case "clear":
		p.lab.Faults.Clear()
		return nil
	case "enroll":
		return p.enroll(ctx)
	case "approve", "deny":
		return p.lab.Decide(step.Do == "approve")
	}
	return fmt.Errorf("unknown step %q", step.Do)
}

func (p *play) start(ctx context.Context) error {
	c := p.card.Lab
	o := lab.Options{
		Dir: p.options.Dir, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0", Network: p.options.Network,
		Variant: lab.Variant{CAURL: c.CAURL, CANames: c.CANames, Template: c.Template, Enroll: c.Enroll, MinKeySize: c.MinKeySize, Patience: time.Duration(c.Patience) * time.Second},
		Early:   p.early,
	}
	if err := o.SetProfile(p.card.Profile); err != nil {
		return err
	}
	l, err := lab.Start(ctx, o)
	if err != nil {
		return err
	}
	p.lab = l
	return l.Tried(ctx)
}

func (p *play) enroll(ctx context.Context) error {
	if p.phone == nil {
		key := p.card.Lab.Key
		if key == "" {
			key = "ec256"
		}
		phone, err := capf.NewPhone(rand.Reader, "", key)
		if err != nil {
			return err
		}
		p.phone = phone
	}
	trace, err := os.OpenFile(filepath.Join(p.options.Dir, "logs", "capf.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open CAPF's trace: %w", err)
	}
	defer trace.Close()
	client, err := p.lab.Client(lab.CAPFTrace(tracelog.NewCAPF(trace, tracelog.Options{})), func(o *capf.Options) {
		o.Label = p.card.Lab.Label
		if p.card.Lab.Password != "" {
			o.Password = p.card.Lab.Password
		}
	})
	if err != nil {
		return err
	}
	result := client.Enroll(ctx, p.phone.Name, p.phone.CSR)
	p.last = &result
	return ctx.Err()
}

func (p *play) verdict(ctx context.Context) ([]Check, error) {
	e := p.card.Expect
	var checks []Check
	check := func(what string, expected, seen any, ok bool) {
		checks = append(checks, Check{What: what, Expected: fmt.Sprint(expected), Seen: fmt.Sprint(seen), OK: ok})
	}
	if p.last != nil {
		check("return value", capfStatus(e.RV), capfStatus(int(p.last.RV)), int(p.last.RV) == e.RV)
		least, most, err := e.wait()
		if err != nil {
			return nil, err
		}
		if e.Wait != "" {
			check("wait at the client", e.Wait, p.last.Duration.Round(time.Millisecond), p.last.Duration >= least && p.last.Duration <= most)
		}
	}
	if e.Issued != nil {
		seen := p.settle(ctx, *e.Issued)
		check("certificates issued by the CA", *e.Issued, seen, seen == *e.Issued)
	}
	if e.Verifies != nil {
		seen, err := p.verifies(ctx)
		if err != nil {
			return nil, err
		}
		check("the certificate fits the chain of /cacerts", *e.Verifies, seen, seen == *e.Verifies)
	}
	// What is still in flight ends first: its lines belong to the logs.
	err := p.lab.Finish(func(orphans int) {
		if e.Orphans != nil {
			check("orphans in the ledger", *e.Orphans, orphans, orphans == *e.Orphans)
		}
	})
	if err != nil {
		return nil, err
	}
	p.lab = nil
	for _, log := range logNames {
		want := e.Logs.all()[log]
		if want == "" {
			continue
		}
		got, err := readLog(p.options.Dir, log)
		if err != nil {
			return nil, err
		}
		checks = append(checks, match(log, want, got)...)
	}
	return checks, nil
}

func capfStatus(rv int) string { return fmt.Sprintf("%d (%s)", rv, capf.Status(rv)) }

// settle waits until the CA has issued so many certificates, at most for
// settleTime, and returns how many there are.
func (p *play) settle(ctx context.Context, want int) int {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for p.lab.Issued() < want {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return p.lab.Issued()
		}
	}
	return p.lab.Issued()
}

// verifies tells whether a certificate of /cacerts has signed the phone's.
func (p *play) verifies(ctx context.Context) (bool, error) {
	if p.last == nil || len(p.last.Certificates) == 0 {
		return false, nil
	}
	client, err := p.lab.Client(nil)
	if err != nil {
		return false, err
	}
	chain, err := client.CACerts(ctx)
	return slices.ContainsFunc(chain, func(ca *x509.Certificate) bool {
		return p.last.Certificates[0].CheckSignatureFrom(ca) == nil
	}), err
}

var logNames = []string{"capf", "nginx", "ciscora", "iis"}

var logFiles = map[string]string{
	"nginx": "logs/nginx-error.log", "ciscora": "logs/ciscora.log", "capf": "logs/capf.log", "iis": "logs/iis/*.log",
}

// readLog reads the lines of a log; of several daily files, all. The W3C log's
// head is not among them.
func readLog(dir, log string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, logFiles[log]))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []string
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for _, line := range lines(data) {
			if log != "iis" || line == "" || line[0] != '#' {
				all = append(all, line)
			}
		}
	}
	return all, nil
}

// follow passes on the lines of all logs as they come, until the function it
// returns is called.
func follow(ctx context.Context, dir string, see func(log, line string)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		seen := map[string]int{}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for last := false; ; {
			for _, log := range logNames {
				got, err := readLog(dir, log)
				if err != nil {
					continue
				}
				for _, line := range got[min(seen[log], len(got)):] {
					see(log, line)
				}
				seen[log] = max(seen[log], len(got))
			}
			if last {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				last = true
			}
		}
	}()
	return func() { cancel(); <-done }
}

// keyFiles are what makes a lab's CA.
var keyFiles = []string{"root.pem", "root.key", "issuing.pem", "issuing.key"}

// useKeys gives a lab the CA of another one: keys take long to make.
func useKeys(o Options) error {
	if err := os.MkdirAll(filepath.Join(o.Dir, "ca"), 0o700); err != nil {
		return err
	}
	if o.Keys == "" {
		return nil
	}
	for _, name := range keyFiles {
		data, err := os.ReadFile(filepath.Join(o.Keys, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(o.Dir, "ca", name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// MakeKeys makes a CA in a folder, for [Options.Keys].
func MakeKeys(dir string) (keys string, err error) {
	if err := lab.MakeCA(filepath.Join(dir, "ca")); err != nil {
		return "", err
	}
	return filepath.Join(dir, "ca"), nil
}
