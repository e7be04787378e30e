package exam

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.step.sm/crypto/pemutil"

	"ciscora/internal/nearest"
)

// predicate judges a run: "" where it holds, else what was seen in its place.
type predicate func(r *run) string

// argument is what a predicate takes behind =.
type argument int

const (
	nothing argument = iota
	aTime
	aNumber
)

// word is a predicate's name in a card.
type word struct {
	takes argument
	// negative: it could hold of a client that does nothing at all, so that a control
	// without faults has to show that it can.
	negative bool
	renews   bool // it looks at the certificate that is to be renewed
	premise  bool // where it does not hold the stage shows nothing: it is inconclusive
	judge    func(r *run, d time.Duration, n int) string
}

func plain(judge func(r *run) string) word {
	return word{judge: func(r *run, _ time.Duration, _ int) string { return judge(r) }}
}

func negative(judge func(r *run) string) word {
	w := plain(judge)
	w.negative = true
	return w
}

func renewing(judge func(r *run) string) word {
	w := plain(judge)
	w.renews = true
	return w
}

func premise(judge func(r *run) string) word {
	w := plain(judge)
	w.premise = true
	return w
}

// words are all predicates.
func words() map[string]word {
	return map[string]word{
		"ok":                       plain(okProblem),
		"refuse":                   negative(refuseProblem),
		"either":                   negative(eitherProblem),
		"ended":                    negative(endProblem),
		"exit":                     negative(exitProblem),
		"no-request":               negative(func(r *run) string { return requestsProblem(r.requests, "", "") }),
		"no-post":                  negative(func(r *run) string { return requestsProblem(r.requests, "POST", "") }),
		"no-enroll":                negative(func(r *run) string { return requestsProblem(r.requests, "POST", "") }),
		"no-credentials":           negative(func(r *run) string { return credentialsProblem(r.requests, "") }),
		"no-clear":                 negative(clearProblem),
		"no-loop":                  negative(loopProblem),
		"nothing-elsewhere":        negative(func(r *run) string { return requestsProblem(r.otherRequests, "", " at the other server") }),
		"no-post-elsewhere":        negative(func(r *run) string { return requestsProblem(r.otherRequests, "POST", " at the other server") }),
		"no-credentials-elsewhere": negative(func(r *run) string { return credentialsProblem(r.otherRequests, " to the other server") }),
		"strong-ciphers":           plain(ciphersProblem),
		"secure-renegotiation":     plain(renegotiationProblem),
		"sni":                      plain(sniProblem),
		"indicated":                plain(indicationProblem),
		"http-request":             plain(requestProblem),
		"csr":                      plain(csrProblem),
		"csr-sent":                 premise(unsentProblem),
		"different-keys":           plain(differentProblem),
		"private-key-file":         plain(keyFileProblem),
		"chain-stored":             plain(chainProblem),
		"client-certificate":       plain(certificateProblem),
		"reenroll-request":         plain(reenrollProblem),
		"kept-names":               renewing(namesProblem),
		"same-request":             negative(sameProblem),
		"password-once":            negative(onceProblem),
		"opaque-returned":          negative(opaqueProblem),
		"challenge-first":          plain(challengeProblem),
		"challenge-read":           premise(unreadProblem),
		"open-operations":          plain(openProblem),
		"not-told":                 negative(toldProblem),
		"channel-binding":          plain(bindingProblem),
		"fresh-binding":            negative(freshProblem),
		"text-clean":               negative(cleanProblem),
		"asked-again":              plain(againProblem),
		"leave-asked":              plain(leaveProblem),
		"attributes-asked":         plain(unaskedProblem),
		"asked-encryption":         plain(encryptionProblem),
		"labelled":                 plain(labelProblem),
		"new-key":                  renewing(newKeyProblem),
		"bound":                    plain(boundProblem),
		"p384-key":                 negative(p384Problem),
		"rsa-key":                  {takes: aNumber, negative: true, judge: rsaProblem},
		"sha384-signature":         negative(sha384Problem),
		"nothing-behind":           plain(behindProblem),
		"posts-only":               negative(postsOnlyProblem),
		"verified-post":            plain(newSessionProblem),
		"pause":                    {takes: aTime, negative: true, judge: pauseProblem},
		"within":                   {takes: aTime, negative: true, judge: withinProblem},
		"at-most":                  {takes: aNumber, negative: true, judge: atMostProblem},
		"memory":                   {takes: aNumber, negative: true, judge: memoryProblem},
	}
}

