package lab

import (
	"errors"
	"fmt"

	"ciscora/msca/certsrv"
	"ciscora/ra/admin"
)

// recentRequests bounds what is shown of the CA's requests: a lab that runs for weeks
// has hundreds of thousands.
const recentRequests = 1000

// queue is the built-in CA as the admin port shows it.
type queue struct{ ca *certsrv.Server }

func (q queue) List() []admin.Request {
	requests := q.ca.Recent(recentRequests)
	out := make([]admin.Request, len(requests))
	for i, r := range requests {
		out[i] = admin.Request{
			ID: r.ID, Requester: r.Requester, Template: r.Template, Subject: r.Subject, Disposition: r.Disposition,
			HRESULT: r.HRESULT, Message: r.Message, Submitted: r.Submitted, Certificate: r.Certificate,
		}
	}
	return out
}

func (q queue) Approve(id int) error { return decided(id, q.ca.Approve(id)) }

func (q queue) Deny(id int) error { return decided(id, q.ca.Deny(id)) }

// decided words the CA's errors as the admin port knows them.
func decided(id int, err error) error {
	switch {
	case errors.Is(err, certsrv.ErrNoRequest):
		return fmt.Errorf("request %d: %w", id, admin.ErrUnknownRequest)
	case errors.Is(err, certsrv.ErrNotPending):
		return fmt.Errorf("request %d: %w", id, admin.ErrNotPending)
	}
	return err
}
