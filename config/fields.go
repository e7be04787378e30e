package config

import (
	"iter"
	"reflect"
)

// fields yields the keys of a struct with their values, in the order of the
// type; those of an embedded struct are its own.
func fields(v reflect.Value) iter.Seq2[reflect.StructField, reflect.Value] {
	return func(yield func(reflect.StructField, reflect.Value) bool) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Anonymous {
				for f, fv := range fields(v.Field(i)) {
					f.Index = append([]int{i}, f.Index...)
					if !yield(f, fv) {
						return
					}
				}
			}
			if f.Tag.Get("yaml") != "" && !yield(f, v.Field(i)) {
				return
			}
		}
	}
}

// leaf is a key that is not a group of keys.
type leaf struct {
	reflect.Value
	tag reflect.StructTag
}

// leaves yields the paths of a struct's keys that are no groups of keys, with
// their values: scalars, lists and maps.
func leaves(v reflect.Value) iter.Seq2[string, leaf] {
	return func(yield func(string, leaf) bool) {
		walk(v, "", yield)
	}
}

func walk(v reflect.Value, key string, yield func(string, leaf) bool) bool {
	for f, fv := range fields(v) {
		at := join(key, f.Tag.Get("yaml"))
		if fv.Kind() == reflect.Struct {
			if !walk(fv, at, yield) {
				return false
			}
		} else if !yield(at, leaf{fv, f.Tag}) {
			return false
		}
	}
	return true
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