// wordOf is the predicate of a word in a card.
func wordOf(text string) (word, bool) {
	name, _, _ := strings.Cut(text, "=")
	w, ok := words()[name]
	return w, ok
}

// parsePredicate reads a word, with what stands behind it.
func parsePredicate(text string) (predicate, error) {
	name, value, has := strings.Cut(text, "=")
	w, ok := wordOf(text)
	if !ok {
		near := ""
		if n := nearest.Name(name, slices.Sorted(maps.Keys(words()))); n != "" {
			near = ", did you mean " + n + "?"
		}
		return nil, fmt.Errorf("expect: unknown word %q%s", name, near)
	}
	var d time.Duration
	var n int
	var err error
	switch {
	case w.takes == nothing && has:
		err = fmt.Errorf("expect: %s takes no value", name)
	case w.takes == aTime:
		if d, err = time.ParseDuration(value); err != nil || d <= 0 {
			err = fmt.Errorf("expect: %s: want a time such as %s=3s", text, name)
		}
	case w.takes == aNumber:
		if n, err = strconv.Atoi(value); err != nil || n < 0 {
			err = fmt.Errorf("expect: %s: want a number such as %s=5", text, name)
		}
	}
	if err != nil {
		return nil, err
	}
	return func(r *run) string { return w.judge(r, d, n) }, nil
}

// needsControl tells whether what a stage expects could come of a client that does
// nothing.
func (s Stage) needsControl() bool {
	if s.NoControl {
		return false
	}
	return slices.ContainsFunc(s.Expect, func(text string) bool {
		w, _ := wordOf(text)
		return w.negative
	})
}

// How it ended.

func endProblem(r *run) string {
	switch {
	case r.Hung:
		return fmt.Sprintf("it did not end within %s and was killed", r.Took.Round(time.Second))
	case r.Signal != "":
		return "it died of a signal: " + r.Signal
	}
	return ""
}

func exitProblem(r *run) string {
	if p := endProblem(r); p != "" {
		return p
	}
	if r.Exit == 0 {
		return "it failed, and its exit status is 0"
	}
	return ""
}

func okProblem(r *run) string {
	if p := endProblem(r); p != "" {
		return p
	}
	if r.Exit != 0 {
		return fmt.Sprintf("exit status %d%s", r.Exit, r.complaint())
	}
	if r.unread != "" {
		return "exit status 0, and " + r.unread
	}
	if r.operation != CSRAttrs && r.operation != CACerts {
		return r.certificateProblem()
	}
	// Unlike a certificate of its own, these a client could have without asking.
	if !slices.ContainsFunc(r.requests, func(q *request) bool { return q.operation() == r.operation }) {
		return "exit status 0, and it did not ask /" + r.operation
	}
	if r.operation == CACerts && len(certificatesIn(r.out)) == 0 {
		return "exit status 0, and {out} has no certificate"
	}
	return ""
}

