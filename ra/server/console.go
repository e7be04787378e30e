package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"ciscora/internal/x501"
	"ciscora/ra/admin"
	"ciscora/ra/console"
)

// newConsole are the pages for people. Only where the built-in CA runs, in a lab, do
// they change anything.
func (s *Server) newConsole(o Options, enrollments *admin.Enrollments) (http.Handler, error) {
	options := console.Options{
		Look:        func(ctx context.Context) console.Overview { return s.overview(ctx, o.Version, o.Requests != nil) },
		Enrollments: enrollments, Ledger: s.ledger, Now: o.Now, Logger: o.Logger.Named("console"),
	}
	if o.Wire != nil {
		options.Recordings = o.Wire
	}
	if o.Requests != nil {
		lab := o.LabPages
		lab.Faults, lab.Queue, lab.Lockouts = o.Faults, o.Requests, lockouts{s.core}
		if reset := lab.Reset; reset != nil {
			lab.Reset = func(ctx context.Context) error {
				enrollments.Clear(admin.Filter{})
				o.Wire.Clear()
				_, err := lab.Lockouts.Forgive(ctx, "")
				return errors.Join(err, reset(ctx))
			}
		}
		options.Lab = &lab
	}
	return console.New(options)
}

// overview is the state of this moment; ownCA tells that the CA's queue is on the page Lab.
func (s *Server) overview(ctx context.Context, version string, ownCA bool) console.Overview {
	q := s.core.Queue()
	o := console.Overview{
		Version: version, Profile: string(s.config.Profile), CA: s.config.CA.URL,
		Readiness: s.readiness(), Warnings: s.replicas.warnings(), InFlight: q.InFlight, Waiting: q.Waiting,
	}
	if q.Down {
		o.CADown = "it is asked by one at a time"
		if q.Cause != nil {
			o.CADown = q.Cause.Error()
		}
	}
	add := func(what string, c *x509.Certificate) {
		o.Certificates = append(o.Certificates, console.Certificate{What: what, Subject: x501.Text(c.RawSubject), NotAfter: c.NotAfter})
	}
	for _, c := range s.leaves() {
		add("EST server ("+c.PublicKeyAlgorithm.String()+")", c)
	}
	for i, c := range s.core.Chain() {
		add(map[bool]string{true: "issuing CA", false: "CA above"}[i == 0], c)
	}
	ctx, cancel := context.WithTimeout(ctx, metricsLook)
	defer cancel()
	if all, err := s.ledger.Replicas(ctx); err == nil && len(all) > 1 {
		for _, r := range all {
			o.Replicas = append(o.Replicas, console.Replica{Name: r.Name, Version: r.Version, Live: r.Live, Self: r.Self, Offset: r.Offset.Round(time.Millisecond)})
		}
	}
	o.Needs = s.needs(ctx, o.Certificates, ownCA)
	return o
}

// needs is what a person is to do, worst first.
func (s *Server) needs(ctx context.Context, certificates []console.Certificate, ownCA bool) (list []console.Need) {
	add := func(what, remedy, link string) {
		list = append(list, console.Need{What: what, Remedy: remedy, Link: link})
	}
	if own := s.core.OwnRefusal(); own != nil {
		add("The CA refused the RA's own account "+own.Account+".", "Mend the file of ca.credentials: it is wrong, expired or locked. It is not tried before "+own.Until.UTC().Format("15:04:05 UTC")+", or until the file changes.", "")
	}
	summary, err := s.ledger.Summary(ctx)
	switch {
	case err != nil:
		add("The ledger cannot be used.", err.Error(), "")
	case summary.Orphans > 0:
		add(counted(summary.Orphans, "possible orphan", "possible orphans")+": certificates that the CA has, or may have, and nobody has collected.",
			"Where the client comes again it gets its own. For the rest: ra ledger orphans, then ra ledger resolve ROW --req-id N.", "/console/requests?orphans=1")
	}
	if err == nil && summary.Pending > 0 {
		they, since := "them", ", the longest since "
		if summary.Pending == 1 {
			they, since = "it", " since "
		}
		remedy, link := "Approve or deny "+they+" at the CA.", "/console/requests?state=pending"
		if ownCA {
			remedy, link = "Approve or deny "+they+" on the page Lab.", "/console/lab#queue"
		}
		add(counted(summary.Pending, "request waits", "requests wait")+" for a manager"+since+summary.PendingSince.UTC().Format("2006-01-02 15:04 UTC")+".",
			remedy, link)
	}
	if closed := s.closedDoors(ctx); len(closed) > 0 {
		const most = 5
		var names []string
		for _, door := range closed[:min(len(closed), most)] {
			names = append(names, door.Kind+" "+door.Name)
		}
		add(counted(len(closed), "door is", "doors are")+" closed after wrong passwords: "+strings.Join(names, ", ")+".",
			"A password that was right still passes. GET /lockouts tells more, DELETE /lockouts/NAME opens one.", "")
	}
	for _, c := range certificates {
		if left := c.NotAfter.Sub(s.now()); left < 14*24*time.Hour {
			add(fmt.Sprintf("The certificate of the %s ends at %s.", c.What, c.NotAfter.UTC().Format("2006-01-02 15:04 UTC")), "Renew it: the RA reads its files again when they change, and the CA's chain by itself.", "")
		}
	}
	return list
}

func counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}
