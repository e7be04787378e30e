package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ciscora/internal/peertest"
)

var (
	// A file of ours that a comment or a page names, with the sections that follow.
	citation = regexp.MustCompile(`(?:[\w.-]+/)*[\w-]+\.md\b((?:,? (?:and |to )?(?:fact )?(?:\d+(?:\.\d+)*\b|L\d+\b|F\d+\b)|, (?:and )?"[^"]+"| \("[^"]+")*)`)
	section  = regexp.MustCompile(`fact \d+|\d+(?:\.\d+)*|L\d+|F\d+|"[^"]+"`)
	link     = regexp.MustCompile(`\]\(([^)#\s]+)(?:#([\w-]+))?\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	unlinked = regexp.MustCompile(`[^\w\- ]`) // what a heading's anchor has nothing of
	lineHead = regexp.MustCompile(`(?m)^[ \t]*(?://|#)?[ \t]*`)
	blanks   = regexp.MustCompile(`\s+`)
)

// Whoever follows a comment to its source must find it: each page that is cited in the
// repository is there, and each section that is cited of it.
func TestEveryCitationIsThere(t *testing.T) {
	peertest.Unraced(t)
	root := filepath.Join("..", "..")
	seen := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name == ".git" || name == "fuzz" {
				return filepath.SkipDir
			}
			return nil
		}
		if !slices.Contains([]string{".go", ".yaml", ".md", ".txt", ".txtar", ".mod"}, filepath.Ext(path)) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen += checkCitations(t, root, path, string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100 {
		t.Errorf("only %d citations seen: are the files read?", seen)
	}
}

// checkCitations looks up what one file cites, and tells how much that is.
func checkCitations(t *testing.T, root, path, text string) int {
	t.Helper()
	flat := blanks.ReplaceAllString(lineHead.ReplaceAllString(text, ""), " ")
	seen := 0
	for _, at := range citation.FindAllStringSubmatchIndex(flat, -1) {
		if at[0] > 0 && strings.ContainsRune(`/*"'%`, rune(flat[at[0]-1])) {
			continue // of an address, a pattern, a string
		}
		name, sections := flat[at[0]:at[2]], flat[at[2]:at[3]]
		seen++
		page, found := cited(root, path, name)
		if !found {
			t.Errorf("%s cites %s, which is not in the repository", path, name)
			continue
		}
		for _, s := range section.FindAllString(sections, -1) {
			if !hasSection(page, s) {
				t.Errorf("%s cites %s of %s, which has no such section", path, s, name)
			}
		}
	}
	if filepath.Ext(path) == ".md" {
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			target := filepath.Join(filepath.Dir(path), l[1])
			if _, err := os.Stat(target); err != nil && !strings.Contains(l[1], "://") {
				t.Errorf("%s links to %s, which is not there", path, l[1])
			}
			if l[2] != "" && strings.HasSuffix(target, ".md") && !hasAnchor(t, target, l[2]) {
				t.Errorf("%s links to %s of %s, which has no such heading", path, l[2], l[1])
			}
		}
	}
	return seen
}

// hasAnchor looks for the heading that a link leads to.
func hasAnchor(t *testing.T, page, anchor string) bool {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		return false
	}
	for _, h := range heading.FindAllStringSubmatch(string(text), -1) {
		if strings.ReplaceAll(unlinked.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

// cited is the text of a page by its name: from the root, from docs, whose generated pages link within it, or from where it is cited.
func cited(root, path, name string) (string, bool) {
	for _, dir := range []string{root, filepath.Dir(path), filepath.Join(root, "docs")} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return string(text), true
		}
	}
	return "", false
}

// hasSection looks for a numbered heading (5.4), a row of a table (L4, F6), an item of
// a numbered list (fact 6), or words that head something or stand on the page.
func hasSection(page, s string) bool {
	switch {
	case s[0] == '"':
		return strings.Contains(blanks.ReplaceAllString(page, " "), strings.Trim(s, `"`))
	case s[0] == 'L', s[0] == 'F':
		return strings.Contains(page, "\n| "+s+" |")
	case strings.HasPrefix(s, "fact "):
		return strings.Contains(page, "\n"+strings.TrimPrefix(s, "fact ")+". ")
	default:
		return regexp.MustCompile(`(?m)^#+ ` + regexp.QuoteMeta(s) + `\.? `).MatchString(page)
	}
}
