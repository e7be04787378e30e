package ra

import (
	"context"

	"ciscora/ra/access"
	"ciscora/ra/policy"
)

// Sessions chooses how the RA logs in to the CA.
type Sessions int

const (
	// SessionsPooled keeps authenticated connections and uses them again.
	SessionsPooled Sessions = iota
	// SessionsPerEnrollment logs in twice per enrollment, on two connections, as
	// CES does (docs/reference/ces.md, "One enrollment").
	SessionsPerEnrollment
)

// Answers chooses what an EST client is told when something fails on the CA's
// side (design, section 6), and what becomes of a request whose client is gone.
type Answers int

const (
	// AnswersPlain tells the leg that failed by the status that HTTP has for it.
	AnswersPlain Answers = iota
	// AnswersCES tells as little as CES: 401 without a challenge for all that
	// fails in its authentication step, 400 for all that fails after it, as
	// libest 2.1.0 does (docs/reference/libest.md, "2.1.0 differences").
	AnswersCES
)

// Manner is how an RA deals with client and CA: as one would wish, or as CES.
type Manner struct {
	Sessions Sessions
	Answers  Answers
}

// manner decides where a plain RA and CES go different ways.
type manner interface {
	// unauthorized is the answer for who was not let in.
	unauthorized(*access.Error) *Error
	// enrollmentFailure is the answer for what fails after that.
	enrollmentFailure(error) *Error
	// refusedCSR is the answer for a CSR that the policy refuses.
	refusedCSR(*policy.Refusal) *Error
	// noChain is the answer to /cacerts while there is no chain, and cause why.
	noChain(reason string, cause error) *Error
	// keyGone is the answer to /serverkeygen for a request that waits for a manager,
	// cause being that.
	keyGone(cause error) *Error
	// renewsWithoutCertificate: /simplereenroll takes a client without a TLS
	// certificate.
	renewsWithoutCertificate() bool
	// outlives: an enrollment goes on when its client has gone.
	outlives() bool
	// joins: a CSR that comes again joins what is under way, or gets what came of it;
	// else only what waits for a manager is found again.
	joins() bool
	// collects: certificates are fetched for clients that are gone.
	collects() bool
	// lag waits as long as an answer for this failure takes.
	lag(context.Context, error)
}

// newManner makes the manner of the given answers; caFailureStatus is
// [Options.CAFailureStatus].
func newManner(answers Answers, caFailureStatus int) manner {
	if answers == AnswersCES {
		return ces{caFailureStatus}
	}
	return plain{caFailureStatus}
}

// mannerOf returns the manner of a label; "" is the plain path.
func (r *RA) mannerOf(label string) manner {
	return newManner(r.labelManner(label).Answers, r.CAFailureStatus)
}

// Collects tells whether under a label the RA goes on where a client is gone, and keeps the
// certificate for its retry: CES does not.
func (r *RA) Collects(label string) bool { return r.mannerOf(label).collects() }

// pooled tells whether connections are kept under a label.
func (r *RA) pooled(label string) bool {
	return r.labelManner(label).Sessions == SessionsPooled
}

func (r *RA) labelManner(label string) Manner {
	if l, ok := r.Labels[label]; ok && l.Manner != nil {
		return *l.Manner
	}
	return r.Manner
}
