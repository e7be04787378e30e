package sim

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"ciscora/msca/certsrv"
)

// oneCertificate: a wish has one certificate at the CA. Another one is right only
// where the client asked anew for it (after the join had ended, after the old one
// had expired, after a refusal) or where a possible orphan was told.
func oneCertificate(h *History) []string {
	var bad []string
	second := 0
	for wish := range h.Plan.Wishes {
		issued := h.issued(wish)
		orphans := h.orphans(wish)
		for i := 1; i < len(issued); i++ {
			if h.askedAnew(wish, issued[i-1], issued[i]) {
				continue
			}
			if orphans--; orphans < 0 {
				bad = append(bad, fmt.Sprintf("%s: ReqID %d after %d, and no orphan told", wishName(wish), issued[i].ID, issued[i-1].ID))
				break
			}
			second++
		}
	}
	if second > 0 && len(bad) > 0 {
		bad = append(bad, fmt.Sprintf("%d second ones besides, with an orphan told", second))
	}
	return bad
}

// askedAnew tells whether a client could rightly expect another certificate when
// the CA got its second request.
func (h *History) askedAnew(wish int, before, after certsrv.Request) bool {
	old, err := x509.ParseCertificate(before.Certificate)
	if err != nil {
		return false
	}
	submitted := h.at(after.Submitted)
	read := time.Duration(-1)
	for _, ask := range h.Asks[wish] {
		if ask.Read && ask.Certificate.Equal(old) && (read < 0 || ask.Ended < read) {
			read = ask.Ended
		}
	}
	for _, ask := range h.Asks[wish] {
		switch {
		case ask.At > submitted:
			continue
		case ask.Status == http.StatusForbidden && ask.Ended <= submitted && ask.Ended >= h.at(before.Submitted):
			return true
		case read >= 0 && ask.At >= read+h.Plan.join()-clockSlack:
			return true
		}
	}
	return h.at(old.NotAfter) <= submitted+clockSlack
}

// clockSlack is how far a replica's clock may be off where it matters here: plans
// that step a clock by more have no short joins and no short certificates.
const clockSlack = 5 * time.Second
