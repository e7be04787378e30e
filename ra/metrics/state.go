package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is an RA's state at one moment.
type State struct {
	Ready, Serving bool

	CAInFlight        int // requests under way at the CA
	WaitingClients    int // for a place there
	WaitingBackground int // work that no client waits for
	CADown            bool
	OwnAccountRefused bool
	Closed            map[string]int // doors that are closed after wrong passwords, by kind

	// Certificates are the ends of validity, by what the certificate is: est, issuing_ca,
	// intermediate_ca, root_ca; of several the first to end.
	Certificates map[string]time.Time

	// Ledger is nil where it could not be asked.
	Ledger *Ledger
	// Disagreements is how many things are not alike in the replicas.
	Disagreements int
}

// Ledger is what the ledger knows of all replicas' enrollments.
type Ledger struct {
	PossibleOrphans int
	Pending         int           // wait for a manager
	PendingLongest  time.Duration // the one that waits longest
	Lost            int           // whose answer was lost, and that are being found out
	Replicas        int           // that are live
}

type stateCollector struct{ look func() State }

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descReady           = gauge("ra_ready", "1 where an enrollment would work now, as far as it is known (/readyz).")
	descServing         = gauge("ra_serving", "1 where a load balancer should send clients here (/servingz).")
	descCAInFlight      = gauge("ra_ca_requests_in_flight", "Requests under way at the CA.")
	descWaiting         = gauge("ra_ca_requests_waiting", "Requests that wait for a place at the CA, of clients and of work that no client waits for.", "of")
	descDown            = gauge("ra_ca_down", "1 where the CA counts as down, and is asked by one at a time.")
	descOwnRefused      = gauge("ra_own_account_refused", "1 where the CA refused the account of ca.credentials, and nobody tries it.")
	descClosed          = gauge("ra_lockouts", "Doors that are closed after wrong passwords, by kind.", "kind")
	descNotAfter        = gauge("ra_certificate_not_after_timestamp_seconds", "When the certificate ends; of several the first.", "certificate")
	descLedgerUp        = gauge("ra_ledger_up", "1 where the ledger could be asked.")
	descOrphans         = gauge("ra_ledger_possible_orphans", "Certificates that the CA has, or may have, and that nobody has collected (ra ledger orphans).")
	descPending         = gauge("ra_ledger_pending", "Requests that wait for a manager.")
	descPendingLongest  = gauge("ra_ledger_pending_longest_seconds", "How long the one has waited that waits longest.")
	descLost            = gauge("ra_ledger_lost", "Requests whose answer was lost, and that are being found out.")
	descReplicas        = gauge("ra_ledger_replicas", "Live replicas on the ledger; 0 with SQLite.")
	descDisagreements   = gauge("ra_replica_disagreements", "Things that are not alike in the replicas, and must be (ra ledger replicas).")
	certificateKinds    = []string{"est", "issuing_ca", "intermediate_ca", "root_ca"}
	lockoutKinds        = []string{"account", "user", "address"}
	allStateDescriptors = []*prometheus.Desc{
		descReady, descServing, descCAInFlight, descWaiting, descDown, descOwnRefused, descClosed, descNotAfter, descLedgerUp,
		descOrphans, descPending, descPendingLongest, descLost, descReplicas, descDisagreements,
	}
)

func (stateCollector) Describe(all chan<- *prometheus.Desc) {
	for _, d := range allStateDescriptors {
		all <- d
	}
}

func (c stateCollector) Collect(all chan<- prometheus.Metric) {
	s := c.look()
	tell := func(d *prometheus.Desc, value float64, labels ...string) {
		all <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	tell(descReady, number(s.Ready))
	tell(descServing, number(s.Serving))
	tell(descCAInFlight, float64(s.CAInFlight))
	tell(descWaiting, float64(s.WaitingClients), "clients")
	tell(descWaiting, float64(s.WaitingBackground), "background")
	tell(descDown, number(s.CADown))
	tell(descOwnRefused, number(s.OwnAccountRefused))
	for _, kind := range lockoutKinds {
		tell(descClosed, float64(s.Closed[kind]), kind)
	}
	for _, kind := range certificateKinds {
		if end, ok := s.Certificates[kind]; ok {
			tell(descNotAfter, float64(end.Unix()), kind)
		}
	}
	tell(descDisagreements, float64(s.Disagreements))
	tell(descLedgerUp, number(s.Ledger != nil))
	if l := s.Ledger; l != nil {
		tell(descOrphans, float64(l.PossibleOrphans))
		tell(descPending, float64(l.Pending))
		tell(descPendingLongest, l.PendingLongest.Seconds())
		tell(descLost, float64(l.Lost))
		tell(descReplicas, float64(l.Replicas))
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
