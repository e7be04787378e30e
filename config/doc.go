// Package config is what ra.yaml and certsrv.yaml hold, as types: [RA] and
// [Certsrv].
//
// [LoadRA] and [LoadCertsrv] read a file on top of its profile's defaults and
// under the environment, and report everything that is wrong with it at once,
// each problem with file, line, column and key:
//
//	ra.yaml:12:5: ca.timeouts.sumbit: unknown key, did you mean submit?
//
// Neither touches the other files that a configuration names; [RA.Files] and
// [Certsrv.Files] do, and report in the same manner. Whoever else finds fault
// with a value (a port in use, a template that the CA does not list) makes it a
// [Problem] of its key with [RA.Problem].
//
// # Values
//
// A duration is written 10s, 5m, 1h30m or 365d; a size 65536, 64KiB or 1MiB; a
// TLS version "1.2". A path that is not absolute is relative to the file that
// names it, also where it comes from the environment. Anchors, aliases and
// several documents in one file are refused.
//
// # Environment
//
// Each key of ra.yaml with a single value has a variable, RA_ and its path in
// capitals: RA_CA_TEMPLATE, RA_EST_LISTEN, RA_CA_TIMEOUTS_SUBMIT. Those of
// certsrv.yaml begin with RA_CERTSRV_. Lists and secrets have none. A variable
// that is empty counts as not set.
package config
