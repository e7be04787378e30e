package policy

import (
	"crypto/x509"
	"regexp"
	"strconv"

	"ciscora/internal/pattern"
	"ciscora/internal/x501"
)

// Asker is who asks, as far as a policy may tie a CSR to it.
type Asker struct {
	User  string            // the account's name; "" without one
	CN    string            // the only common name of its certificate; "" without one
	Names []AlternativeName // its certificate's
}

// AskerOf is somebody with a client certificate. One with several common names has none
// that could be relied upon, and names that cannot be read are none.
func AskerOf(certificate *x509.Certificate) Asker {
	var a Asker
	if name, err := x501.Parse(certificate.RawSubject); err == nil {
		if names := name.All(x501.CommonName); len(names) == 1 {
			a.CN = names[0]
		}
	}
	if names, err := alternativeNames(extension(certificate.Extensions, oidSubjectAltName)); err == nil {
		a.Names = names
	}
	return a
}

// values are what the words of a pattern stand for, each written as the text to be
// matched has it.
func (a Asker) values(groups []string, write func(string) string, name func(AlternativeName) string) func(string) []string {
	of := func(value string) []string {
		if value == "" {
			return nil
		}
		return []string{write(value)}
	}
	return func(word string) (all []string) {
		switch word {
		case pattern.User:
			return of(a.User)
		case pattern.CN:
			return of(a.CN)
		case pattern.SAN:
			for _, n := range a.Names {
				all = append(all, name(n))
			}
			return all
		}
		if n, err := strconv.Atoi(word); err == nil && n < len(groups) {
			return of(groups[n])
		}
		return nil
	}
}

// matcher are a policy's patterns, for one asker.
type matcher struct {
	subject, names []*regexp.Regexp
	several        []*regexp.Regexp // for names with several attributes in an RDN
}

// forName are the patterns for an alternative name.
func (m matcher) forName(name AlternativeName) []*regexp.Regexp {
	if name.several {
		return m.several
	}
	return m.names
}

// matcherFor are the patterns for a subject and its asker. An RDN with several
// attributes, of the subject or of a directory name, is taken by those alone that speak of
// a plus: [^,]+ is meant to be one.
func (p Policy) matcherFor(who Asker, subject x501.Name) (matcher, *Refusal) {
	var groups []string
	if p.Identity != nil {
		if who.CN != "" {
			groups = p.Identity.FindStringSubmatch(who.CN)
		}
		if groups == nil {
			return matcher{}, notAllowed("the common name %q of its client's certificate is not one for this service", who.CN)
		}
	}
	same := func(s string) string { return s }
	inSubject := who.values(groups, x501.Escape, func(n AlternativeName) string { return x501.Escape(n.Text) })
	inName := who.values(groups, same, AlternativeName.String)
	var m matcher
	for _, one := range p.Subject {
		if subject.Several() && !one.HasPlus() {
			m.subject = append(m.subject, nil)
			continue
		}
		m.subject = append(m.subject, one.For(inSubject))
	}
	for _, one := range p.SAN {
		names := one.For(inName)
		m.names = append(m.names, names)
		if !one.HasPlus() {
			names = nil
		}
		m.several = append(m.several, names)
	}
	return m, nil
}
