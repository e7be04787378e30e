package exam

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"ciscora/internal/nearest"
	"ciscora/ra/fault"
)

// Level is how much a case asks.
type Level string

// The levels, the strictest first. Robust are cases for which the standards have no
// sentence, but hygiene has.
const (
	Must   Level = "must"
	Should Level = "should"
	May    Level = "may"
	Robust Level = "robust"
)

// Levels are all, the strictest first.
func Levels() []Level { return []Level{Must, Should, May, Robust} }

// Includes tells whether a case of another level counts at this one.
func (l Level) Includes(other Level) bool {
	return slices.Index(Levels(), other) <= slices.Index(Levels(), l)
}

// Card is one case.
type Card struct {
	ID    string `yaml:"id"`
	Title string `yaml:"title"`
	Ref   string `yaml:"ref"` // where the requirement stands
	Level Level  `yaml:"level"`
	Says  string `yaml:"says"` // the requirement
	// Needs are abilities of a client besides the operations of the stages.
	Needs  []string `yaml:"needs"`
	Stages []Stage  `yaml:"stages"`
	// Declares are operations that a client is to be declared to have, in place of stages.
	Declares []string `yaml:"declares"`
	// Password is the account's; "" = a new one.
	Password string `yaml:"password"`
	// Digest has the server ask for HTTP Digest with this algorithm, and for nothing else.
	Digest string `yaml:"digest"`
	// Waits says that the case waits more than it works.
	Waits bool `yaml:"waits"`
	// NotYet says what of the catalogue's row is not examined.
	NotYet string `yaml:"not_yet"`

	Group string `yaml:"-"` // the id's first word
}

// Stage is one run of the client.
type Stage struct {
	Faults    []string `yaml:"faults"`
	Elsewhere []string `yaml:"elsewhere"` // faults of the other server, {elsewhere} in Faults
	Operation string   `yaml:"operation"` // "" = enroll
	Expect    []string `yaml:"expect"`    // see predicates

	Host        string `yaml:"host"`        // "" = localhost; ip; or a name that leads here for a client that can resolve
	Scheme      string `yaml:"scheme"`      // "" = https
	CACert      string `yaml:"cacert"`      // "" = the right one; none; previous: what the last stage of cacerts wrote
	Fingerprint string `yaml:"fingerprint"` // of the CA's certificate: "" = the right one; wrong
	Clock       string `yaml:"clock"`       // what the client's clock is to show; "" = the time
	Credentials string `yaml:"credentials"` // "" = the right ones; none; wrong
	Label       string `yaml:"label"`
	Out         string `yaml:"out"`        // "" = absent before; kept: one is there already, old
	NoCert      bool   `yaml:"no_cert"`    // no client certificate, which a re-enrollment has
	Old         string `yaml:"old"`        // of the certificate to renew: "" = valid; expired, with the account's password beside it
	Key         string `yaml:"key"`        // "" = given; own: the client makes its own
	Repeat      int    `yaml:"repeat"`     // how often the client is run; 0 = once
	NoControl   bool   `yaml:"no_control"` // the stage before is its control
}

func (s Stage) operation() string {
	if s.Operation == "" {
		return Enroll
	}
	return s.Operation
}

// The operations that a client may be able to do.
const (
	CACerts      = "cacerts"
	Enroll       = "enroll"
	Reenroll     = "reenroll"
	CSRAttrs     = "csrattrs"
	ServerKeygen = "serverkeygen"
)

// Operations are all of them.
func Operations() []string { return []string{CACerts, Enroll, Reenroll, CSRAttrs, ServerKeygen} }

// Abilities are what a client may be able to do besides.
func Abilities() []string {
	return []string{"bootstrap", "fingerprint", "pop", "own-key", "attributes", "poll", "encrypted-key", "label", "expect", "resolve", "clock", "trust-indication"}
}

//go:embed cards/*.yaml
var cardFiles embed.FS

// Cards returns the cases that come with the program, in the catalogue's order.
func Cards() ([]Card, error) {
	sub, err := fs.Sub(cardFiles, "cards")
	if err != nil {
		return nil, err
	}
	return readCards(sub, "")
}

