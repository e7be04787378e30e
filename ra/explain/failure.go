package explain

import "time"

// Log names a kind of log.
type Log string

// The kinds of log.
const (
	NGINX      Log = "nginx"      // CES's NGINX error.log
	CiscoRA    Log = "ciscora"    // CES's own log: start-up lines only
	CAPF       Log = "capf"       // CAPF's trace
	IIS        Log = "iis"        // IIS's W3C log
	RA         Log = "ra"         // this product's structured log
	Page       Log = "page"       // a page of /certsrv as HTML
	Phone      Log = "phone"      // a phone's console
	ASA        Log = "asa"        // an ASA's syslog
	Expressway Log = "expressway" // an Expressway's or VCS's messages
	TMS        Log = "tms"        // TMS's messages, and those of the Windows under it
	TSP        Log = "tsp"        // the trace of Cisco's TSP
	Tool       Log = "tool"       // curl -v, openssl s_client, pki
)

// Logs are all kinds, in the order in which they are shown.
var logs = []Log{CAPF, NGINX, CiscoRA, IIS, RA, Page, Phone, ASA, Expressway, TMS, TSP, Tool}

// Title is how a person calls the log.
func (l Log) Title() string { return titles[l] }

var titles = map[Log]string{
	NGINX: "NGINX error.log", CiscoRA: "CiscoRA log", CAPF: "CAPF trace", IIS: "IIS log", RA: "the RA's structured log",
	Page: "page of /certsrv", Phone: "phone's console log", ASA: "ASA's log", Expressway: "Expressway's messages",
	TMS: "TMS's messages", TSP: "TSP trace", Tool: "output of a tool",
}

// Failure is one thing that can go wrong, and what it leaves in each log.
type Failure struct {
	Name     string
	Title    string
	Document string // where it is documented; "" = inferred
	Cause    string
	Fix      string
	Play     string // the command that plays it; "" = nothing does
	// Tells are the lines of a log that tell this failure from others.
	Tells map[Log]Tells
	// Known are all lines that are expected of a log: they are understood.
	Known map[Log][]string
	// Hosts are the lab's names in the lines; another site has others.
	Hosts []string
	// WaitLeast and WaitMost bound how long the client waited for its answer; 0 = any.
	WaitLeast, WaitMost time.Duration
	// Like names the failure of which this one is a variant that no log tells.
	Like string
	// Lab says that only a test makes this failure.
	Lab bool
	// Harmless says that nothing has to be done: it was mended as it happened.
	Harmless bool
	// FromTool are the words where only the output of a tool, or this product's own log, was read;
	// "" = the others.
	FromTool Words
	// Chains are what a server with this failure sends, the usual one first; nil = any.
	Chains []Chain
	// Often is how often it is met, next to others that leave the same lines.
	Often Often
	// Elsewhere says where to look where the logs cannot tell.
	Elsewhere string
}

// Words are what is said of a failure.
type Words struct{ Title, Cause, Fix string }

// Often is how often a failure is met. It orders those that the logs cannot tell apart.
type Often int

// How often a failure is met.
const (
	Common Often = iota - 1
	Usual
	Rare
)

// Tells are the lines that one incident in a log has, and those that it has not.
type Tells struct{ Has, Lacks []string }

// LogNames are the names of all kinds of log.
func LogNames() (names []string) {
	for _, l := range logs {
		names = append(names, string(l))
	}
	return names
}
