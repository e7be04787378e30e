// Package search finds out what became of the POSTs to the CA that ended without
// an answer, by evidence alone.
//
// A Microsoft CA counts its requests, so whatever came of a POST stands above the
// highest ReqID that was known before it was sent (the row's Floor). One search
// serves the whole ledger: it asks the CA for each number above the lowest Floor
// once, writes down what the CA shows, and matches all lost rows against that by
// key, names, template and time. It ends at the CA's end, not at a count, and a row
// is given up only when, besides, no POST can still be at work: see [Options.Grace].
//
// What it cannot tell: a request that waits for a manager or was denied shows no
// key (certnew.cer answers it with an error page), and neither does one that the CA
// does not show to the RA's account. Such numbers are told as candidates.
package search