// LoadCards reads one's own cards from a folder.
func LoadCards(dir string) ([]Card, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("read the cards: %w", err)
	}
	cards, err := readCards(os.DirFS(dir), dir)
	if err == nil && len(cards) == 0 {
		return nil, fmt.Errorf("%s has no cards: put files of cases there, *.yaml", dir)
	}
	return cards, err
}

func readCards(files fs.FS, dir string) ([]Card, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	var cards []Card
	var problems []error
	seen := map[string]string{}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read the cards: %w", err)
		}
		some, err := ParseCards(filepath.ToSlash(path.Join(dir, name)), data)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		for _, c := range some {
			if other, ok := seen[c.ID]; ok {
				problems = append(problems, fmt.Errorf("%s: case %s stands in %s already", name, c.ID, other))
			}
			seen[c.ID] = name
		}
		cards = append(cards, some...)
	}
	return cards, errors.Join(problems...)
}

// ParseCards reads a file of cases. Errors name the file, the case and what is meant.
func ParseCards(file string, data []byte) ([]Card, error) {
	var list struct {
		Cases []Card `yaml:"cases"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&list); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(list.Cases) == 0 {
		return nil, fmt.Errorf("%s: a file of cards begins with cases: and has at least one", file)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: a second document begins behind ---: put its cases into a file of their own", file)
	}
	var problems []error
	for i := range list.Cases {
		c := &list.Cases[i]
		c.Group, _, _ = strings.Cut(c.ID, "-")
		for _, problem := range c.check() {
			problems = append(problems, fmt.Errorf("%s: case %d %s: %w", file, i+1, c.ID, problem))
		}
	}
	return list.Cases, errors.Join(problems...)
}

func (c Card) check() (problems []error) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.ID == "" || strings.Trim(c.ID, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || !strings.Contains(c.ID, "-") {
		wrong("id %q: want GROUP-NAME in small letters, digits and dashes", c.ID)
	}
	for name, text := range map[string]string{"title": c.Title, "ref": c.Ref, "says": c.Says} {
		if strings.TrimSpace(text) == "" {
			wrong("%s is missing", name)
		}
	}
	if !slices.Contains(Levels(), c.Level) {
		wrong("level %q: want must, should, may or robust", c.Level)
	}
	for _, need := range c.Needs {
		if !slices.Contains(Abilities(), need) {
			wrong("needs: %q is no ability: want one of %s", need, strings.Join(Abilities(), ", "))
		}
	}
	if c.Digest != "" && c.Digest != "MD5" && c.Digest != "SHA-256" {
		wrong("digest %q: want MD5 or SHA-256", c.Digest)
	}
	for _, operation := range c.Declares {
		if !slices.Contains(Operations(), operation) {
			wrong("declares: there is no operation %q%s", operation, meant(operation, Operations(), ": want some of "+strings.Join(Operations(), ", ")))
		}
	}
	if (len(c.Stages) == 0) == (len(c.Declares) == 0) {
		wrong("want either stages or declares")
	}
	for i, s := range c.Stages {
		for _, problem := range s.check() {
			wrong("stage %d: %w", i+1, problem)
		}
		for key, need := range s.takes() {
			if !slices.Contains(c.Needs, need) {
				wrong("stage %d: %s: not every client can that: add needs: [%s] to the case", i+1, key, need)
			}
		}
	}
	return problems
}

// takes are the keys of a stage that mean nothing to a client without an ability.
func (s Stage) takes() map[string]string {
	takes := map[string]string{}
	if s.Host != "" && s.Host != "ip" {
		takes["host"] = "resolve"
	}
	if s.Fingerprint != "" {
		takes["fingerprint"] = "fingerprint"
	}
	if s.Clock != "" {
		takes["clock"] = "clock"
	}
	return takes
}

// clockLayout is how a stage and {clock} write a time, in UTC.
const clockLayout = time.DateTime

// maxRepeat is the most runs of one stage.
const maxRepeat = 100

func (s Stage) check() (problems []error) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, spec := range slices.Concat(s.Faults, s.Elsewhere) {
		if placeOf(s.operation()) == "" {
			break // op: is no place then; the operation is told below
		}
		if _, err := fault.Parse(atOperation(spec, s.operation())); err != nil {
			wrong("%w", err)
		}
	}
	if len(s.Expect) == 0 {
		wrong("expect is missing")
	}
	for _, word := range s.Expect {
		if _, err := parsePredicate(word); err != nil {
			wrong("%w", err)
		} else if w, _ := wordOf(word); w.renews && (s.operation() != Reenroll || s.NoCert) {
			wrong("expect: %s: there is no old certificate: want operation: reenroll, without no_cert", word)
		}
	}
	if s.Repeat < 0 || s.Repeat > maxRepeat {
		wrong("repeat: %d: want 0 to %d", s.Repeat, maxRepeat)
	}
	if s.Host != "" && s.Host != "ip" && (!strings.Contains(s.Host, ".") || strings.Trim(s.Host, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "") {
		wrong("host: %q: want ip, or a name of several labels in small letters", s.Host)
	}
	if _, err := time.Parse(clockLayout, s.Clock); s.Clock != "" && err != nil {
		wrong("clock: %q: want a time such as %s", s.Clock, clockLayout)
	}
	for name, choice := range map[string]struct {
		value string
		words []string
	}{
		"operation":   {s.Operation, append(Operations(), "")},
		"scheme":      {s.Scheme, []string{"", "http"}},
		"cacert":      {s.CACert, []string{"", "none", "previous"}},
		"credentials": {s.Credentials, []string{"", "none", "wrong"}},
		"fingerprint": {s.Fingerprint, []string{"", "wrong"}},
		"out":         {s.Out, []string{"", "kept"}},
		"old":         {s.Old, []string{"", "expired"}},
		"key":         {s.Key, []string{"", "own"}},
	} {
		if !slices.Contains(choice.words, choice.value) {
			near := ""
			if n := nearest.Name(choice.value, choice.words); n != "" {
				near = ", did you mean " + n + "?"
			}
			wrong("%s: unknown word %q%s", name, choice.value, near)
		}
	}
	return problems
}

// atOperation puts the place of an operation in front of a fault that names none:
// op:chunked is est.simpleenroll:chunked where the client enrolls.
func atOperation(spec, operation string) string {
	rest, ok := strings.CutPrefix(spec, "op:")
	if !ok {
		return spec
	}
	return string(placeOf(operation)) + ":" + rest
}

func placeOf(operation string) fault.Place {
	return map[string]fault.Place{
		CACerts: fault.ESTCACerts, Enroll: fault.ESTEnroll, Reenroll: fault.ESTReenroll,
		CSRAttrs: fault.ESTCSRAttrs, ServerKeygen: fault.ESTServerKeygen,
	}[operation]
}

// Choice is which cards are wanted.
type Choice struct {
	IDs    []string // globs; nil = all
	Groups []string // nil = all
	Level  Level    // this and stricter; "" = all
}

// Choose returns the cards that are wanted. The error names what is near to one that is
// not there.
func (c Choice) Choose(cards []Card) ([]Card, error) {
	var ids, groups []string
	for _, card := range cards {
		ids = append(ids, card.ID)
		if !slices.Contains(groups, card.Group) {
			groups = append(groups, card.Group)
		}
	}
	for _, pattern := range c.IDs {
		if !slices.ContainsFunc(ids, func(id string) bool { return matches(pattern, id) }) {
			return nil, fmt.Errorf("there is no case %q%s", pattern, meant(pattern, ids, ": see ra exam --list"))
		}
	}
	for _, group := range c.Groups {
		if !slices.Contains(groups, group) {
			return nil, fmt.Errorf("there is no group %q%s", group, meant(group, groups, ": see ra exam --list"))
		}
	}
	var chosen []Card
	for _, card := range cards {
		if c.Level != "" && !c.Level.Includes(card.Level) ||
			len(c.Groups) > 0 && !slices.Contains(c.Groups, card.Group) ||
			len(c.IDs) > 0 && !slices.ContainsFunc(c.IDs, func(p string) bool { return matches(p, card.ID) }) {
			continue
		}
		chosen = append(chosen, card)
	}
	if len(chosen) == 0 {
		return nil, errors.New("no case is both of these: see ra exam --list")
	}
	return chosen, nil
}

func matches(pattern, id string) bool {
	ok, err := path.Match(pattern, id)
	return err == nil && ok
}

// meant asks for the name that was meant; where none is near it says what there is.
func meant(name string, names []string, otherwise string) string {
	if near := nearest.Name(name, names); near != "" {
		return ", did you mean " + near + "?"
	}
	return otherwise
}
