// Package hello writes and reads the two hellos of TLS, from SSL 3.0 to TLS 1.3, with
// every cipher, also those that crypto/tls does not speak: what a server takes shows in
// its answer to a Client Hello, before anything is encrypted. No handshake goes further
// than that, and nothing here is fit to protect anything.
//
// The messages are those of RFC 6101 (SSL 3.0), RFC 2246, 4346, 5246 and 8446.
package hello
