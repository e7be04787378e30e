package server

import (
	"context"

	"ciscora/ra"
	"ciscora/ra/admin"
)

// lockouts shows the core's guard on the admin port.
type lockouts struct{ core *ra.RA }

func (l lockouts) List(ctx context.Context) (all []admin.Lockout, err error) {
	counted, err := l.core.LockedOut(ctx)
	for _, c := range counted {
		all = append(all, admin.Lockout{Kind: c.Kind, Name: c.Name, Label: c.Label, Refused: c.Refused, Trying: c.Trying, Closed: c.Closed, Until: c.Until})
	}
	return all, err
}

func (l lockouts) Own() *admin.OwnRefused {
	refusal := l.core.OwnRefusal()
	if refusal == nil {
		return nil
	}
	return &admin.OwnRefused{Account: refusal.Account, At: refusal.At, Until: refusal.Until}
}

func (l lockouts) Forgive(ctx context.Context, name string) (bool, error) {
	return l.core.Forgive(ctx, name)
}
