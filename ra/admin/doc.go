// Package admin is the RA's admin port, over plain HTTP and for loopback:
//
//	GET  /healthz                        ok, while the process serves
//	GET  /readyz                         200, or 503 with the reason
//	GET  /roots                          trust anchors, PEM
//	GET  /enrollments                    the last ones, newest first
//	GET  /enrollments?cn=NAME&wait=10s   the one of that name, once it has ended
//	GET  /enrollments/ID
//	GET  /certsrv/requests               where the built-in CA runs
//	POST /certsrv/requests/ID/approve
//	POST /certsrv/requests/ID/deny
//
// Answers are JSON unless said; an error is {"error": "..."}. A browser's page
// from elsewhere gets nothing: a request that came to a loopback address must
// name localhost or an address as its host, and a POST must not be another
// origin's.
package admin
