// Package scenario plays documented failures: each card is one failure, with the
// faults that make it, what is run, the lines that the logs then hold, what the
// client sees, why, and how to mend it.
package scenario

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"ciscora/internal/nearest"
	"ciscora/ra/explain"
	"ciscora/ra/fault"
)

// Card is one failure.
type Card struct {
	Name  string `yaml:"name"`
	Path  string `yaml:"-"` // the file of a card of one's own; "" = it is built in
	Title string `yaml:"title"`
	// Document is where it is documented: F1 to F9 of Cisco's document; "" where
	// the card is inferred, and Source says from what.
	Document string `yaml:"document"`
	Source   string `yaml:"source"`
	Profile  string `yaml:"profile"`
	Lab      Lab    `yaml:"lab"`
	Steps    []Step `yaml:"steps"`
	Expect   Expect `yaml:"expect"`

	Explanation string `yaml:"explanation"`
	Fix         string `yaml:"fix"`
	// Mended plays the fix, in the same lab, once the failure was seen.
	Mended Mended `yaml:"mended"`

	// Kind is "" for a failure that the lab plays, and "note" for one of other products:
	// it has tells, a cause and a fix, perhaps a probe, and [Notes] returns it.
	Kind string `yaml:"kind"`
	// Tells are, by the log's name, the lines that tell this failure from others; one
	// that begins with "! " is a line that is missing there. They may leave out what
	// stands before and behind a line's words.
	Tells map[string]string `yaml:"tells"`
	// TellsWait bounds how long the client waited that the lines are of, LEAST..MOST, where
	// that is not the last enrollment, whose wait Expect has.
	TellsWait string `yaml:"tells_wait"`
	// Like names the card of which this one is a variant that no log tells from it.
	Like string `yaml:"like"`
	// LabOnly says that only a test makes this failure.
	LabOnly bool `yaml:"lab_only"`
	// Harmless says that nothing has to be done about it.
	Harmless bool `yaml:"harmless"`
	// FromTool has the words for whoever has read the output of a tool alone: that says
	// nothing of the product that was asked.
	FromTool Words `yaml:"from_tool"`
	// Chains are what the server sends, as openssl s_client shows it, the usual one first:
	// alone, self-signed or longer.
	Chains []explain.Chain `yaml:"chains"`
	// Commonness orders what the logs cannot tell apart: common or rare; "" = usual.
	Commonness string `yaml:"commonness"`
	// Elsewhere says where to look where the logs cannot tell.
	Elsewhere string `yaml:"elsewhere"`
	// Known are, by the log's name, further lines that a note knows to be harmless.
	Known map[string]string `yaml:"known"`

	// Probe is what ra check says of a note's failure; nil = it is not played.
	Probe *Probe `yaml:"probe"`

	// RealTime cards need real connections: an errno decides.
	RealTime bool `yaml:"real_time"`
}

// Words are what is said of a failure.
type Words struct {
	Title       string `yaml:"title"`
	Explanation string `yaml:"explanation"`
	Fix         string `yaml:"fix"`
}

// Mended is a card's second part; without steps there is none.
type Mended struct {
	Lab    Lab    `yaml:"lab"` // the first part's, with what the fix changes
	Steps  []Step `yaml:"steps"`
	Expect Expect `yaml:"expect"`
}

// Lab is how the card's lab differs from the usual one.
type Lab struct {
	CAURL      string   `yaml:"ca_url"`
	CANames    []string `yaml:"ca_names"`
	Template   string   `yaml:"template"`
	Enroll     []string `yaml:"enroll"`
	MinKeySize int      `yaml:"min_key_size"`
	Patience   int      `yaml:"patience"` // seconds
	Password   string   `yaml:"password"` // the client's; "" = the right one
	Label      string   `yaml:"label"`    // the client's
	Key        string   `yaml:"key"`      // of the phone; "" = ec256
	Phone      string   `yaml:"phone"`    // its name; "" = one at random
	// Trust is the subjects, in OpenSSL's one-line form, of further CAs in both
	// trust stores.
	Trust []string `yaml:"trust"`
}

// empty tells whether the lab is the usual one, but for what changes no outcome.
func (l Lab) usual() Lab {
	return Lab{CAURL: l.CAURL, CANames: l.CANames, Key: l.Key, Label: l.Label, Phone: l.Phone, Trust: l.Trust}
}

// Step is one thing that is done: one of steps.
type Step struct {
	Do    string
	Fault string // with fault
}