// certificateProblem says what is wrong with the certificate that was written.
func (r *run) certificateProblem() string {
	if r.out == nil || r.before != nil && bytes.Equal(r.out, r.before) {
		return "exit status 0, and no certificate in {out}"
	}
	certificates := certificatesIn(r.out)
	if len(certificates) == 0 {
		return "{out} has no certificate that can be read"
	}
	own := certificates[0]
	written, problem := readWritten(r.files.values["key"], "{key}")
	if problem != "" {
		return problem
	}
	key, err := pemutil.Parse(written)
	if err != nil {
		return "the certificate's key cannot be read from {key}"
	}
	public := publicOf(key)
	if public == nil || !samePublic(public, own.PublicKey) {
		return fmt.Sprintf("the first certificate in {out} (%s) is not that of {key}", own.Subject)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(r.server.root)
	intermediates.AddCert(r.server.issuing)
	if _, err := own.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return "the certificate in {out} is not from this CA"
	}
	return ""
}

func samePublic(a, b any) bool {
	one, err := x509.MarshalPKIXPublicKey(a)
	other, err2 := x509.MarshalPKIXPublicKey(b)
	return err == nil && err2 == nil && bytes.Equal(one, other)
}

// refuseProblem: a refusal leaves {out} as it was. The exit status is judged elsewhere,
// once.
func refuseProblem(r *run) string {
	if p := endProblem(r); p != "" {
		return p
	}
	if r.unread != "" {
		return fmt.Sprintf("it left something at {out}: exit status %d, and %s", r.Exit, r.unread)
	}
	if r.out != nil && !bytes.Equal(r.out, r.before) {
		what := "something"
		if certificates := certificatesIn(r.out); len(certificates) > 0 {
			what = fmt.Sprintf("a certificate (%s)", certificates[0].Subject)
		}
		return fmt.Sprintf("it took it: exit status %d, and it wrote %s to {out}", r.Exit, what)
	}
	if r.out == nil && r.before != nil {
		return "{out} had a file, and it is gone"
	}
	if r.Exit == 0 && r.operation == CSRAttrs {
		return "exit status 0"
	}
	return ""
}

func eitherProblem(r *run) string {
	if refuseProblem(r) == "" {
		return ""
	}
	return okProblem(r)
}

// complaint is the last thing that the client printed, without secrets.
func (r *run) complaint() string {
	text := strings.TrimSpace(r.Stderr)
	if text == "" {
		text = strings.TrimSpace(r.Stdout)
	}
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	last := lines[len(lines)-1]
	for _, line := range slices.Backward(lines) {
		// Where an exception came from stands below it, indented.
		if line != "" && line[0] != ' ' && line[0] != '\t' {
			last = line
			break
		}
	}
	return ": " + shorten(r.secretless(last), 160)
}

// What was sent.

func requestsProblem(requests []*request, method, where string) string {
	for _, q := range requests {
		if method == "" || q.method == method {
			return fmt.Sprintf("%s %s was sent%s", q.method, shorten(q.uri, 80), where)
		}
	}
	return ""
}

func credentialsProblem(requests []*request, where string) string {
	for _, q := range requests {
		if scheme, _, ok := strings.Cut(q.header.Get("Authorization"), " "); ok || scheme != "" {
			return fmt.Sprintf("%s credentials went out%s, with %s %s", scheme, where, q.method, shorten(q.uri, 80))
		}
		if len(q.certificates) > 0 {
			return "a client certificate was shown" + where
		}
	}
	return ""
}

func clearProblem(r *run) string {
	for _, c := range slices.Concat(r.connections, r.otherConnections) {
		if len(c.first) == 0 || c.first[0] == 22 {
			continue
		}
		head := string(c.first[:min(len(c.first), 4096)])
		what := "a request in clear: " + shorten(r.secretless(strings.SplitN(head, "\r\n", 2)[0]), 80)
		if strings.Contains(strings.ToLower(head), "authorization:") {
			what += ", with credentials"
		}
		return what
	}
	return ""
}

func loopProblem(r *run) string {
	const most = 5
	if len(r.requests) > most {
		return fmt.Sprintf("%d requests", len(r.requests))
	}
	for i, q := range r.requests[min(1, len(r.requests)):] {
		before := r.requests[i]
		if before.status == 401 || before.status/100 == 3 || q.operation() != before.operation() || q.method != before.method {
			continue // an answer to a challenge, or something else
		}
		if gap := q.at.Sub(before.answered); gap < time.Second-tolerance {
			return fmt.Sprintf("it asked again after %s", gap.Round(time.Millisecond))
		}
	}
	return ""
}

