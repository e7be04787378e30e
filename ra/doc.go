// Package ra is the core of the registration authority: what stands between
// the EST front end and the Microsoft CA's Web Enrollment pages, as CES
// (CiscoRA) does.
//
// An [RA] is an EST CA in the sense of github.com/globalsign/est, so whoever
// serves that interface can serve this RA, and it is the front end's
// authenticator: with relayed credentials a client is who the Microsoft CA says
// it is (docs/reference/ces.md, "One enrollment").
//
// [RA.Run] logs in, reads the CA's chain, and keeps both current; until it
// succeeded, the RA answers and says why it has no chain. One enrollment is
// [RA.Authenticate] and then [RA.Enroll]; the walk of a CSR stands in
// enroll.go, top to bottom.
//
// What happens is reported as an [Event]; the structured log, the emulated
// logs of the real products and the admin port are listeners to these.
package ra