// UnmarshalYAML reads `enroll` or `fault: SPEC`.
func (s *Step) UnmarshalYAML(node *yaml.Node) error {
	switch node.Kind {
	case yaml.ScalarNode:
		s.Do = node.Value
	case yaml.MappingNode:
		if len(node.Content) == 2 && node.Content[0].Value == "fault" {
			s.Do, s.Fault = "fault", node.Content[1].Value
		}
	}
	return nil
}

// Expect is what the card's end looks like.
type Expect struct {
	RV      int    `yaml:"rv"`      // of the last enrollment; libest's return value
	Wait    string `yaml:"wait"`    // of the last enrollment, LEAST..MOST
	Issued  *int   `yaml:"issued"`  // by the CA, in all
	Orphans *int   `yaml:"orphans"` // as the ledger counts
	Says    string `yaml:"says"`    // stands in the answer to the last enrollment
	// Certificate tells whether the last enrollment gave the phone one for its
	// key; nil = as RV says.
	Certificate *bool `yaml:"certificate"`
	// Verifies tells whether the last certificate fits the chain of /cacerts.
	Verifies *bool `yaml:"verifies"`
	Logs     Logs  `yaml:"logs"`
}

// Logs are the lines of each log; see [match].
type Logs struct {
	NGINX   string `yaml:"nginx"`
	CiscoRA string `yaml:"ciscora"`
	CAPF    string `yaml:"capf"`
	IIS     string `yaml:"iis"`
}

//go:embed cards/*.yaml
var files embed.FS

// Cards returns all cards that can be played, in the order of their names; those of
// the document first.
func Cards() ([]Card, error) { return cardsOf("") }

// Notes returns the cards of failures that no lab plays.
func Notes() ([]Card, error) { return cardsOf("note") }

// Probed returns those of the notes that ra check is run for.
func Probed() ([]Card, error) {
	notes, err := Notes()
	return slices.DeleteFunc(notes, func(c Card) bool { return !c.probed() }), err
}

func cardsOf(kind string) ([]Card, error) {
	names, err := fs.Glob(files, "cards/*.yaml")
	if err != nil {
		return nil, err
	}
	var cards []Card
	var problems []error
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		card, err := Parse(path.Base(name), data)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if card.Kind == kind {
			cards = append(cards, card)
		}
	}
	slices.SortStableFunc(cards, func(a, b Card) int {
		switch {
		case (a.Document != "") == (b.Document != ""):
			return strings.Compare(a.Name, b.Name)
		case a.Document != "":
			return -1
		}
		return 1
	})
	return cards, errors.Join(problems...)
}

// Find returns the card of a name, of the beginning of one name alone, or of F1 to F9.
// The error names those that could be meant.
func Find(cards []Card, name string) (Card, error) {
	var names, begun []string
	var found Card
	for _, c := range cards {
		if c.Name == name {
			return c, nil
		}
		names = append(names, c.Name)
		// The names of the document's failures begin with their numbers.
		if strings.HasPrefix(c.Name, strings.ToLower(name)) {
			begun, found = append(begun, c.Name), c
		}
	}
	switch {
	case name == "":
	case len(begun) == 1:
		return found, nil
	case len(begun) > 1:
		const most = 5
		more := ""
		if len(begun) > most {
			begun, more = begun[:most], ", ..."
		}
		return Card{}, fmt.Errorf("%q begins the names of several scenarios, say which: %s%s", name, strings.Join(begun, ", "), more)
	}
	if notes, err := Notes(); err == nil && slices.ContainsFunc(notes, func(n Card) bool { return n.Name == name }) {
		return Card{}, fmt.Errorf("%s is a note: nothing plays it; see ra scenario show %s", name, name)
	}
	return Card{}, fmt.Errorf("there is no scenario %q%s", name, suggest(name, names))
}

// Load reads a card from a file. It is one's own: it need not say where its failure is
// documented, nor repeat the file's name.
func Load(file string) (Card, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Card{}, fmt.Errorf("read the card: %w", err)
	}
	c, err := parse(file, data, true)
	c.Path = file
	return c, err
}

func suggest(name string, names []string) string {
	if near := nearest.Name(name, names); near != "" {
		return ", did you mean " + near + "?"
	}
	return ": see ra scenario list"
}

// What a step may be. service is CAPF reading its service parameters, client its
// making of an EST client: the two stand before and after the start in its trace.
var steps = []string{"service", "start", "client", "fault", "clear", "enroll", "approve", "deny"}

// Parse reads a card. Errors name the file, the line and, for a name that is not
// known, the nearest one.
func Parse(file string, data []byte) (Card, error) { return parse(file, data, false) }

