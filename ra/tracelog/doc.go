// Package tracelog words the logs of the products that this RA stands in for:
// CES's NGINX error.log ([NGINX]), the CiscoRA log ([CiscoRA]), the lines of
// libest's server inside both ([Libest]), the CAPF trace ([CAPF]) and the
// access log of Microsoft's IIS ([W3C]).
//
// The package knows lines, not the program that causes them: its records are
// its own, and whoever assembles the program turns events into calls. Lines,
// function names and line numbers are those of Cisco's "Troubleshooting CAPF
// Online CA" for CUCM 12.5 (docs/reference/ces.md); where that document shows no
// line for an event, the method says that its wording is inferred.
//
// Every writer is safe for concurrent use. A method that stands for several
// lines writes them in one Write call, so that no other line gets between. A
// value from outside cannot start a line of its own: control characters are
// written as \x0A and the like, and values are cut at 2,048 bytes. No method
// takes a password.
package tracelog
