package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Plan is all that a history depends on.
type Plan struct {
	Salt     uint64 // of latencies and think times
	Replicas int    // that share one ledger; 0 = 1
	// FirstReqID is the CA's number to begin with; those below it are others'.
	// 0 = 1.
	FirstReqID int
	// Accounts: each client has an account of its own; else all share the RA's, and
	// with it connections and log-ins, and who of those that wait for one comes first
	// is the scheduler's to say.
	Accounts   bool
	Others     time.Duration // pace at which others enroll at the CA; 0: nobody does
	OthersWait int           // percent of their requests that wait for a manager for ever
	Hidden     bool          // the CA shows others' numbers to nobody (403)
	KeepAlive  int           // answers after which IIS closes a connection; 0 = never
	// Unlogged are connections of the replicas, counted from 1, whose log-in is
	// answered with a page although nobody is logged in.
	Unlogged []int
	Validity time.Duration // of certificates; 0 = a year
	Join     time.Duration // Options.Join; 0 = ten minutes
	Timeout  time.Duration // of each request to the CA; 0 = 10 s
	Calm     time.Duration // when all heals
	Linger   time.Duration // how long the RA is watched once all clients are answered

	Wishes    []Wish
	Disasters []Disaster
}

// Wish is one certificate that a client wants.
type Wish struct {
	Key   int  // of the pool
	RSA   bool // else EC
	DNS   bool // has a subjectAltName
	Proof bool // each try has another challengePassword
	Label Label
	// Resend: each try sends the same CSR, as some clients do; else it is signed
	// anew, as libest does.
	Resend bool

	Start    time.Duration
	Patience time.Duration   // for one answer; 0 = for ever
	Backoff  time.Duration   // to the next try
	Obedient bool            // it waits as long as Retry-After says, where that is longer
	Deaf     int             // so many answers with a certificate do not reach it
	Once     bool            // it does not try again
	Again    []time.Duration // it asks once more, so long after its answer
	First    time.Duration   // to the second try; 0 = Backoff

	Posts   []Fate // of its requests at the CA, in their order; more are served
	Fetches []Fate // of its ReqIDs' fetches
	Verdict Verdict
	Decided time.Duration // until the manager's verdict
}

// Label is where a client asks.
type Label string

// The labels of the RA and the templates behind them.
const (
	Plain      Label = ""
	Supervised Label = "supervised" // a manager must approve
	Directory  Label = "directory"  // the subject is the account's, not the CSR's
)

// Verdict is what policy or manager make of a request.
type Verdict string

// The verdicts. A manager's comes after Wish.Decided.
const (
	Granted Verdict = ""
	Denied  Verdict = "denied"
)

// Fate is what becomes of one exchange with the CA.
type Fate struct {
	Kind  FateKind
	After time.Duration // of those that take a time
}

// FateKind names a fate.
type FateKind string

// The fates of POST and GET.
const (
	Served       FateKind = "served"
	Slow         FateKind = "slow"          // the CA takes it After, and answers then
	LostBefore   FateKind = "lost-before"   // the connection breaks, the CA sees nothing
	LostAnswer   FateKind = "lost-answer"   // the CA has done it, the connection breaks
	Late         FateKind = "late"          // the connection breaks, the CA gets it After
	ServerGone   FateKind = "0x800706ba"    // the RPC server is unavailable; nothing done
	CallFailed   FateKind = "0x800706be"    // the call failed after the CA had done it
	ScriptTime   FateKind = "script-time"   // ASP 0113; the CA does it After
	LoginGone    FateKind = "401"           // the connection's log-in is gone, for good; nothing done
	Unavailable  FateKind = "503"           // nothing done
	KilledBefore FateKind = "killed-before" // the replica dies, the CA sees nothing
	KilledAnswer FateKind = "killed-answer" // the replica dies, the CA has done it
	KilledLate   FateKind = "killed-late"   // the replica dies, the CA gets it After
)

// Disaster is something that happens at an instant.
type Disaster struct {
	Kind    DisasterKind
	At      time.Duration
	For     time.Duration // how long it lasts
	Replica int
	Step    time.Duration // of the clock
	State   string        // DiskFull: only rows that become this; "" = all
	Wish    int           // SameKey: whose key
	Name    string        // SameKey: the CN; "" = the wish's own
}

// DisasterKind names a disaster.
type DisasterKind string

// The disasters.
const (
	Kill       DisasterKind = "kill"        // the process, back after For
	Pause      DisasterKind = "pause"       // a replica stops and goes on after For
	Clock      DisasterKind = "clock"       // a replica's clock jumps by Step
	Recycle    DisasterKind = "recycle"     // IIS drops all connections; nobody listens For
	DiskFull   DisasterKind = "disk-full"   // the ledger takes no writes For
	LedgerAway DisasterKind = "ledger-away" // the ledger fails altogether For
	Renewal    DisasterKind = "renewal"     // of the CA's certificate and key
	SameKey    DisasterKind = "same-key"    // CES enrolls a wish's key at the CA
)

