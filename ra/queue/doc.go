// Package queue stands between an RA's clients and its CA, so that the CA is not
// stormed: it bounds how many are there at once, lets the others wait in a fair
// line, turns away at the door who would wait longer than makes sense, and while
// the CA cannot be reached answers at once, but for one probe now and then.
//
// It knows nothing of what is done at the CA: who has entered may go there, and
// says with what outcome it came back.
//
//	leave, err := q.Enter(ctx, account)
//	if err != nil {
//		return err // *Busy, *Down, or the end of ctx
//	}
//	err = ask(ctx)
//	leave(queue.Reached, nil) // or Unreachable with err, or Neither
package queue
