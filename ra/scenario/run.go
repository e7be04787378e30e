package scenario

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ciscora/est/capf"
	"ciscora/ra/explain"
	"ciscora/ra/lab"
	"ciscora/ra/tracelog"
)

// Options of a run.
type Options struct {
	Dir     string      // of the card's lab; it is made
	Network lab.Network // nil = TCP on loopback
	// Keys are used instead of new ones, which take long to make; nil = new ones.
	Keys *Keys
	// Line sees each line of each log as it comes; nil = nobody does.
	Line func(log, line string)
	// Mend is called between a card's two parts; nil = nobody is told.
	Mend func()
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

func run(ctx context.Context, card Card, o Options) ([]Check, error) {
	if card.probed() {
		return runProbe(ctx, card, o)
	}
	if err := o.Keys.IntoLab(o.Dir); err != nil {
		return nil, err
	}
	p := &play{card: card, options: o, tail: newTail(o.Dir, o.Line)}
	checks, err := p.part(ctx)
	if err != nil || len(card.Mended.Steps) == 0 {
		return checks, err
	}
	if o.Mend != nil {
		o.Mend()
	}
	// The same lab, phone and CA, started anew with what was wrong put right.
	card.Lab, card.Steps, card.Expect, card.Tells = card.Mended.Lab, card.Mended.Steps, card.Mended.Expect, nil
	second := &play{card: card, options: o, phone: p.phone, tail: p.tail.next()}
	more, err := second.part(ctx)
	if err != nil {
		return checks, fmt.Errorf("mended: %w", err)
	}
	for _, c := range more {
		c.What = "mended: " + c.What
		checks = append(checks, c)
	}
	return checks, nil
}

// part plays the steps and judges how they ended.
func (p *play) part(ctx context.Context) (_ []Check, err error) {
	defer func() {
		if p.lab != nil {
			err = errors.Join(err, p.lab.Close())
		}
		err = errors.Join(err, p.tail.end(), p.own.append(p.options.Dir))
	}()
	// The faults before the start are there when it starts.
	for _, step := range p.card.Steps {
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
	tail    *tail
	own     ownLog
	lab     *lab.Lab
	early   []string // faults that are ordered before the start
	phone   *capf.Phone
	last    *capf.Result
}

func (p *play) step(ctx context.Context, step Step) error {
	if p.lab == nil && step.Do != "start" && step.Do != "fault" && step.Do != "service" {
		return errors.New("comes before start")
	}
	switch step.Do {
	case "service":
		return p.traced(func(t *tracelog.CAPF) error { return p.service(t) })
	case "client":
		return p.traced(p.client)
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
		// Nobody looks at its pages.
		Unrecorded: true,
		Logged:     p.tail.poke,
		NewKey:     p.options.Keys.InTurn(),
		Logger:     p.own.logger(),
	}
	for _, subject := range c.Trust {
		certificate, err := authorityNamed(subject)
		if err != nil {
			return err
		}
		o.Variant.Trust = append(o.Variant.Trust, certificate)
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
		signer, err := p.options.Keys.ofPhone(key)
		if err != nil {
			return err
		}
		if p.phone, err = capf.NewPhoneWithKey(rand.Reader, p.card.Lab.Phone, signer); err != nil {
			return err
		}
	}
	return p.traced(func(trace *tracelog.CAPF) error { return p.enrollTraced(ctx, trace) })
}

func (p *play) enrollTraced(ctx context.Context, trace *tracelog.CAPF) error {
	events := lab.CAPFTrace(trace, nil)
	heard := func(e capf.Event) {
		events(e)
		p.tail.poke()
	}
	client, err := p.lab.Client(heard, func(o *capf.Options) {
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
	if p.last != nil {
		want := e.RV == int(capf.StatusNone)
		if e.Certificate != nil {
			want = *e.Certificate
		}
		seen := len(p.last.Certificates) > 0
		check("a certificate for the phone's key", want, seen, seen == want)
	}
	if e.Says != "" {
		said := ""
		var failed *capf.Error
		if p.last != nil && errors.As(p.last.Err, &failed) {
			said = failed.Message
		}
		check("the answer says", e.Says, said, strings.Contains(said, e.Says))
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
	// What the RA does for a client that has gone ends first, in its own time: how it
	// ends is in the logs.
	quiet, cancel := context.WithTimeout(ctx, settleTime)
	p.lab.Quiet(quiet)
	cancel()
	err := p.lab.Finish(func(orphans int) {
		if e.Orphans != nil {
			check("orphans in the ledger", *e.Orphans, orphans, orphans == *e.Orphans)
		}
	})
	if err != nil {
		return nil, err
	}
	p.lab = nil
	if err := p.tail.end(); err != nil {
		return nil, err
	}
	bound := map[string]string{}
	for _, log := range logNames {
		want := e.Logs.all()[log]
		if want == "" {
			continue
		}
		checks = append(checks, match(log, want, p.tail.of(log), bound)...)
	}
	return append(checks, p.card.toldBy(func(log string) []string {
		if log == string(explain.RA) {
			return p.own.all()
		}
		return p.tail.of(log)
	})...), nil
}

func capfStatus(rv int) string { return fmt.Sprintf("%d (%s)", rv, capf.Status(rv)) }

// settle waits until the CA has issued so many certificates, at most for
// settleTime, and returns how many there are. Whatever the CA does it logs.
func (p *play) settle(ctx context.Context, want int) int {
	enough := time.NewTimer(settleTime)
	defer enough.Stop()
	for {
		more := p.tail.more()
		seen := p.lab.Issued()
		if seen >= want {
			return seen
		}
		select {
		case <-more:
		case <-enough.C:
			return seen
		case <-ctx.Done():
			return seen
		}
	}
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
	var unusable *capf.Error
	if errors.As(err, &unusable) {
		return false, nil // it fits none that libest can read
	}
	return slices.ContainsFunc(chain, func(ca *x509.Certificate) bool {
		return p.last.Certificates[0].CheckSignatureFrom(ca) == nil
	}), err
}
