package server

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"ciscora/est"
	"ciscora/msca"
	"ciscora/ra"
	"ciscora/ra/admin"
)

// recorder keeps the record of enrollments that the admin port shows: events in,
// states out.
type recorder struct {
	enrollments *admin.Enrollments
	challenges  *challenges
}

var enrollOperations = []string{"simpleenroll", "simplereenroll", "serverkeygen"}

func (r *recorder) event(ctx context.Context, event any) {
	id := est.RequestID(ctx)
	if id == "" {
		return
	}
	update := func(change func(*admin.Enrollment)) { r.enrollments.Update(id, change) }
	switch e := event.(type) {
	case est.Received:
		if slices.Contains(enrollOperations, e.Operation) {
			r.enrollments.Begin(admin.Enrollment{ID: id, Label: e.Label, Client: address(e.Client), UserAgent: e.UserAgent, Started: e.Time})
		}
	case est.Challenged:
		r.challenges.challenged(id)
		update(func(x *admin.Enrollment) { x.State, x.Challenged = admin.Challenged, true })
	case est.Answered:
		r.enrollments.Finish(id, func(x *admin.Enrollment) { r.answered(x, e) })

	case ra.Authenticated:
		update(func(x *admin.Enrollment) {
			x.State, x.Identity, x.Template = admin.Authenticated, e.Account, e.Template
		})
	case ra.NotAuthenticated:
		update(func(x *admin.Enrollment) {
			x.State, x.Identity, x.Error = admin.Failed, e.Account, cause(e.Err).Error()
		})
	case ra.Enrolling:
		update(func(x *admin.Enrollment) { x.CN = e.CN })
	case ra.Leg:
		r.enrollments.Leg(id, admin.Leg{Name: string(e.Phase), Start: e.Start, Duration: e.Duration, Limit: e.Limit, Status: e.Status, Bytes: e.Bytes, Error: text(e.Err)})
	case ra.Submitted:
		update(func(x *admin.Enrollment) { x.State, x.ReqID = admin.Submitted, e.ReqID })
	case ra.Issued:
		update(func(x *admin.Enrollment) { x.State, x.ReqID = admin.Issued, e.ReqID })
	case ra.NotIssued:
		update(func(x *admin.Enrollment) { x.State, x.ReqID, x.Error = notIssued(e), e.ReqID, e.Err.Error() })
	}
}

func notIssued(e ra.NotIssued) admin.State {
	var ca *msca.Error
	switch {
	case e.Pending:
		return admin.Pending
	case errors.As(e.Err, &ca) && ca.Kind == msca.KindDenied:
		return admin.Denied
	}
	return admin.Failed
}

// answered notes the answer. What failed at the front end, such as a bad CSR,
// ends here without having been told by the core.
func (r *recorder) answered(x *admin.Enrollment, e est.Answered) {
	x.ESTStatus = e.Status
	if e.Status >= http.StatusBadRequest && (x.State == admin.Received || x.State == admin.Authenticated) {
		x.State = admin.Failed
	}
	if x.Error == "" && x.State != admin.Challenged {
		x.Error = text(e.Err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
