package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ciscora/internal/pattern"
	"ciscora/internal/x501"
)

// oidSyntax is an object identifier in dots.
var oidSyntax = regexp.MustCompile(`^[0-2](\.(0|[1-9]\d{0,9}))+$`)

// sanKinds are the kinds of subject alternative names, as policies have them.
var sanKinds = []string{"dns:", "ip:", "email:", "uri:", "dir:", "oid:", "upn:", "other:"}

// policyUse is a place where a policy holds, and the ways in which clients say there
// who they are.
type policyUse struct {
	key     string // est.policy, est.labels.wifi.policy
	where   string // for a sentence
	policy  string // "" = none
	methods []Authentication
}

// policyUses are the plain path and each label.
func (e *EST) policyUses() []policyUse {
	uses := []policyUse{{"est.policy", "clients without a label", e.Policy, e.Authentication}}
	for _, name := range slices.Sorted(maps.Keys(e.Labels)) {
		label := e.Labels[name]
		use := policyUse{join("est.labels", name) + ".policy", "the label " + name, e.Policy, e.Authentication}
		if label.Policy != "" {
			use.policy = label.Policy
		}
		if len(label.Authentication) > 0 {
			use.methods = label.Authentication
		}
		uses = append(uses, use)
	}
	return uses
}

// known tells whether a client of this use may have what a word stands for.
func (u policyUse) known(word string) bool {
	if word == pattern.User {
		return slices.Contains(u.methods, AuthenticateRelay) || slices.Contains(u.methods, AuthenticateUsers)
	}
	return slices.Contains(u.methods, AuthenticateCertificate)
}

// matches tells whether a pattern can match anything of a client of this use: one method
// has all its words.
func (u policyUse) matches(p *pattern.Pattern) bool {
	words := p.Words()
	if slices.Contains(words, pattern.User) && len(words) > 1 {
		return false // no method has both an account's name and a certificate
	}
	return !slices.ContainsFunc(words, func(word string) bool { return !u.known(word) })
}

func (e *EST) validatePolicies(l *loader) {
	for _, name := range slices.Sorted(maps.Keys(e.Policies)) {
		policy, key := e.Policies[name], join("est.policies", name)
		uses := slices.DeleteFunc(e.policyUses(), func(u policyUse) bool { return u.policy != name })
		groups := 0
		if policy.Identity != "" {
			var able bool
			if groups, able = validateIdentity(l, key+".identity", policy.Identity, uses); !able {
				uses = nil // said once
			}
		}
		subject, good := validatePatterns(l, key+".subject", policy.Subject, groups, subjectPrefix, uses)
		validatePatterns(l, key+".san", policy.SAN, groups, sanPrefix, uses)
		for at, oids := range map[string][]string{".forbid": policy.Forbid, ".allow": policy.Allow} {
			for i, oid := range oids {
				if !oidSyntax.MatchString(oid) {
					l.report(key+at+"["+strconv.Itoa(i)+"]", "%q is no object identifier, write it as 1.2.3", oid)
				}
			}
		}
		for _, use := range uses {
			if policy.Identity != "" && !use.known(pattern.CN) {
				l.report(use.key, "the policy %q refuses everybody here: its identity is the common name of a client's certificate, and %s takes %s", name, use.where, theMethods(use.methods))
				continue
			}
			if good && len(subject) > 0 && !slices.ContainsFunc(subject, use.matches) {
				l.report(use.key, "the policy %q refuses everybody here: its subjects name what no client of %s has, which says who it is by %s", name, use.where, theMethods(use.methods))
			}
		}
	}
}

func theMethods(methods []Authentication) string {
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}

// validateIdentity returns how many groups the pattern has, and whether it can match.
func validateIdentity(l *loader, key, text string, uses []policyUse) (groups int, able bool) {
	re, err := pattern.Whole(text)
	if err != nil {
		l.report(key, "%v", err)
		return 99, false // what the others refer to is not known
	}
	if len(uses) > 0 && !slices.ContainsFunc(uses, func(u policyUse) bool { return u.known(pattern.CN) }) {
		l.report(key, "can never match: only clients of certificate have a common name, and %s takes %s", uses[0].where, theMethods(uses[0].methods))
		return re.NumSubexp(), false
	}
	return re.NumSubexp(), true
}

// escapedSeparator is a backslash, quoted, before what divides attributes.
var escapedSeparator = regexp.MustCompile(`\\\\(?:\\?[,+]|\[[,+]\])`)