func parse(file string, data []byte, own bool) (Card, error) {
	var card Card
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return card, fmt.Errorf("%s: %w", file, err)
	}
	var problems []error
	report := func(node *yaml.Node, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s:%d:%d: %w", file, node.Line, node.Column, fmt.Errorf(format, args...)))
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return card, fmt.Errorf("%s: a card is a YAML mapping", file)
	}
	checkKeys(root.Content[0], reflect.TypeFor[Card](), "", report)
	if err := root.Decode(&card); err != nil && len(problems) == 0 {
		return card, fmt.Errorf("%s: %w", file, err)
	}
	if probe := valueOf(root.Content[0], "probe"); probe != nil && card.Probe != nil {
		card.Probe.Mended = card.Probe.Stage
		if changed := valueOf(probe, "mended"); changed != nil {
			if err := changed.Decode(&card.Probe.Mended); err != nil && len(problems) == 0 {
				return card, fmt.Errorf("%s: probe.mended: %w", file, err)
			}
		}
	}
	mended := valueOf(root.Content[0], "mended")
	card.Mended.Lab = card.Lab
	if changed := valueOf(mended, "lab"); changed != nil {
		if err := changed.Decode(&card.Mended.Lab); err != nil && len(problems) == 0 {
			return card, fmt.Errorf("%s: mended.lab: %w", file, err)
		}
	}
	for at, part := range map[string]*yaml.Node{"": root.Content[0], "mended.": mended} {
		checkSteps(part, at, report)
		checkLogs(part, at, report)
	}
	if own {
		card.complete(file)
	}
	missing := func(what string) { problems = append(problems, fmt.Errorf("%s: %s is missing", file, what)) }
	if card.Name == "" || card.Name+".yaml" != filepath.Base(file) {
		missing("name, which is the file's without .yaml,")
	}
	for what, text := range map[string]string{"title": card.Title, "explanation": card.Explanation, "fix": card.Fix} {
		if strings.TrimSpace(text) == "" && !own {
			missing(what)
		}
	}
	if (card.Document == "") == (card.Source == "") && !own {
		missing("document, or source: inferred and from what (one of the two)")
	}
	if card.Source != "" && !strings.HasPrefix(card.Source, "inferred") && !own {
		missing("inferred at the beginning of source")
	}
	switch {
	case card.Kind == "note":
		if len(card.Steps) > 0 || card.Profile != "" {
			problems = append(problems, fmt.Errorf("%s: a note has no steps and no profile", file))
		}
	case card.Kind != "":
		problems = append(problems, fmt.Errorf("%s: kind: %q is none: leave it out, or write note", file, card.Kind))
	case card.Profile != "cucm-12.5" && card.Profile != "modern":
		missing("profile, cucm-12.5 or modern,")
	}
	if _, ok := commonness[card.Commonness]; !ok {
		problems = append(problems, fmt.Errorf("%s: commonness: %q is none: leave it out, or write common or rare", file, card.Commonness))
	}
	problems = append(problems, card.checkTells(file)...)
	if card.probed() {
		problems = append(problems, card.Probe.check(file)...)
		if card.Kind != "note" {
			problems = append(problems, fmt.Errorf("%s: a probe is a note's: the lab plays the others", file))
		}
	}
	if len(card.Steps) == 0 && own && card.Kind != "note" {
		missing("steps, such as [start, enroll],")
	}
	for at, e := range map[string]Expect{"": card.Expect, "mended.": card.Mended.Expect} {
		if _, _, err := e.wait(); err != nil {
			problems = append(problems, fmt.Errorf("%s: %sexpect.wait: %w", file, at, err))
		}
	}
	if _, _, err := (Expect{Wait: card.TellsWait}).wait(); err != nil {
		problems = append(problems, fmt.Errorf("%s: tells_wait: %w", file, err))
	}
	return card, errors.Join(problems...)
}

// complete fills in what one's own card may leave out.
func (c *Card) complete(file string) {
	if c.Name == "" {
		c.Name = strings.TrimSuffix(filepath.Base(file), ".yaml")
	}
	if c.Title == "" {
		c.Title = c.Name
	}
	if c.Profile == "" && c.Kind != "note" {
		c.Profile = "cucm-12.5"
	}
}

func (l Logs) all() map[string]string {
	return map[string]string{"nginx": l.NGINX, "ciscora": l.CiscoRA, "capf": l.CAPF, "iis": l.IIS}
}

