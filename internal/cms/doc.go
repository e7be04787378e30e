// Package cms writes what goes to one recipient in the Cryptographic Message Syntax
// (RFC 5652): an EnvelopedData under a secret key that both have, or under the
// recipient's public key, RSA or elliptic curve; and a SignedData with a private key in
// it (RFC 5958).
//
// The algorithms are those that the recipient says it can (SMIMECapabilities, RFC 8551
// §2.5.2), the first of each kind that can be done here. Content is encrypted by AES in
// CBC mode: those that authenticate besides belong into another structure (RFC 5083),
// and the SignedData inside vouches for what is there.
//
// github.com/smallstep/pkcs7 writes EnvelopedData too, but knows neither secret keys nor
// key agreement nor subject key identifiers, and takes its algorithms from variables of
// the package.
package cms
