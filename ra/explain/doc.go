// Package explain reads the logs of an enrollment that failed and says what failed,
// how sure that is, why, and how to mend it.
//
// It knows no failure by itself: a [Failure] is data, made from the cards of
// ra/scenario, and its lines are the signatures. A [Reader] of each kind of log turns
// lines into incidents: the start of CES, an enrollment at CES, one at CAPF, one at
// the CA, or a paragraph of any other product's log. What lines an incident holds,
// and what lines it lacks, decides which failures could have left it; the incidents
// of several logs that belong together by their times leave fewer.
//
// Everything that comes in may be hostile: lines, paragraphs, incidents and files are
// bounded, nothing is printed back that a terminal would obey, and a secret is told
// but not shown.
package explain
