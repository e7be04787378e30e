// Package metrics counts what an RA does, for Prometheus. It knows nothing of the
// others: who wires an RA tells it what happened, and hands it what is looked at when
// it is asked.
//
// Names and units follow https://prometheus.io/docs/practices/naming/. Labels have the
// values that are listed in this package alone, so that no client makes a series.
package metrics

import (
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// Options is what a Metrics is made of.
type Options struct {
	Version string // of this build
	// Look returns the RA's state; it is called each time when somebody asks, and
	// must return within a few seconds. nil = none is shown.
	Look   func() State
	Logger *zap.Logger // nil = none
}

// Metrics counts. All methods may be called by several goroutines.
type Metrics struct {
	registry *prometheus.Registry
	log      *zap.Logger

	enrollments *prometheus.CounterVec
	took        *prometheus.HistogramVec
	legs        *prometheus.HistogramVec
	failures    *prometheus.CounterVec
	logins      *prometheus.CounterVec
	ledger      *prometheus.HistogramVec
	lost        *prometheus.CounterVec
	requests    prometheus.Gauge
	connections prometheus.Gauge
}

// Outcomes of an enrollment's request, as [Metrics.Enrolled] takes them.
const (
	Issued     = "issued"     // the client has its certificate
	Pending    = "pending"    // a manager decides, or the RA finds out: the client is to come again
	Denied     = "denied"     // the CA, or a policy, said no
	Refused    = "refused"    // the client's credentials were
	Challenged = "challenged" // it was asked for credentials
	BadRequest = "bad_request"
	Busy       = "busy"    // told to come again: too many, a CA or ledger that is away, a lock-out
	Timeout    = "timeout" // the CA's
	Gone       = "gone"    // no answer reached the client
	Failed     = "failed"
)

var (
	outcomes   = []string{Issued, Pending, Denied, Refused, Challenged, BadRequest, Busy, Timeout, Gone, Failed}
	operations = []string{"simpleenroll", "simplereenroll", "serverkeygen"}
)

// Events of a request whose answer from the CA was lost.
const (
	Recovered      = "recovered"       // its certificate was collected without a client
	Found          = "found"           // its number was found
	NeverArrived   = "never_arrived"   // the CA never had it
	PossibleOrphan = "possible_orphan" // a person is needed
)

// other is a label's value for what is none of those known.
const other = "other"

const maxGathers = 4 // at a time

// New returns a Metrics.
func New(o Options) *Metrics {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	slow := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60, 120} // 10 s is the time-out of CES
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		log:      o.Logger,
		enrollments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ra_enrollments_total", Help: "Requests to enroll that have ended, by EST operation and outcome.",
		}, []string{"operation", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ra_enrollment_duration_seconds", Help: "From a request's header to its answer's last byte.", Buckets: slow,
		}, []string{"operation", "outcome"}),
		legs: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ra_ca_leg_duration_seconds", Help: "Exchanges with the CA, by leg and whether they succeeded.", Buckets: slow,
		}, []string{"leg", "result"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ra_ca_failures_total", Help: "Exchanges with the CA that failed, by leg and kind.",
		}, []string{"leg", "kind"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ra_ca_logins_total", Help: "Log-ins at the CA, by what the CA said of the account.",
		}, []string{"result"}),
		ledger: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ra_ledger_duration_seconds", Help: "What the ledger took for a write or a read.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}, []string{"operation"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ra_lost_answers_total", Help: "What came of requests whose answer from the CA was lost.",
		}, []string{"result"}),
		requests:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "ra_est_requests_in_flight", Help: "EST requests that have no answer yet."}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ra_est_connections", Help: "Connections of EST clients."}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ra_build_info", Help: "1, with the version of this build.", ConstLabels: prometheus.Labels{"version": o.Version},
	})
	info.Set(1)
	m.registry.MustRegister(m.enrollments, m.took, m.legs, m.failures, m.logins, m.ledger, m.lost, m.requests, m.connections, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if o.Look != nil {
		m.registry.MustRegister(stateCollector{o.Look})
	}
	// Series that are there from the start show their first event as an increase.
	for _, operation := range operations {
		for _, outcome := range outcomes {
			m.enrollments.WithLabelValues(operation, outcome)
		}
	}
	for _, result := range []string{accepted, refused, failed} {
		m.logins.WithLabelValues(result)
	}
	for _, result := range []string{Recovered, Found, NeverArrived, PossibleOrphan} {
		m.lost.WithLabelValues(result)
	}
	return m
}

// Handler serves the figures in Prometheus's text form.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxGathers,
		Timeout:             10 * time.Second,
		ErrorLog:            zap.NewStdLog(m.log),
	})
}

// Opened counts a connection of a client's.
func (m *Metrics) Opened() { m.connections.Inc() }

// Closed ends one that was [Metrics.Opened].
func (m *Metrics) Closed() { m.connections.Dec() }

// Received counts a request.
func (m *Metrics) Received() { m.requests.Inc() }

// Answered ends one that was [Metrics.Received].
func (m *Metrics) Answered() { m.requests.Dec() }

// Enrolled counts the end of a request to enroll, with one of the outcomes. Another
// operation than an enrollment's does not count.
func (m *Metrics) Enrolled(operation, outcome string, took time.Duration) {
	if !slices.Contains(operations, operation) {
		return
	}
	outcome = oneOf(outcomes, outcome)
	m.enrollments.WithLabelValues(operation, outcome).Inc()
	m.took.WithLabelValues(operation, outcome).Observe(took.Seconds())
}

// Leg counts an exchange with the CA; kind is "" where it succeeded.
func (m *Metrics) Leg(leg, kind string, took time.Duration) {
	result := "ok"
	if kind != "" {
		result = "error"
		m.failures.WithLabelValues(leg, kind).Inc()
	}
	m.legs.WithLabelValues(leg, result).Observe(took.Seconds())
}

const (
	accepted = "accepted"
	refused  = "refused"
	failed   = "failed"
)

// Login counts a log-in at the CA: whether it took the account, refused it, or could
// not tell.
func (m *Metrics) Login(ok, wasRefused bool) {
	result := failed
	switch {
	case ok:
		result = accepted
	case wasRefused:
		result = refused
	}
	m.logins.WithLabelValues(result).Inc()
}

// Lost counts what came of a request whose answer was lost.
func (m *Metrics) Lost(result string) { m.lost.WithLabelValues(result).Inc() }

// Ledger tells what the ledger took for an operation, read or write.
func (m *Metrics) Ledger(operation string, took time.Duration) {
	m.ledger.WithLabelValues(operation).Observe(took.Seconds())
}

func oneOf(known []string, s string) string {
	if slices.Contains(known, s) {
		return s
	}
	return other
}
