// Package fault makes the lab fail as CES and its CA fail at a customer's: named
// faults, each of which bites at one place, as decorators over what the product
// takes from outside anyway: listener, TLS configuration, handler, policy, and
// dialer with its resolver. Nothing in the product asks whether a fault is on.
//
// A fault is written PLACE:KIND[=VALUE][,PARAM=VALUE]..., the same everywhere:
//
//	certsrv.login:delay=12s
//	certsrv.submit:hang,count=1
//	est.simpleenroll:status=503,retry-after=5
//
// [Parse] reads it, a [Registry] holds those that are on, and [Catalog] lists
// what there is.
//
// A fault of the registry bites every enrollment. One that an enrollment selects
// by its label or by a name in its CSR is in its [Scope], which travels in the
// request's context: it bites that enrollment alone, which therefore gets
// connections to the CA of its own; the built-in CA knows them by their address.
package fault
