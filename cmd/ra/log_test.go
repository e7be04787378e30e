package main

import (
	"bytes"
	"errors"
	"testing"

	"go.uber.org/zap"
)

func TestALogForPeopleHasErrorsInWordsAndNothingThatATerminalObeys(t *testing.T) {
	var out bytes.Buffer
	log := newPlainLogger(&out).Named("certsrv").With(zap.Int("attempt", 1))
	log.Warn("a fault was met")
	log.Error("start failed, trying again", zap.String("in", "5s"), zap.Error(errors.New("CA login: \x1b[31mtime-out\nra: ready")))
	if got, want := out.String(), "ra: start failed, trying again: CA login: [31mtime-out ra: ready, attempt 1, in 5s\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
