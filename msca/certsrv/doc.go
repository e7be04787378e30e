// Package certsrv is a Microsoft CA for the lab, in one process: IIS with Windows
// authentication, the Web Enrollment pages under /certsrv, and an enterprise CA of
// two tiers behind them.
//
// It stands where the real one would, for clients that nobody here wrote: NTLMv2
// is really verified, per connection ([ciscora/msca/ntlm]), a CSR is really
// checked before anything is signed, and each outcome (issued, pending, denied,
// error) has its page with the element ids, codes and HRESULTs by which clients
// tell them apart (docs/reference/certsrv.md 5). The markup around these is its own.
//
// A test needs one line:
//
//	srv := certsrv.NewTestServer()
//	defer srv.Close()
//
// # Where the rules come from
//
// The pages cite docs/reference/certsrv.md by section. Where that page marks a fact as
// assumed, the choice made here is stated at the code.
//
// # State
//
// With [Options].Dir the CA keeps its keys and a journal of all requests there;
// ReqIDs go on where they stopped. One process at a time may use such a folder.
// Without Dir everything lives in memory and is gone with the [Server]. Requests
// are never forgotten, as in a CA's database: memory grows with their number.
package certsrv
