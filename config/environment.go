package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"ciscora/internal/nearest"
)

// CheckEnvironment says which variables of an environment, NAME=VALUE each as from
// [os.Environ], were meant for a configuration and are none: a misspelt one would do
// nothing, silently. Variables of others that begin with RA_ are left alone.
func CheckEnvironment(environ []string) error {
	names, keys := variables()
	var problems []error
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" || !strings.HasPrefix(name, "RA_") || slices.Contains(names, name) || ofService.MatchString(name) {
			continue
		}
		if key, ok := keys[name]; ok {
			problems = append(problems, fmt.Errorf("%s: %s has no variable, since it is a list or a secret: set it in the file", name, key))
			continue
		}
		switch near := nearest.Name(name, names); {
		case near != "":
			problems = append(problems, fmt.Errorf("%s: no key has this variable, did you mean %s?", name, near))
		case slices.ContainsFunc(names, func(known string) bool { return sectionOf(known) == sectionOf(name) }):
			problems = append(problems, fmt.Errorf("%s: no key has this variable: see ra config default for the keys, of which ca.template is RA_CA_TEMPLATE", name))
		}
	}
	return errors.Join(problems...)
}

// ofService are the variables that Kubernetes sets in each container for a Service,
// whose name may well be ra.
var ofService = regexp.MustCompile(`^RA(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// sectionOf is what a variable begins with: RA_EST_ of RA_EST_LISTEN.
func sectionOf(name string) string {
	parts := strings.SplitAfterN(name, "_", 3)
	if len(parts) < 3 {
		return name
	}
	return parts[0] + parts[1]
}

// variables are the names of all variables, and the keys that have none by the name
// that theirs would be.
func variables() (names []string, without map[string]string) {
	ra, certsrv := Default(ProfileModern), DefaultCertsrv()
	without = map[string]string{}
	for prefix, root := range map[string]reflect.Value{"RA": reflect.ValueOf(&ra).Elem(), "RA_CERTSRV": reflect.ValueOf(&certsrv).Elem()} {
		for key, v := range leaves(root) {
			name := variable(prefix, key)
			if isScalar(v.Type()) {
				names = append(names, name)
			} else {
				without[name] = key
			}
		}
	}
	slices.Sort(names)
	return names, without
}
