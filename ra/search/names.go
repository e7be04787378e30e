package search

import (
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"ciscora/internal/x501"
)

// attributesOf returns the attributes of a name in DER, sorted, as "type=value". The
// string type is left out, and blanks at the ends: a CA writes names in its own way.
func attributesOf(der []byte) ([]string, error) {
	name, err := x501.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("the name cannot be read: %w", err)
	}
	var attributes []string
	for _, rdn := range name {
		for _, a := range rdn {
			attributes = append(attributes, a.Type.String()+"="+strings.TrimSpace(a.Text))
		}
	}
	slices.Sort(attributes)
	return attributes, nil
}

func orTrailing(err error) error {
	if err == nil {
		return asn1.StructuralError{Msg: "bytes follow it"}
	}
	return err
}

// alternativeNames returns the names of a subjectAltName extension's value, in DER
// each, sorted; none for an absent one.
func alternativeNames(der []byte) ([]string, error) {
	if len(der) == 0 {
		return nil, nil
	}
	var list []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("the alternative names cannot be read: %w", orTrailing(err))
	}
	names := make([]string, len(list))
	for i, n := range list {
		names[i] = string(n.FullBytes)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// sameNames tells whether a certificate's names are those that were asked for. A CA
// may leave out attributes of the subject that its SubjectTemplate does not list,
// never a common name, and adds none.
func sameNames(askedSubject, gotSubject, askedAlternative, gotAlternative []byte) bool {
	asked, err := attributesOf(askedSubject)
	if err != nil {
		return false
	}
	got, err := attributesOf(gotSubject)
	if err != nil {
		return false
	}
	const commonName = "2.5.4.3="
	for _, a := range asked {
		if strings.HasPrefix(a, commonName) && !slices.ContainsFunc(got, func(g string) bool { return strings.EqualFold(a, g) }) {
			return false
		}
	}
	for _, g := range got {
		if !slices.ContainsFunc(asked, func(a string) bool { return strings.EqualFold(a, g) }) {
			return false
		}
	}
	if (len(asked) == 0) != (len(got) == 0) {
		return false
	}
	askedNames, err := alternativeNames(askedAlternative)
	if err != nil {
		return false
	}
	gotNames, err := alternativeNames(gotAlternative)
	return err == nil && slices.Equal(askedNames, gotNames)
}
