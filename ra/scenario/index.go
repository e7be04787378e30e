package scenario

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Index writes the page that leads from what a log says to the failures that may be
// behind it, docs/failures.md.
func Index(cards []Card) string {
	var b strings.Builder
	b.WriteString("# Failures, as the logs show them\n\n" +
		"F1 to F9 are failures that Cisco's \"Troubleshooting CAPF Online CA\" for CUCM 12.5 shows, \"the document\"; the others are inferred, and each\n" +
		"page says from what. [reference/README.md](reference/README.md) explains both, [reference/logs.md](reference/logs.md) tells of each line whether\n" +
		"it is documented or reconstructed. Each but some notes can be played: `ra scenario run NAME`. These pages are written from the scenarios' cards by\n" +
		"`go test ./ra/scenario -update`; one of them is also `ra scenario show NAME`. In the lines, what stands in braces differs from run to run, and\n" +
		"`...` stands for other lines.\n")
	for _, log := range []string{"nginx", "capf", "iis"} {
		fmt.Fprintf(&b, "\n## %s: from the line to the cause\n", logTitles[log])
		found := candidates(cards, log)
		for _, symptom := range slices.Sorted(maps.Keys(found)) {
			fmt.Fprintf(&b, "\n`%s`\n\n", symptom)
			for _, c := range found[symptom] {
				fmt.Fprintf(&b, "- %s: %s", pageLink(c.Name), c.Title)
				if apart := tellsApart(c, found[symptom]); apart != "" {
					fmt.Fprintf(&b, ". %s", apart)
				}
				b.WriteString("\n")
			}
		}
	}
	b.WriteString("\n## All of them\n\n| failure | from | what it is |\n|---|---|---|\n")
	for _, c := range cards {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", pageLink(c.Name), c.origin(), c.Title)
	}
	return b.String()
}

// pageLink links to a card's page from the folder above.
func pageLink(card string) string { return "[" + card + "](failures/" + card + ".md)" }

// candidates are the cards by the lines of a log that tell of a failure.
func candidates(cards []Card, log string) map[string][]Card {
	found := map[string][]Card{}
	for _, c := range cards {
		for _, line := range said(c, log) {
			if tellsOfFailure[log].MatchString(line) {
				found[line] = append(found[line], c)
			}
		}
	}
	return found
}

var tellsOfFailure = map[string]*regexp.Regexp{
	"nginx": regexp.MustCompile(`with return code|^\*\*\*EST \[WARNING\]\[est_http_request`),
	"capf":  regexp.MustCompile(`Enrollment rv = [1-9]`),
	// Whatever is no step of a log-in and no page: 401 1 2148074254 asks for the
	// log-in, 301 leads to the pages.
	"iis": regexp.MustCompile(` (40[0-9]|5\d\d) (\d+) (\d+) |(200|0) \d+ [1-9]\d* `),
}

// said are the lines that a card expects of a log, without what stands before and
// behind what they say; each once.
func said(c Card, log string) []string {
	var out []string
	for _, line := range lines([]byte(c.Expect.Logs.all()[log])) {
		if log == "iis" && strings.Contains(line, " 401 1 2148074254 ") {
			continue
		}
		line = ornament.ReplaceAllString(line, "")
		if line != others && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

var ornament = regexp.MustCompile(`^\{time\} \[\w+\] \{pid\}#0: (\*\{connection\} )?|^nginx: \[\w+\] |` +
	` while SSL EST handshaking, client: .*$|^\{clock\} \| debug (\{index\}:\{phone\}:)?|^\{date\} \{address\} `)

// tellsApart says what tells of a card's failure and of no other's with the same line;
// where no log does, what it comes from. "" where there is no other.
func tellsApart(card Card, all []Card) string {
	if len(all) == 1 {
		return ""
	}
	for _, log := range logNames {
		for _, line := range said(card, log) {
			tells, ok := tellsOfFailure[log]
			if ok && tells.MatchString(line) && !slices.ContainsFunc(all, func(c Card) bool { return c.Name != card.Name && slices.Contains(said(c, log), line) }) {
				return fmt.Sprintf("Only here, %s: `%s`.", logTitles[log], line)
			}
		}
	}
	if card.Expect.Says != "" {
		return fmt.Sprintf("The answer says %q.", card.Expect.Says)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(card.Explanation), ". ")
	return strings.TrimSuffix(first, ".") + "."
}
