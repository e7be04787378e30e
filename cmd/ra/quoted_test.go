package main

import "testing"

func TestAPrintedPathIsOneWordForAShell(t *testing.T) {
	for path, want := range map[string]string{
		"/tmp/ra-lab-1/trust.pem": "/tmp/ra-lab-1/trust.pem",
		"/home/my lab/trust.pem":  "'/home/my lab/trust.pem'",
		"/it's/$(here)":           `'/it'\''s/$(here)'`,
		"/ü/x":                    "'/ü/x'",
	} {
		if got := quoted(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
