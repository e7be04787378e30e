package ra

import (
	"context"
	"errors"
	"fmt"

	"ciscora/msca"
	"ciscora/ra/access"
	"ciscora/ra/queue"
)

// enter waits for a place at the CA. What a lab does to one enrollment is nobody
// else's, so that it goes by the queue.
func (r *RA) enter(ctx context.Context, account string, background bool) (leave func(error), err error) {
	if r.Isolate(ctx) {
		return func(error) {}, nil
	}
	enter := r.queue.Enter
	if background {
		enter = r.queue.EnterBackground
	}
	left, err := enter(ctx, account)
	if err != nil {
		return nil, turnedAway(err)
	}
	return func(err error) { left(outcomeOf(err), err) }, nil
}

// outcomeOf tells the queue whether the CA could be reached: what it answers, slow or
// wrong, is another matter.
func outcomeOf(err error) queue.Outcome {
	var ca *msca.Error
	switch {
	case err == nil:
		return queue.Reached
	case !errors.As(err, &ca), ca.Kind == msca.KindCanceled, ca.Kind == msca.KindInput:
		return queue.Neither
	}
	switch ca.Kind {
	case msca.KindResolve, msca.KindConnect:
		return queue.Unreachable
	case msca.KindTimeout, msca.KindClosed:
		if ca.Phase == msca.PhaseConnect || ca.Phase == msca.PhaseHandshake {
			return queue.Unreachable
		}
	}
	return queue.Reached
}

// turnedAway words for a client why it does not get to the CA now.
func turnedAway(err error) error {
	var (
		busy *queue.Busy
		down *queue.Down
	)
	switch {
	case errors.As(err, &busy):
		return &access.TurnedAway{RetryAfter: busy.RetryAfter, Text: fmt.Sprintf("the CA is busy: %d requests wait for it", busy.Waiting), Err: err}
	case errors.As(err, &down):
		text := "the CA cannot be reached"
		var ca *msca.Error
		if errors.As(down.Cause, &ca) {
			text = publicText(ca)
		}
		return &access.TurnedAway{RetryAfter: down.RetryAfter, Text: text, Err: err}
	}
	return err
}
