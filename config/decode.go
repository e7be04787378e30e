package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// decoder sets a configuration from a YAML tree. It does so itself, rather than
// by yaml's own decoding, to find all problems at once, each with its key's
// path and column, and to say them without the names of Go types.
type decoder struct {
	source   *source
	root     reflect.Type
	problems Problems
}

func (d *decoder) report(key, format string, args ...any) {
	d.problems = append(d.problems, d.source.problem(key, fmt.Errorf(format, args...)))
}

func (d *decoder) remember(key string, n *yaml.Node) {
	d.source.places[key] = Place{File: d.source.file, Line: n.Line, Column: n.Column}
}

// decode sets v, which stands at key, from n. The tag is that of the struct's
// field in which v, or the list that v is in, is kept.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		d.report(key, "anchors, aliases and tags are not taken: a value that begins with &, * or ! must be quoted")
		return
	}
	switch {
	case isScalar(v.Type()):
		d.scalar(n, v, key, tag)
	case isNull(n):
		// All keys below are commented out: as if this one were, too.
	case v.Kind() == reflect.Struct:
		d.mapping(n, key, func(name *yaml.Node, value *yaml.Node) { d.field(name, value, v, key) })
	case v.Kind() == reflect.Map:
		entries := reflect.MakeMap(v.Type())
		d.mapping(n, key, func(name *yaml.Node, value *yaml.Node) {
			entry := newElement(v.Type())
			d.decode(value, entry, join(key, name.Value), tag)
			d.required(value, entry, join(key, name.Value))
			entries.SetMapIndex(reflect.ValueOf(name.Value), entry)
		})
		v.SetZero()
		if entries.Len() > 0 {
			v.Set(entries)
		}
	default:
		d.list(n, v, key, tag)
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.report(key, "want one value, not a %s", kindName(n))
	case isNull(n):
		d.report(key, "has no value, write one or remove the key")
	default:
		if err := setScalar(v, n.Value, tag); err != nil {
			d.report(key, "%w", err)
		}
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	if n.Kind != yaml.SequenceNode {
		d.report(key, "want a list, not %s: write it as [a, b]", article(kindName(n)))
		return
	}
	v.SetZero()
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", key, i)
		d.remember(at, item)
		element := newElement(v.Type())
		d.decode(item, element, at, tag)
		d.required(item, element, at)
		if element.Kind() == reflect.String && element.IsZero() && !d.reported(at) {
			d.report(at, "is empty, write a value or remove it")
		}
		v.Set(reflect.Append(v, element))
	}
}

// mapping calls each for the keys of n, once their form is checked.
func (d *decoder) mapping(n *yaml.Node, key string, each func(name, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.report(key, "want keys with values, not %s", article(kindName(n)))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		at := join(key, name.Value)
		first, twice := seen[name.Value]
		if !twice {
			d.remember(at, name)
		}
		switch {
		case name.Kind != yaml.ScalarNode:
			d.remember(key, name)
			d.report(key, "a key must be one word, not %s", article(kindName(name)))
		case twice:
			d.problems = append(d.problems, Problem{
				Place: Place{File: d.source.file, Line: name.Line, Column: name.Column},
				Key:   at,
				Err:   fmt.Errorf("given twice, first in line %d, remove one", first),
			})
		default:
			seen[name.Value] = name.Line
			each(name, value)
		}
	}
}

func (d *decoder) field(name, value *yaml.Node, v reflect.Value, key string) {
	at := join(key, name.Value)
	for f, fv := range fields(v) {
		if f.Tag.Get("yaml") == name.Value {
			d.decode(value, fv, at, f.Tag)
			return
		}
	}
	d.report(at, "unknown key, %s", d.suggestKey(name.Value, v, key))
}

// suggestKey returns the nearest of a struct's keys, or, where the very key is
// known elsewhere and only there, its path. In elements of lists and maps it
// does not look elsewhere.
func (d *decoder) suggestKey(name string, v reflect.Value, key string) string {
	var here, elsewhere []string
	for f := range fields(v) {
		here = append(here, f.Tag.Get("yaml"))
	}
	element := true
	for path := range leaves(reflect.New(d.root).Elem()) {
		element = element && !below(path, key)
		if strings.HasSuffix(path, "."+name) {
			elsewhere = append(elsewhere, path)
		}
	}
	if len(elsewhere) == 1 && !element {
		return "did you mean " + elsewhere[0] + "?"
	}
	return Suggest(name, here, "known here are")
}

// required reports the keys that an element of a list or a map lacks.
func (d *decoder) required(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode && !isNull(n) || v.Kind() != reflect.Struct {
		return
	}
	for f, fv := range fields(v) {
		d.requireValue(join(key, f.Tag.Get("yaml")), leaf{fv, f.Tag})
	}
}

// requireValue reports a required key that is absent or empty, unless something
// else was wrong with it or with all of the group that it is in.
func (d *decoder) requireValue(key string, v leaf) {
	if v.tag.Get("required") == "" || !v.IsZero() {
		return
	}
	if d.reported(key) || slices.ContainsFunc(d.problems, func(p Problem) bool { return below(key, p.Key) }) {
		return
	}
	if _, given := d.source.places[key]; given {
		d.report(key, "is empty, write a value")
		return
	}
	d.report(key, "is required, and is not there")
}

// reported tells whether something is wrong with a key or one below it.
func (d *decoder) reported(key string) bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool { return p.Key == key || below(p.Key, key) })
}

// below tells whether a key is in the group, list or map of another.
func below(key, above string) bool {
	rest, ok := strings.CutPrefix(key, above)
	return ok && (above == "" || strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "["))
}

// setScalar sets v from text, as it stands in a file or in the environment. Its
// errors say what is wrong with the text, and the remedy.
func setScalar(v reflect.Value, text string, tag reflect.StructTag) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch {
	case v.Type() == durationType:
		duration, err := parseDuration(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(duration))
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
	case v.Kind() == reflect.Int:
		n, err := strconv.ParseInt(text, 10, 32)
		if errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("%s is out of range", text)
		}
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		v.SetInt(n)
	default:
		if known := strings.Fields(tag.Get("enum")); len(known) > 0 && !slices.Contains(known, text) {
			return fmt.Errorf("%q is not known, %s", text, Suggest(text, known, "want one of"))
		}
		v.SetString(text)
	}
	return nil
}

var (
	durationType        = reflect.TypeFor[time.Duration]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		return true
	}
	return reflect.PointerTo(t).Implements(textUnmarshalerType)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// newElement returns a new element for a list or map type, with its defaults.
func newElement(list reflect.Type) reflect.Value {
	e := reflect.New(list.Elem())
	if d, ok := e.Interface().(interface{ setDefaults() }); ok {
		d.setDefaults()
	}
	return e.Elem()
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "group of keys"
	case yaml.SequenceNode:
		return "list"
	default:
		return "single value"
	}
}

func article(noun string) string { return "a " + noun }
