package config

import (
	_ "embed"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

//go:embed default.yaml
var defaultYAML string

//go:embed default_certsrv.yaml
var defaultCertsrvYAML string

// DefaultYAML returns ra.yaml with all keys, their defaults in the profile
// modern, and comments. The required keys hold examples.
func DefaultYAML() string { return defaultYAML }

// DefaultCertsrvYAML returns certsrv.yaml in the same way.
func DefaultCertsrvYAML() string { return defaultCertsrvYAML }

// Schema returns a JSON Schema (draft 2020-12) of ra.yaml for editors, indented.
// It knows keys, types and words; [LoadRA] knows more.
func Schema() []byte {
	return schema("ra.yaml", reflect.ValueOf(Default(ProfileModern)), defaultYAML)
}

// CertsrvSchema returns a JSON Schema of certsrv.yaml in the same way.
func CertsrvSchema() []byte {
	return schema("certsrv.yaml", reflect.ValueOf(DefaultCertsrv()), defaultCertsrvYAML)
}

func schema(title string, v reflect.Value, manual string) []byte {
	root, err := parseYAML([]byte(manual))
	if err != nil {
		panic("config: embedded " + title + ": " + err.Error())
	}
	s := schemaOf(v, root, "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: schema of " + title + ": " + err.Error()) // it holds maps, strings and booleans alone
	}
	return append(data, '\n')
}

// schemaOf describes v, whose defaults it holds. The descriptions of its keys
// are the comments that stand above them in the manual, a YAML tree which may
// be nil.
func schemaOf(v reflect.Value, manual *yaml.Node, tag reflect.StructTag) map[string]any {
	t := v.Type()
	switch {
	case isScalar(t):
		return scalarSchema(t, tag)
	case t.Kind() == reflect.Slice:
		s := map[string]any{"type": []string{"array", "null"}, "items": schemaOf(newElement(t), nil, tag)}
		if tag.Get("required") != "" {
			s["type"], s["minItems"] = "array", 1
		}
		return s
	case t.Kind() == reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": schemaOf(newElement(t), nil, tag)}
	}
	properties := map[string]any{}
	var required []string
	for f, fv := range fields(v) {
		name := f.Tag.Get("yaml")
		comment, below := lookup(manual, name)
		property := schemaOf(fv, below, f.Tag)
		if comment != "" {
			property["description"] = comment
		}
		if isScalar(fv.Type()) && !fv.IsZero() {
			property["default"] = schemaValue(fv)
		}
		properties[name] = property
		if f.Tag.Get("required") != "" {
			required = append(required, name)
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		s["required"] = required
	}
	return s
}

func scalarSchema(t reflect.Type, tag reflect.StructTag) map[string]any {
	switch {
	case t == reflect.TypeFor[Size](), t == reflect.TypeFor[Renewal]():
		return map[string]any{"type": []string{"string", "integer"}}
	case t == reflect.TypeFor[TLSVersion]():
		names := []string{}
		for _, v := range tlsVersions {
			names = append(names, v.name)
		}
		return map[string]any{"type": "string", "enum": names}
	case t == durationType:
		return map[string]any{"type": "string", "pattern": `^([0-9]+d|0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$`}
	case t == reflect.TypeFor[NTHash]():
		return map[string]any{"type": "string", "pattern": "^[0-9A-Fa-f]{32}$"}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.Int:
		return map[string]any{"type": "integer"}
	}
	s := map[string]any{"type": "string"}
	if words := strings.Fields(tag.Get("enum")); len(words) > 0 {
		s["enum"] = words
	}
	if tag.Get("required") != "" {
		s["minLength"] = 1
	}
	return s
}

func schemaValue(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool()
	case reflect.Int:
		if v.Type() != reflect.TypeFor[Renewal]() {
			return v.Int()
		}
	}
	return scalarText(v)
}

// lookup returns the comment above a key, as one line, and the key's value; the
// zero values where the manual does not have it.
func lookup(manual *yaml.Node, name string) (comment string, value *yaml.Node) {
	if manual == nil || manual.Kind != yaml.MappingNode {
		return "", nil
	}
	for i := 0; i+1 < len(manual.Content); i += 2 {
		if key := manual.Content[i]; key.Value == name {
			lines := strings.Split(key.HeadComment, "\n")
			// What an empty line separates from the key is about something else.
			if cut := slices.Index(lines, ""); cut >= 0 {
				lines = lines[cut+1:]
			}
			for i := range lines {
				lines[i] = strings.TrimSpace(strings.TrimPrefix(lines[i], "#"))
			}
			return strings.Join(lines, " "), manual.Content[i+1]
		}
	}
	return "", nil
}