// validatePatterns returns those that can match somewhere, and whether all were good.
func validatePatterns(l *loader, key string, texts []string, groups int, begins func(string, bool) string, uses []policyUse) (patterns []*pattern.Pattern, good bool) {
	good = true
	for i, text := range texts {
		at := key + "[" + strconv.Itoa(i) + "]"
		p, err := pattern.Compile(text, groups)
		if err != nil {
			l.report(at, "%v", err)
			good = false
			continue
		}
		patterns = append(patterns, p)
		words := p.Words()
		if strings.HasSuffix(key, ".subject") && escapedSeparator.MatchString(text) {
			good = false
			l.report(at, "can never match: a comma, plus or backslash that is a value's is written \\2C, \\2B or \\5C, in a pattern with two backslashes")
		}
		plain, whole := p.Begin()
		switch why := begins(plain, whole); {
		case why != "":
			l.report(at, "can never match: %s", why)
			good = false
		case slices.Contains(words, pattern.SAN) && slices.ContainsFunc(sanKinds, func(kind string) bool { return strings.HasPrefix(plain, kind) }):
			l.report(at, "can never match: {san} stands for a whole name, with its kind, so write it alone")
			good = false
		case slices.Contains(words, pattern.User) && len(words) > 1:
			l.report(at, "can never match: no client has both an account's name, {user}, and a certificate, {%s}", slices.DeleteFunc(words, func(w string) bool { return w == pattern.User })[0])
			good = false
		case len(uses) > 0 && !slices.ContainsFunc(uses, func(u policyUse) bool { return u.matches(p) }):
			l.report(at, "can never match: no client has what {%s} stands for where %s takes %s", words[0], uses[0].where, theMethods(uses[0].methods))
			good = false
		}
	}
	return patterns, good
}

// subjectPrefix says why no subject begins so, "" where one may.
func subjectPrefix(begin string, whole bool) string {
	attribute, _, full := strings.Cut(begin, "=")
	switch {
	case begin == "":
		return ""
	case full && !slices.Contains(x501.Labels(), attribute) && strings.Trim(attribute, "0123456789.") != "",
		!full && whole,
		!full && !slices.ContainsFunc(x501.Labels(), func(label string) bool { return strings.HasPrefix(label, attribute) }) && strings.Trim(attribute, "0123456789.") != "":
		return fmt.Sprintf("a subject begins with an attribute, as in CN=SEP001122334455, and not with %q", begin)
	}
	return ""
}

// sanPrefix says why no alternative name begins so, "" where one may.
func sanPrefix(begin string, whole bool) string {
	if begin == "" || !whole && slices.ContainsFunc(sanKinds, func(kind string) bool { return strings.HasPrefix(kind, begin) }) ||
		slices.ContainsFunc(sanKinds, func(kind string) bool { return strings.HasPrefix(begin, kind) }) {
		return ""
	}
	return fmt.Sprintf("a name begins with its kind, one of %s, and not with %q", strings.Join(sanKinds, " "), begin)
}

// Warnings are what is no mistake and yet worth a thought: who has any certificate of the
// trust store may ask for any name. They are in the order of the file.
func (c *RA) Warnings() []Problem {
	var all Problems
	for _, use := range c.EST.policyUses() {
		if !slices.Contains(use.methods, AuthenticateCertificate) {
			continue
		}
		policy := c.EST.Policies[use.policy]
		var open []string
		if wide(policy.Subject, "CN=Administrator", "CN=dc.example.com") {
			open = append(open, "subject")
		}
		if wide(policy.SAN, "dns:dc.example.com", "uri:https://dc.example.com/", "email:administrator@example.com") {
			open = append(open, "san")
		}
		if len(open) > 0 {
			all = append(all, c.source.problem(use.key, &openNames{use.where, open}))
		}
	}
	_ = all.asError() // for its order
	return all
}

// openNames says that certificate clients may ask for any name.
type openNames struct {
	where string
	keys  []string
}

func (o *openNames) Error() string {
	kind := map[string]string{"subject": "subject", "san": "alternative names"}
	named := kind[o.keys[0]]
	if len(o.keys) > 1 {
		named += " and " + kind[o.keys[1]]
	}
	return "who has a certificate of any CA in est.trust may ask for any " + named + " (" + o.where +
		"): tie them with a policy, as subject: ['CN={cn}'], san: ['{san}']"
}

// wide tells whether patterns take one of these names, from whomever.
func wide(texts []string, names ...string) bool {
	if len(texts) == 0 {
		return true
	}
	return slices.ContainsFunc(texts, func(text string) bool {
		p, err := pattern.Compile(text, 99)
		if err != nil || len(p.Words()) > 0 {
			return false
		}
		re := p.For(func(string) []string { return nil })
		return re != nil && slices.ContainsFunc(names, re.MatchString)
	})
}