// converge is how long after the calm all must be answered.
func (p Plan) converge() time.Duration {
	most := converge
	for _, d := range p.Disasters {
		if d.Kind == Clock {
			most = converge + longestRetry
		}
	}
	// Who obeys comes back late, each time that it asks anew, and whatever does not
	// reach it.
	rounds := 0
	for _, w := range p.Wishes {
		if w.Obedient && w.Label == Supervised {
			rounds = max(rounds, len(w.Again)+w.Deaf)
		}
	}
	return most + time.Duration(rounds)*longestRetry
}

// ledgerTroubleAt tells whether the ledger may take no writes at an instant.
func (p Plan) ledgerTroubleAt(at time.Duration) bool {
	return slices.ContainsFunc(p.Disasters, func(d Disaster) bool {
		return (d.Kind == DiskFull || d.Kind == LedgerAway) && d.At <= at && at <= d.At+d.For+clockSlack
	})
}

func (p Plan) replicas() int            { return max(p.Replicas, 1) }
func (p Plan) firstReqID() int          { return max(p.FirstReqID, 1) }
func (p Plan) validity() time.Duration  { return or(p.Validity, 365*24*time.Hour) }
func (p Plan) join() time.Duration      { return or(p.Join, 10*time.Minute) }
func (p Plan) timeout() time.Duration   { return or(p.Timeout, 10*time.Second) }
func (w Wish) firstWait() time.Duration { return or(w.First, w.Backoff) }
func or(d, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return d
}

// String is the plan in lines: options first, then who wants what, then what goes
// wrong.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "salt %d, %d replicas, accounts %v, first ReqID %d, others every %s (hidden %v), keep-alive %d, unlogged %d, validity %s, join %s, time-out %s, calm from %s\n",
		p.Salt, p.replicas(), p.Accounts, p.firstReqID(), p.Others, p.Hidden, p.KeepAlive, p.Unlogged, p.validity(), p.join(), p.timeout(), p.Calm)
	for i, w := range p.Wishes {
		kind := "EC"
		if w.RSA {
			kind = "RSA"
		}
		fmt.Fprintf(&b, "  %s: %s key %d", wishName(i), kind, w.Key)
		for _, x := range []struct {
			on   bool
			text string
		}{
			{w.DNS, ", SAN"},
			{w.Proof, ", proof"},
			{w.Resend, ", resends"},
			{w.Label != "", ", label " + string(w.Label)},
			{w.Verdict != Granted, ", " + string(w.Verdict)},
			{w.Decided != 0, fmt.Sprintf(", decided after %s", w.Decided)},
			{w.Obedient, ", obedient"},
			{w.Once, ", once"},
			{w.Deaf > 0, fmt.Sprintf(", deaf to %d", w.Deaf)},
		} {
			if x.on {
				b.WriteString(x.text)
			}
		}
		fmt.Fprintf(&b, "; at %s, patience %s, back-off %s", w.Start, w.Patience, w.Backoff)
		if len(w.Again) > 0 {
			fmt.Fprintf(&b, ", again after %s", w.Again)
		}
		if len(w.Posts)+len(w.Fetches) > 0 {
			fmt.Fprintf(&b, "; POSTs %s, fetches %s", w.Posts, w.Fetches)
		}
		b.WriteByte('\n')
	}
	for _, d := range p.Disasters {
		fmt.Fprintf(&b, "  %s\n", d)
	}
	return b.String()
}

// String is the fate in a word.
func (f Fate) String() string {
	if f.After == 0 {
		return string(f.Kind)
	}
	return fmt.Sprintf("%s %s", f.Kind, f.After)
}

// String is the disaster in a line.
func (d Disaster) String() string {
	s := fmt.Sprintf("at %s: %s", d.At, d.Kind)
	switch d.Kind {
	case Kill, Pause:
		s += fmt.Sprintf(" replica %d for %s", d.Replica, d.For)
	case Clock:
		s += fmt.Sprintf(" of replica %d by %s", d.Replica, d.Step)
	case Recycle, LedgerAway:
		s += fmt.Sprintf(" for %s", d.For)
	case DiskFull:
		s += fmt.Sprintf(" for %s, rows that become %q", d.For, d.State)
	case SameKey:
		s += fmt.Sprintf(" as %s under %q", wishName(d.Wish), d.Name)
	}
	return s
}

func wishName(i int) string { return fmt.Sprintf("w%02d", i) }
