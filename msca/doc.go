// Package msca is a client of the Web Enrollment pages of a Microsoft CA
// (certsrv, AD CS), as Cisco's CES is one.
//
// A [Client] knows one CA. [Client.Login] opens a TLS connection and logs in on it
// with NTLM; since Windows ties a log-in to its connection, the [Session] it returns
// has one connection at a time, and logs in anew on another where the CA has ended
// it before a request left. On a session one can ask for the CA's chain, the list of
// templates, submit a CSR and fetch a certificate, one after the other:
//
//	session, err := client.Login(ctx, credentials)
//	if err != nil {
//		return err
//	}
//	defer session.Close()
//	id, err := session.Submit(ctx, csr, "CiscoRA", nil)
//	if err != nil {
//		return err
//	}
//	certificate, err := session.Fetch(ctx, id, csr)
//
// Every failure is an [*Error]: the leg it happened on ([Phase]), what it was
// ([Kind]), the CA's own numbers and words where it gave any, and what libcurl
// would have said.
//
// A CSR is posted once: [Error.MayHaveIssued] tells where the CA may have it although
// no answer says so, and [Session.Look] what it shows under a number.
//
// What never happens: a word over plain HTTP, credentials to a server whose
// certificate was not verified or to another host than the configured one, a
// fall-back to a weaker authentication, a second try with a refused password (each
// one counts towards the account's lock-out).
//
// The pages are read by their markers and numbers, which are the same in every
// language (docs/reference/certsrv.md 5.4); the certificates by their content, since
// neither labels nor content types can be relied on (docs/reference/certsrv.md 2).
package msca
