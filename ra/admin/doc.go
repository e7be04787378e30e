// Package admin is the RA's admin port, over plain HTTP and for loopback. What it
// serves stands in openapi.json, which is made from its routes and served as
// /openapi.json, without what this process does not serve:
//
//	GET  /healthz, /readyz, /servingz    whether it lives, enrolls, wants clients
//	GET  /roots                          trust anchors, PEM
//	GET  /enrollments                    the last ones, newest first
//	GET  /enrollments?cn=NAME&wait=10s   the one of that name, once it has ended
//	GET  /enrollments?after=ID&wait=10s  the next one
//	GET  /enrollments/ID
//	GET  /events                         each change, as it happens (server-sent events)
//	GET  /lockouts, /faults              DELETE, too; POST /faults
//	GET  /certsrv/requests               where the built-in CA runs
//	POST /certsrv/requests/ID/approve, .../deny
//
// Answers are JSON unless said; an error is a problem of RFC 9457; what is not known in
// a query is refused; a duration is milliseconds, took_ms. A browser's page
// from elsewhere gets nothing: a request that came to a loopback address must
// name localhost or an address as its host, and a POST must not be another
// origin's.
package admin
