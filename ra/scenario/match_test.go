package scenario_test

import (
	"testing"

	"ciscora/ra/scenario"
)

func TestALogIsComparedLineByLine(t *testing.T) {
	for _, test := range []struct {
		name   string
		want   string
		got    []string
		differ int
	}{
		{"the same lines are the same", "a\nb", []string{"a", "b"}, 0},
		{"a line too many is told", "a\nb", []string{"a", "b", "c"}, 1},
		{"a line that is missing is told", "a\nb", []string{"a"}, 1},
		{"another order is another log", "a\nb", []string{"b", "a"}, 2},
		{"other lines may stand where three dots say so", "a\n...\nb", []string{"a", "x", "y", "b"}, 0},
		{"three dots may stand for nothing", "a\n...\nb", []string{"a", "b"}, 0},
		{"other lines may not stand elsewhere", "...\na\nb", []string{"a", "x", "b"}, 2},
		{"what is no hole is exact", "a.c", []string{"abc"}, 1},
		{"a hole takes what it is named for", "{pid}#0: x", []string{"4711#0: x"}, 0},
		{"a hole takes nothing else", "{pid}#0: x", []string{"pid#0: x"}, 1},
		{"a bound hole is the same everywhere", "{pid} a\n{pid} b", []string{"1 a", "1 b"}, 0},
		{"another value in a bound hole is told", "{pid} a\n{pid} b", []string{"1 a", "2 b"}, 1},
		{"a hole that is not bound may differ", "{ms} a\n{ms} b", []string{"1 a", "2 b"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			differ := 0
			for _, c := range scenario.Match(test.want, test.got...) {
				if !c.OK {
					differ++
				}
			}
			if differ != test.differ {
				t.Errorf("%d differences, want %d: %+v", differ, test.differ, scenario.Match(test.want, test.got...))
			}
		})
	}
}
