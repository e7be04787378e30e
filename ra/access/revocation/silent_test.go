package revocation_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/ra/access/revocation"
)

// silent is a network whose places take a connection and say nothing.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestPlacesThatDoNotAnswerCostNoMoreThanAClientWaits(t *testing.T) {
	p := newPKI(t)
	var points []string
	for i := range 10 {
		points = append(points, fmt.Sprintf("http://crl.invalid/%d.crl", i))
	}
	phone := p.phone(points, nil)
	synctest.Test(t, func(t *testing.T) {
		c, err := revocation.New(revocation.Options{Hard: true, Transport: silent{}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, most := range []time.Duration{9 * time.Second, 0} { // the second time it is known
			began := time.Now()
			if got := verdict(c.Check(t.Context(), p.chains(phone))); got != unknown {
				t.Error(got)
			}
			if took := time.Since(began); took > most {
				t.Errorf("it took %v, more than %v", took, most)
			}
		}
	})
}
