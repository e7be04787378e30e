package server

import (
	"context"

	"ciscora/ra"
	"ciscora/ra/wire"
)

// legs tells a recorder which leg what went over the wire belongs to. It is the first to
// hear of a leg, so that lines of logs find it there.
func legs(w *wire.Recorder) func(context.Context, any) {
	if w == nil {
		return func(context.Context, any) {}
	}
	return func(ctx context.Context, event any) {
		if l, ok := event.(ra.Leg); ok {
			w.Leg(ctx, string(l.Phase), l.Start)
		}
	}
}
