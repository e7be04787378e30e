// Package sim plays the RA's core in virtual time: replicas on one ledger, clients
// that lose patience and sign each CSR anew, a CA behind its IIS, others who use
// that CA, and everything that can go wrong between them.
//
// A [Plan] is all that a history depends on: a seed draws one, and [Play] plays it
// inside a testing/synctest bubble. First things go wrong, until [Plan.Calm]; then
// all heals, and every client must come to its answer in bounded time. What came of
// it, a [History], is held against the [Invariants].
//
// The outcome must not hang on the scheduler, so no two instants coincide: each
// delay carries some nanoseconds that the plan's salt, who waits and how often it
// has waited give it. Nothing draws a random number while a history is played. Only
// clients of one account that wait for the same log-in wake in one instant: such a
// plan (Accounts false) may have more than one history.
//
// What this does not cover: replicas in processes of their own on PostgreSQL, whose
// driver cannot live in virtual time. Several replicas here share one
// [ledger.Ledger], as one process would; they die together. A replica that is paused
// neither sends nor hears anything, but its timers go on: that a stopped process
// looks at its claim when it wakes is for tests with real processes.
package sim
