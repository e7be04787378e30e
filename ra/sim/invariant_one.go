package sim

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"time"

	"ciscora/msca/certsrv"
)

// oneCertificate: what a client asks for has one certificate at the CA, however
// often it asks. Another one is right only where it asked anew (after the join had
// ended, after the old one had expired, after a refusal), or where a possible orphan
// was told.
func oneCertificate(h *History) []string {
	var bad []string
	told := 0
	for wish := range h.Plan.Wishes {
		orphans := h.orphans(wish)
		for _, certificates := range h.questions(wish) {
			for i := 1; i < len(certificates); i++ {
				if orphans--; orphans < 0 {
					bad = append(bad, fmt.Sprintf("%s: ReqID %d beside %d, and no orphan told", wishName(wish), certificates[i].ID, certificates[0].ID))
					break
				}
				told++
			}
		}
	}
	if told > 0 && len(bad) > 0 {
		bad = append(bad, fmt.Sprintf("%d second ones besides, with an orphan told", told))
	}
	return bad
}

// clockSlack is how far a replica's clock may be off where it matters here: plans
// that step a clock by more have no short joins and no short certificates.
const clockSlack = 5 * time.Second

// questions returns the certificates that each question of a client led to, by the
// time of the POST. A question begins with the first request after the one before
// has had its answer.
func (h *History) questions(wish int) [][]certsrv.Request {
	begins := []time.Duration{0}
	issued := h.issued(wish)
	answered := time.Duration(-1) // when a new request is a new question
	given := slices.Clone(issued)
	twins := h.twins(wish)
	for _, r := range h.Requests {
		if slices.Contains(twins, r.ID) {
			given = append(given, r) // it may have been given that of others (docs/scale.md)
		}
	}
	for _, ask := range h.Asks[wish] {
		for _, r := range given {
			c, err := x509.ParseCertificate(r.Certificate)
			isNew := h.Posted[r.ID] >= begins[len(begins)-1] || slices.Contains(twins, r.ID)
			if err == nil && isNew && ask.At >= h.at(c.NotAfter)-clockSlack && h.at(c.NotAfter)-clockSlack > begins[len(begins)-1] {
				answered = ask.At // what it may have been given has expired
			}
		}
		// A replica that stood still looks at it when it goes on.
		if answered >= 0 && ask.Ended >= answered {
			begins, answered = append(begins, ask.At), -1
		}
		switch {
		case ask.Status == http.StatusForbidden:
			answered = ask.Ended
		case ask.Read && answered < 0:
			answered = ask.Ended + h.Plan.join() - clockSlack
		}
	}
	list := make([][]certsrv.Request, len(begins))
	for _, r := range issued {
		n := len(begins) - 1
		for n > 0 && h.Posted[r.ID] < begins[n] {
			n--
		}
		list[n] = append(list[n], r)
	}
	return list
}
