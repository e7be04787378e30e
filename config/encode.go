package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"
)

// YAML writes the configuration as ra.yaml, which [LoadRA] reads back. Paths
// stand there as they are in c. Keys that are empty, and would be without being
// set, are left out.
func (c RA) YAML() ([]byte, error) {
	d := Default(c.Profile)
	d.Profile = "" // always written
	return dump(encode(reflect.ValueOf(c), reflect.ValueOf(d)))
}

// YAML writes the configuration as certsrv.yaml, as [RA.YAML] does ra.yaml. NT
// hashes are written: the file must then be mode 0600.
func (c Certsrv) YAML() ([]byte, error) {
	return dump(encode(reflect.ValueOf(c), reflect.ValueOf(DefaultCertsrv())))
}

func dump(n *yaml.Node) ([]byte, error) {
	data, err := yaml.Dump(n)
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return data, nil
}

// encode returns v as a YAML tree. The defaults are those of v, or the zero
// Value where there are none; what is empty in both is left out.
func encode(v, defaults reflect.Value) *yaml.Node {
	switch {
	case isScalar(v.Type()):
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: scalarTag(v), Value: scalarText(v)}
	case v.Kind() == reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for f, fv := range fields(v) {
			var d reflect.Value
			if defaults.IsValid() {
				d = defaults.FieldByIndex(f.Index)
			}
			if empty(fv) && (!d.IsValid() || empty(d)) {
				continue
			}
			n.Content = append(n.Content, text(f.Tag.Get("yaml")), encode(fv, d))
		}
		return n
	case v.Kind() == reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, key := range slices.Sorted(maps.Keys(keys(v))) {
			n.Content = append(n.Content, text(key), encode(v.MapIndex(reflect.ValueOf(key)), newElement(v.Type())))
		}
		return n
	default:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if v.Len() == 0 || isScalar(v.Type().Elem()) {
			n.Style = yaml.FlowStyle
		}
		for i := range v.Len() {
			n.Content = append(n.Content, encode(v.Index(i), newElement(v.Type())))
		}
		return n
	}
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

func keys(m reflect.Value) map[string]bool {
	set := map[string]bool{}
	for _, k := range m.MapKeys() {
		set[k.String()] = true
	}
	return set
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct:
		for _, fv := range fields(v) {
			if !empty(fv) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

// scalarTag makes the emitter quote a string that would else be read as a
// number or a boolean.
func scalarTag(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		return "!!bool"
	case reflect.Int:
		if v.Type() != reflect.TypeFor[Renewal]() {
			return "!!int"
		}
	}
	return "!!str"
}

// scalarText returns what setScalar reads.
func scalarText(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return formatDuration(value)
	case Secret:
		return string(value)
	case NTHash:
		return value.hexadecimal()
	case encoding.TextMarshaler:
		b, _ := value.MarshalText() // ours never fail
		return string(b)
	case bool:
		return strconv.FormatBool(value)
	case int:
		return strconv.Itoa(value)
	}
	return v.String()
}
