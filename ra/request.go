package ra

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"strings"

	"ciscora/ra/access"
	"ciscora/ra/ledger"
	"ciscora/ra/policy"
)

// askedFor is a CSR with the view of it by which all is decided and recorded; csr itself
// goes to the CA.
type askedFor struct {
	csr  *x509.CertificateRequest
	view *policy.CSR
}

// requestOf is what the ledger knows a request by: who asks, and what for. The CSR
// itself is not kept: a challengePassword may stand in it.
func (r *RA) requestOf(ctx context.Context, who *asking, what askedFor, renewal bool) ledger.Request {
	return ledger.Request{
		What: what.view.What, CSR: sha256.Sum256(what.csr.Raw),
		PublicKey: what.csr.RawSubjectPublicKeyInfo, SubjectDER: what.view.SubjectDER, Names: what.view.NamesDER,
		Identity: who.LedgerIdentity(), Label: who.Label, Template: who.Template,
		Subject: what.view.Subject.String(), CN: what.view.CN(),
		Enrollment: r.EnrollmentID(ctx), Renewal: renewal,
	}
}

// askerOf is what a policy may tie a CSR to. An account of the CA's is known by its name
// without the domain, as LAB\alice and alice@lab.test have it; one of the RA's users by
// its whole name.
func askerOf(who *access.Identity) policy.Asker {
	switch who.Method {
	case access.MethodCertificate:
		return policy.AskerOf(who.Certificate)
	case access.MethodUsers:
		return policy.Asker{User: who.Account}
	case access.MethodRelay:
		if _, user, ok := strings.Cut(who.Account, `\`); ok {
			return policy.Asker{User: user}
		}
		user, _, _ := strings.Cut(who.Account, "@")
		return policy.Asker{User: user}
	}
	return policy.Asker{}
}
