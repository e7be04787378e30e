package ra

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"ciscora/ra/access"
)

// asking is who asks, and what came of it. It rides in the request's context from the
// authentication step to the enrollment.
type asking struct {
	*access.Identity
	row atomic.Int64 // of the ledger, once there is one
}

type askingKey struct{}

// Authenticate finds out who asks, and whether that account may use the template
// behind the label (docs/reference/ces.md, "One enrollment", phase "authenticate"). The
// returned context goes to [RA.Enroll]. An error is an [*Error].
//
// It satisfies the front end's Authenticator; the request's body is not read.
func (r *RA) Authenticate(req *http.Request, label string) (context.Context, error) {
	ctx := withLegs(req.Context())
	who, err := r.access.Authenticate(ctx, req, r.accessLabel(label))
	if err != nil {
		return nil, r.notAuthenticated(ctx, label, err)
	}
	r.report(ctx, Authenticated{Method: string(who.Method), Account: who.Account, Template: who.Template, Vouched: who.Vouched})
	return context.WithValue(ctx, askingKey{}, &asking{Identity: who}), nil
}

// accessLabel is what a label means for who asks.
func (r *RA) accessLabel(label string) access.Label {
	return access.Label{Name: label, Template: r.templateOf(label), Methods: r.Labels[label].Methods, Pooled: r.pooled(label)}
}

// notAuthenticated words and reports why nobody was let in.
func (r *RA) notAuthenticated(ctx context.Context, label string, err error) *Error {
	manner := r.mannerOf(label)
	failed, ok := errors.AsType[*access.Error](err)
	if !ok {
		failed = &access.Error{Reason: access.ReasonCA, Cause: err}
	}
	if failed.Reason == access.ReasonCA {
		manner.lag(ctx, failed.Cause)
	}
	answer := manner.unauthorized(failed)
	switch failed.Reason {
	case access.ReasonNobody, access.ReasonUnusable, access.ReasonStale, access.ReasonOwnUnreadable:
		// Nobody was refused: the client comes again, or the front end tells.
	default:
		r.report(ctx, NotAuthenticated{Account: failed.Account, Err: answer})
	}
	return answer
}

// LockedOut lists what the guard against lock-out counts now.
func (r *RA) LockedOut(ctx context.Context) ([]access.LockedOut, error) {
	return r.access.LockedOut(ctx)
}

// OwnRefusal says why the RA's own account is not tried at the CA now; nil: it may be.
func (r *RA) OwnRefusal() *access.OwnRefusal { return r.access.OwnRefusal() }

// Forgive lets an account, a user or an address be tried again, or with "" all.
func (r *RA) Forgive(ctx context.Context, name string) (found bool, err error) {
	return r.access.Forgive(ctx, name)
}
