package main

import (
	"bytes"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"ciscora/est/capf"
)

// swarmReport tells what became of a swarm, with its picture; by the name of its file it is
// the picture alone.
func swarmReport(name, url string, began time.Time, s capf.Summary) ([]byte, error) {
	picture := swarmPicture(s)
	if strings.HasSuffix(name, ".svg") {
		return picture, nil
	}
	var b bytes.Buffer
	err := swarmPage.Execute(&b, struct {
		URL     string
		Began   time.Time
		S       capf.Summary
		Again   string
		Picture template.HTML
		Untried int
	}{url, began.UTC(), s, kinds(s.Again), template.HTML(picture), untried(s)}) //nolint:gosec // numbers of our own
	return b.Bytes(), err
}

var swarmPage = template.Must(template.New("").Funcs(template.FuncMap{"short": short}).Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Enrollments at {{.URL}}</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:1rem auto;padding:0 1rem;color:#16181d}table{border-collapse:collapse}th,td{text-align:left;padding:.2rem 1rem .2rem 0;border-bottom:1px solid #c9cdd4}svg{max-width:100%;height:auto}</style>
<h1>{{.S.OK}} of {{.S.Count}} phones enrolled{{if .Untried}}; stopped before {{.Untried}} had asked{{end}}</h1>
<p>At {{.URL}}, {{.Began.Format "2006-01-02 15:04:05 UTC"}}, in {{short .S.Elapsed}}: {{printf "%.1f" .S.Rate}} certificates a second.</p>
{{.Picture}}
<table><tr><th>Phones</th><th>Enrolled</th><th>Failed</th><th>Median</th><th>95th percentile</th><th>Longest</th></tr>
<tr><td>all</td><td>{{.S.OK}}</td><td>{{.S.Failed}}</td><td>{{short .S.P50}}</td><td>{{short .S.P95}}</td><td>{{short .S.Most}}</td></tr>
{{range $key, $of := .S.ByKey}}<tr><td>{{$key}}</td><td>{{$of.OK}}</td><td>{{$of.Failed}}</td><td>{{short $of.P50}}</td><td>{{short $of.P95}}</td><td>{{short $of.Most}}</td></tr>
{{end}}</table>
<ul>{{range $kind, $n := .S.Errors}}<li>failed: {{$n}} with {{$kind}}</li>{{end}}
{{if .S.Retries}}<li>came again: {{.S.Retries}}{{.Again}}</li>{{end}}
{{if .S.Doubled}}<li>sent twice at once: {{.S.Doubled}}, of which {{.S.DoubledApart}} got two certificates</li>{{end}}
{{if .S.Wrong}}<li>wrong passwords refused: {{.S.Wrong}}</li>{{end}}{{if .S.WrongTaken}}<li><strong>wrong passwords taken: {{.S.WrongTaken}}</strong></li>{{end}}</ul>
</html>
`))

const (
	pictureWidth, pictureHeight = 900, 420
	pictureLeft, pictureRight   = 70, 16
	pictureTop, pictureBottom   = 40, 40
	pictureSlices               = 90
)

// swarmPicture shows, over the time, how long phones waited (half of them, 95 %, and the
// longest, on a scale of powers of ten), how many ended, and how many failed.
func swarmPicture(s capf.Summary) []byte {
	type part struct {
		took         []time.Duration
		ends, failed int
	}
	whole := max(s.Elapsed, time.Millisecond)
	parts := make([]part, pictureSlices)
	least, longest, busiest := time.Duration(math.MaxInt64), time.Millisecond, 1
	for _, x := range s.Samples {
		p := &parts[min(int(int64(x.At)*pictureSlices/int64(whole)), pictureSlices-1)]
		p.ends++
		busiest = max(busiest, p.ends)
		if x.Kind != "" {
			p.failed++
			continue
		}
		p.took = append(p.took, x.Took)
		least, longest = min(least, max(x.Took, 100*time.Microsecond)), max(longest, x.Took)
	}
	least = min(least, longest)
	low := math.Floor(math.Log10(least.Seconds()))
	high := math.Max(math.Ceil(math.Log10(longest.Seconds())), low+1)
	const plotWidth, plotHeight = pictureWidth - pictureLeft - pictureRight, pictureHeight - pictureTop - pictureBottom
	y := func(d time.Duration) float64 {
		at := (math.Log10(max(d, 100*time.Microsecond).Seconds()) - low) / (high - low)
		return pictureTop + plotHeight*(1-math.Min(math.Max(at, 0), 1))
	}
	x := func(i int) float64 { return pictureLeft + plotWidth*float64(i)/pictureSlices }

	stopped := ""
	if n := untried(s); n > 0 {
		stopped = fmt.Sprintf("; stopped before %d had asked", n)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="system-ui, sans-serif" font-size="12">`, pictureWidth, pictureHeight, pictureWidth, pictureHeight)
	fmt.Fprintf(&b, `<title>How long %d phones waited: half of them below %s, 95 %% below %s, the longest %s; %d failed%s</title><rect width="100%%" height="100%%" fill="#ffffff"/>`, s.Count-untried(s), short(s.P50), short(s.P95), short(s.Most), s.Failed, stopped)
	for e := low; e <= high; e++ {
		d := time.Duration(math.Pow(10, e) * float64(time.Second))
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#d5d8dd"/><text x="%d" y="%.1f" text-anchor="end" fill="#50565f">%s</text>`, pictureLeft, y(d), pictureWidth-pictureRight, pictureLeft-8, y(d)+4, d)
	}
	for i := range 6 {
		at := whole * time.Duration(i) / 5
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#50565f">%s</text>`, pictureLeft+plotWidth*float64(i)/5, pictureHeight-16, at.Round(max(whole/200, time.Millisecond)).Round(10*time.Millisecond))
	}
	quantile := func(took []time.Duration, percent int) time.Duration { return took[(len(took)*percent+99)/100-1] }
	lines := [3][]string{}
	for i, p := range parts {
		const bar = plotHeight / 4.0
		tall := bar * float64(p.ends) / float64(busiest)
		if p.ends > 0 {
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#e3e8f0"/>`, x(i), pictureTop+plotHeight-tall, x(1)-x(0)-1, tall)
		}
		if p.failed > 0 {
			failed := bar * float64(p.failed) / float64(busiest)
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#c8493c"/>`, x(i), pictureTop+plotHeight-failed, x(1)-x(0)-1, failed)
		}
		if len(p.took) == 0 {
			continue
		}
		slices.Sort(p.took)
		for n, percent := range []int{50, 95, 100} {
			lines[n] = append(lines[n], fmt.Sprintf("%.1f,%.1f", (x(i)+x(i+1))/2, y(quantile(p.took, percent))))
		}
	}
	for n, line := range []struct{ name, color string }{{"half below", "#0b4fa8"}, {"95 % below", "#b06a00"}, {"longest", "#8f1d14"}} {
		if len(lines[n]) > 0 {
			fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(lines[n], " "), line.color)
		}
		fmt.Fprintf(&b, `<rect x="%d" y="14" width="14" height="4" fill="%s"/><text x="%d" y="20" fill="#16181d">%s</text>`, pictureLeft+n*130, line.color, pictureLeft+n*130+20, line.name)
	}
	fmt.Fprintf(&b, `<rect x="%d" y="11" width="14" height="10" fill="#e3e8f0"/><text x="%d" y="20" fill="#16181d">ended (most: %d in %s)</text><rect x="%d" y="11" width="14" height="10" fill="#c8493c"/><text x="%d" y="20" fill="#16181d">failed</text></svg>`,
		pictureLeft+390, pictureLeft+410, busiest, (whole / pictureSlices).Round(time.Millisecond), pictureLeft+640, pictureLeft+660)
	return append(b.Bytes(), '\n')
}