// checkKeys reports the keys that a struct does not have.
func checkKeys(node *yaml.Node, t reflect.Type, at string, report func(*yaml.Node, string, ...any)) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if node.Kind != yaml.MappingNode || t.Kind() != reflect.Struct {
		return
	}
	fields := map[string]reflect.Type{}
	var names []string
	for f := range t.Fields() {
		if tag := f.Tag.Get("yaml"); tag != "" {
			fields[tag] = f.Type
			names = append(names, tag)
		}
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		field, ok := fields[key.Value]
		if !ok {
			near := ""
			if n := nearest.Name(key.Value, names); n != "" {
				near = ", did you mean " + n + "?"
			}
			report(key, "%s%s: unknown key%s", at, key.Value, near)
			continue
		}
		checkKeys(node.Content[i+1], field, at+key.Value+".", report)
	}
}

func checkSteps(part *yaml.Node, at string, report func(*yaml.Node, string, ...any)) {
	list := valueOf(part, "steps")
	if list == nil {
		return
	}
	for n, node := range list.Content {
		var step Step
		_ = step.UnmarshalYAML(node) // never fails
		switch {
		case !slices.Contains(steps, step.Do):
			near := ""
			if x := nearest.Name(step.Do, steps); x != "" {
				near = ", did you mean " + x + "?"
			}
			report(node, "%ssteps[%d]: unknown step %q%s", at, n, step.Do, near)
		case step.Do == "fault":
			if _, err := fault.Parse(step.Fault); err != nil {
				report(node.Content[1], "%ssteps[%d]: %v", at, n, err)
			}
		}
	}
}

// valueOf is what a mapping has under a key; nil where it has none.
func valueOf(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// checkLogs reports lines that cannot be read.
func checkLogs(part *yaml.Node, at string, report func(*yaml.Node, string, ...any)) {
	logs := valueOf(valueOf(part, "expect"), "logs")
	for _, name := range logNames {
		node := valueOf(logs, name)
		if node == nil || node.Kind != yaml.ScalarNode {
			continue
		}
		for i, line := range lines([]byte(node.Value)) {
			if _, err := compileLine(line); err != nil {
				place := *node
				if node.Style&yaml.LiteralStyle != 0 {
					place.Line += 1 + i // the lines stand below the |
				}
				report(&place, "%sexpect.logs.%s[%d]: %w", at, name, i, err)
			}
		}
	}
}

// wait reads the range of the last enrollment's time; without one any is right.
func (e Expect) wait() (least, most time.Duration, err error) {
	if e.Wait == "" {
		return 0, time.Hour, nil
	}
	low, high, ok := strings.Cut(e.Wait, "..")
	if !ok {
		return 0, 0, fmt.Errorf("%q is no range: write 9s..12s", e.Wait)
	}
	if least, err = time.ParseDuration(low); err != nil {
		return 0, 0, err
	}
	most, err = time.ParseDuration(high)
	return least, most, err
}

// Waits tells whether the card waits for a timer, which takes some 10 s whatever the
// machine: of several cards such a one had better begin first.
func (c Card) Waits() bool {
	return slices.ContainsFunc(c.Steps, func(s Step) bool {
		f, err := fault.Parse(s.Fault)
		return err == nil && slices.Contains([]string{"hang", "stall", "timeout", "delay", "drip"}, f.Kind)
	})
}

// WithoutFix returns the card with its second part as it is where nothing was mended:
// with the first part's lab and faults.
func (c Card) WithoutFix() Card {
	steps := slices.DeleteFunc(slices.Clone(c.Steps), func(s Step) bool { return s.Do != "fault" })
	c.Mended.Lab, c.Mended.Steps = c.Lab, append(steps, c.Mended.Steps...)
	return c
}

// WithoutCause returns the card with all taken away that makes it fail: its faults
// and what is wrong about its lab.
func (c Card) WithoutCause() Card {
	c.Mended = Mended{}
	c.Steps = slices.DeleteFunc(slices.Clone(c.Steps), func(s Step) bool { return s.Do == "fault" || s.Do == "deny" })
	c.Lab = c.Lab.usual()
	if len(c.Lab.CANames) > 0 {
		c.Lab.CAURL = "https://" + c.Lab.CANames[0] + ":443/certsrv"
	}
	return c
}

var newline = []byte("\n")

func lines(data []byte) []string {
	var out []string
	for line := range bytes.SplitSeq(bytes.TrimRight(data, "\n"), newline) {
		out = append(out, string(bytes.TrimRight(line, "\r")))
	}
	if len(out) == 1 && out[0] == "" {
		return nil
	}
	return out
}
