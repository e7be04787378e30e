package server

import (
	"context"
	"errors"
	"slices"

	"ciscora/est"
	"ciscora/msca"
	"ciscora/ra"
	"ciscora/ra/wire"
)

// EnrollmentID is the id of the enrollment that ctx belongs to; "" for requests that enroll
// nobody, of which there may be many.
func EnrollmentID(ctx context.Context) string {
	if !slices.Contains(enrollOperations, est.Operation(ctx)) {
		return ""
	}
	return est.RequestID(ctx)
}

// legs tells a recorder which leg what went over the wire belongs to. It is the first to
// hear of a leg, so that lines of logs find it there.
func legs(w *wire.Recorder) func(context.Context, any) {
	if w == nil {
		return func(context.Context, any) {}
	}
	return func(ctx context.Context, event any) {
		switch e := event.(type) {
		case ra.Leg:
			leg := wire.Leg{Name: string(e.Phase), Start: e.Start, End: e.Start.Add(e.Duration)}
			var ca *msca.Error
			if errors.As(e.Err, &ca) {
				leg.Kind, leg.Symbol = string(ca.Kind), ca.Symbol
			}
			w.Leg(ctx, leg)
		case est.ConnectionOpened, est.ConnectionClosed:
		default:
			w.Event(ctx)
		}
	}
}