func atMostProblem(r *run, _ time.Duration, n int) string {
	if len(r.requests) > n {
		return fmt.Sprintf("%d requests", len(r.requests))
	}
	return ""
}

// tolerance of times that are measured from this side.
const tolerance = 200 * time.Millisecond

// pauseProblem: whoever comes back does so after the time that it was told.
func pauseProblem(r *run, d time.Duration, _ int) string {
	for i, q := range r.requests {
		if q.status != 202 && q.status != 503 && q.status != 429 {
			continue
		}
		for _, next := range r.requests[i+1:] {
			if next.operation() != q.operation() {
				continue
			}
			if gap := next.at.Sub(q.answered); gap < d-tolerance {
				return fmt.Sprintf("told to wait %s, it came back after %s", d, gap.Round(10*time.Millisecond))
			}
			break
		}
	}
	return ""
}

func withinProblem(r *run, d time.Duration, _ int) string {
	if r.Hung || r.Took > d {
		return fmt.Sprintf("it took %s", r.Took.Round(100*time.Millisecond))
	}
	return ""
}

func memoryProblem(r *run, _ time.Duration, megabytes int) string {
	if r.MaxRSS > int64(megabytes)<<20 {
		return fmt.Sprintf("it took %d MB of memory", r.MaxRSS>>20)
	}
	return ""
}

func againProblem(r *run) string {
	for i, q := range r.requests {
		if q.status == 202 && i < len(r.requests)-1 {
			return ""
		}
	}
	return "it did not ask again"
}

func leaveProblem(r *run) string {
	if !slices.ContainsFunc(r.requests, func(q *request) bool { return q.header.Get("Expect") != "" }) {
		return "it did not wait for leave to send its body"
	}
	return ""
}

func unaskedProblem(r *run) string {
	if !slices.ContainsFunc(r.requests, func(q *request) bool { return q.operation() == CSRAttrs }) {
		return "it did not ask /csrattrs"
	}
	return ""
}

func toldProblem(r *run) string {
	if r.Told {
		return "the password stands in what it printed"
	}
	return ""
}

// secrets are the account's password as it may stand in a text: as it is, in a URL, in
// base64, and as HTTP Basic has it. The longer ones come first: they may have others in
// them.
func (r *run) secrets() []string {
	if r.password == "" {
		return nil
	}
	all := []string{
		r.password, url.QueryEscape(r.password), url.PathEscape(r.password), base64.StdEncoding.EncodeToString([]byte(r.password)),
		base64.StdEncoding.EncodeToString([]byte(r.server.user + ":" + r.password)),
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(all)
}

// secretless takes the account's password out of a text.
func (r *run) secretless(text string) string {
	for _, secret := range r.secrets() {
		text = strings.ReplaceAll(text, secret, "[password]")
	}
	return text
}

func cleanProblem(r *run) string {
	if r.Steers {
		return "control bytes of the answer stand in what it printed"
	}
	return ""
}

func keyFileProblem(r *run) string {
	info, err := os.Stat(r.files.values["key"])
	if err != nil {
		return "there is no {key}"
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Sprintf("{key} can be read by others: mode %04o", mode)
	}
	return ""
}

func chainProblem(r *run) string {
	stored := certificatesIn(r.out)
	for _, want := range []*x509.Certificate{r.server.root, r.server.issuing} {
		if !slices.ContainsFunc(stored, want.Equal) {
			return fmt.Sprintf("%s was sent and not stored", want.Subject)
		}
	}
	return ""
}

// shorten is a foreign text's beginning, without what steers a terminal or turns the
// direction of writing.
func shorten(text string, most int) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp) {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}
