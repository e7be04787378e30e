package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"ciscora/config"
	"ciscora/est/capf"
	"ciscora/internal/owner"
	"ciscora/msca/certsrv"
	"ciscora/ra/console"
	"ciscora/ra/explain"
	"ciscora/ra/fault"
)

// maxPhones bounds how many phones enroll at once because of a page.
const maxPhones = 8

var errTooManyPhones = errors.New("enough phones are enrolling: wait for one to end")

// pages is what the console of a lab can do.
type pages struct {
	lab     *Lab
	log     *zap.Logger
	phones  *owner.Owner
	turns   chan struct{}
	catalog func() (*explain.Catalog, error)
	cards   console.Cards
}

func (l *Lab) newPages(o Options) *pages {
	return &pages{lab: l, log: o.Logger, phones: owner.New(), turns: make(chan struct{}, maxPhones), catalog: o.Catalog, cards: o.Cards}
}

func (p *pages) options() console.Lab {
	c := console.Lab{
		Enroll: p.enroll, Reset: p.reset, FaultKinds: faultKinds(), Cards: p.cards,
		Capture:    p.lab.record.Capture,
		PhoneLines: p.lab.record.phones.of,
	}
	if p.catalog != nil {
		c.Explain = p.explain
	}
	return c
}

// enroll lets a phone enroll in the background, as EnrollPhone does.
func (p *pages) enroll() (string, error) {
	select {
	case p.turns <- struct{}{}:
	default:
		return "", errTooManyPhones
	}
	phone, err := capf.NewPhone(rand.Reader, "", sampleKeyType)
	if err != nil {
		<-p.turns
		return "", err
	}
	p.phones.Go(func() {
		defer func() { <-p.turns }()
		if _, err := p.lab.enrollPhone(p.phones.Context(), phone); err != nil {
			p.log.Warn("a phone did not enroll", zap.String("phone", phone.Name), zap.Error(err))
		}
	})
	return phone.Name, nil
}

// reset takes back the faults, empties the CA's queue, and forgets what was recorded.
func (p *pages) reset(context.Context) error {
	p.lab.Faults.Clear()
	var problems []error
	for _, r := range p.lab.ca.Recent(recentRequests) {
		if r.Disposition == certsrv.DispositionPending {
			problems = append(problems, p.lab.ca.Deny(r.ID))
		}
	}
	p.lab.record.clear()
	return errors.Join(problems...)
}

// faultKinds are all faults, each with a value that can be ordered as it stands.
func faultKinds() (all []console.FaultKind) {
	examples := map[string]string{
		"DURATION": "12s", "STATUS": "503", "HRESULT": "0x80070005", "LANGUAGE": "de", "N": "2", "VALUE": "text/plain", "NAME": "*.example.com",
	}
	for _, e := range fault.Catalog() {
		for _, place := range e.Places {
			spec := string(place) + ":" + e.Kind
			if e.Value != "" && !strings.HasPrefix(e.Value, "[") {
				word, _, _ := strings.Cut(e.Value, "|") // the first of several
				value, ok := examples[word]
				if !ok {
					value = word
				}
				if e.Kind == "drip" {
					value = "100ms"
				}
				spec += "=" + value
			}
			if _, err := fault.Parse(spec); err == nil {
				all = append(all, console.FaultKind{Spec: spec, Help: e.Help})
			}
		}
	}
	return all
}

// The name of each log's file, as ra explain knows it by its words, not by its name.
var logFiles = map[string]string{"nginx": "nginx-error.log", "ciscora": "ciscora.log", "capf": "capf.log", "iis": "iis.log", "ra": "ra.log"}

// w3cFields is the header of IIS's log, without which its lines have no names.
const w3cFields = "#Software: Microsoft Internet Information Services 10.0\n#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken\n"

// explain looks for the cause in an enrollment's own lines. CAPF's trace is left out where
// there is more: it tells less, and would count as much. Where the RA does not behave as
// CES its own log comes first, and of what CES would log only what is sure is believed.
func (p *pages) explain(ctx context.Context, logs map[string][]string) (v console.Verdict, err error) {
	catalog, err := p.catalog()
	if err != nil {
		return v, err
	}
	asCES := p.lab.Profile == config.ProfileCUCM
	if own := logs["ra"]; len(own) > 0 && !asCES {
		if v, err = judge(ctx, catalog, map[string][]string{"ra": own}); err != nil || v.Title != "" {
			return v, err
		}
	}
	if len(logs["nginx"])+len(logs["ra"]) > 0 {
		logs = maps.Clone(logs)
		delete(logs, "capf")
	}
	if v, err = judge(ctx, catalog, logs); v.Sure != string(explain.Certain) && !asCES {
		return console.Verdict{}, err
	}
	return v, err
}

// judge returns what the logs say first; nothing where that is of no known failure.
func judge(ctx context.Context, catalog *explain.Catalog, logs map[string][]string) (v console.Verdict, err error) {
	var inputs []explain.Input
	for log, lines := range logs {
		text := strings.Join(lines, "\n") + "\n"
		if log == "iis" {
			text = w3cFields + text
		}
		inputs = append(inputs, explain.Input{Name: logFiles[log], Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }})
	}
	slices.SortFunc(inputs, func(a, b explain.Input) int { return strings.Compare(a.Name, b.Name) })
	report, err := explain.Explain(ctx, catalog, inputs, explain.Options{})
	if err != nil {
		return v, fmt.Errorf("look for the cause: %w", err)
	}
	for _, f := range report.Findings {
		if f.Name != "" {
			likely := f.Sure == explain.Certain || f.Sure == explain.Likely
			return console.Verdict{
				Name: f.Name, Title: f.Title, Headline: f.Headline, Sure: string(f.Sure), Why: f.Why, Cause: f.Cause, Fix: f.Fix, Play: f.Play != "" && likely,
			}, nil
		}
	}
	return v, nil
}
