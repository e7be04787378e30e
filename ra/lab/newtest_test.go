package lab_test

import (
	"testing"
	"time"

	"ciscora/ra/lab"
)

func BenchmarkNewTest(b *testing.B) {
	for b.Loop() {
		began := time.Now()
		b.Run("x", func(b *testing.B) { lab.NewTest(b) })
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms")
	}
}

func TestNewTestTime(t *testing.T) {
	for range 5 {
		began := time.Now()
		lab.NewTest(t)
		t.Log(time.Since(began))
	}
}
