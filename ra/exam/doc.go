// Package exam examines a foreign EST client: it runs the client's command once for each
// stage of each case, against a lab whose behaviour the case stages with the fault words
// of ra/fault, and judges from what the server saw (connections, Client Hello, requests,
// credentials, CSRs, times), from how the command ended, and from the file that it wrote.
//
// Cases are cards in YAML; a client is a command line with placeholders. See
// docs/exam.md.
package exam
