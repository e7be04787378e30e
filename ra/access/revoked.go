package access

import (
	"context"
	"errors"
	"net/http"

	"ciscora/ra/access/revocation"
)

// checkRevocation refuses whoever shows a client certificate that is revoked, whatever
// else says who it is: re-enrollments lean on it, too.
func (a *Access) checkRevocation(ctx context.Context, req *http.Request) error {
	certificate := verifiedCertificate(req)
	if a.Revocation == nil || certificate == nil {
		return nil
	}
	err := a.Revocation.Check(ctx, req.TLS.VerifiedChains)
	if err == nil {
		return nil
	}
	refused := &Error{Reason: ReasonRevocationUnknown, Method: MethodCertificate, Account: certificate.Subject.String(), Cause: err}
	if _, revoked := errors.AsType[*revocation.RevokedError](err); revoked {
		refused.Reason = ReasonRevoked
	}
	return refused
}
