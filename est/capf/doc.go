// Package capf is an EST client with the habits of the one in CUCM's CAPF
// service, which is built on Cisco's libest: what this client accepts, a CAPF
// accepts, and what breaks a CAPF breaks this client with the same return value
// (docs/reference/libest.md).
//
// An enrollment is two TLS 1.2 connections. The first request is anonymous; a
// 401 with a Basic challenge makes the client close, connect again and send
// the whole request with its credentials. Each answer is read until the server
// closes, with 10 s for each read and not for the whole, so a server that sends
// a byte now and then can keep the client waiting.
//
// Where Go's net/http is lenient, this client is not: it reads the header
// names WWW-Authenticate, Content-Type and Content-Length byte for byte, knows
// no chunked bodies and wants Content-Type exactly as libest spells it. So it
// speaks HTTP itself, on the TLS connection.
//
// [Client.Enroll] enrolls one device, [Swarm] many at once; [NewPhone] makes
// the keys and CSRs.
package capf
