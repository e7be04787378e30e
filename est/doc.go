// Package est is the front end of an EST server (RFC 7030, RFC 8951): it serves
// /cacerts, /csrattrs, /simpleenroll, /simplereenroll and, where it is switched on,
// /serverkeygen, with and without a label, for a CA in the sense of
// github.com/globalsign/est. /fullcmc is answered with 501.
//
// # One request
//
// Every request gets an id, which its context carries ([RequestID]), and is
// checked in the order that libest's server keeps (docs/reference/libest.md,
// "Order of checks"): declared length, path and label, method, Content-Type,
// then who asks, and only then the CSR itself: base64 or PEM, DER, signature.
// So a foreign type is refused before missing credentials are asked for, and
// these before a bad CSR is looked at. /cacerts and /csrattrs ask nobody who they
// are (RFC 7030 §4.1.2, §4.5). A CSR's proof of possession, which ties it to the
// TLS connection it came on, is checked last (RFC 7030 §3.5, RFC 9266).
//
// With [Options.Patience] the body is read before anybody is asked, since from then
// on the client is kept waiting.
//
// # Dialects
//
// [DialectRFC8951] answers as the RFCs say, with the statuses HTTP has for each
// failure and one line of text that says what is wrong and what to do.
// [DialectLibest] answers as CES does, which is built on Cisco's libest: its
// headers, statuses and texts, wrong ones included. It is lenient in what it
// takes: any form of base64, chunked bodies, HEAD, the configured limit.
//
// Both keep the rules without which a libest client gives up: Content-Length and
// never chunks, the header name WWW-Authenticate in exactly these letters,
// base64 in lines, the exact Content-Type (docs/reference/libest.md L2 to L5). One
// listener serves strongSwan too, which wants base64 on one line; see [Base64].
//
// What net/http refuses by itself, before a handler runs, keeps net/http's own
// words in both dialects: a malformed request line, a header block over its
// limit (431), an HTTP version it does not speak.
//
// # What happened
//
// [Options.Events] is told what happens, each [Event] with the request's id and
// connection number; logs and metrics are listeners to it.
package est
