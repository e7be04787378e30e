package ra_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"ciscora/msca/certsrv"
	"ciscora/ra"
)

// CES gives up with its client, and its answers do here, too; but where connections are
// kept, a log-in belongs to all who wait for it.
func TestAClientThatHangsUpRefusesNobodyWhoSharesItsLogInWhateverTheAnswers(t *testing.T) {
	for name, answers := range map[string]func(*ra.Options){
		"as CES": func(o *ra.Options) {
			o.Answers, o.Sessions, o.Access.CheckTemplate = ra.AnswersCES, ra.SessionsPooled, true
		},
		"plain": listing,
	} {
		t.Run(name, func(t *testing.T) {
			began, goOn := make(chan struct{}), make(chan struct{})
			var once sync.Once
			f := newFixture(t, answers, func(o *certsrv.Options) {
				o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if strings.HasSuffix(r.URL.Path, "certrqxt.asp") {
							once.Do(func() { close(began); <-goOn })
						}
						next.ServeHTTP(w, r)
					})
				})
			})
			enroll := func(ctx context.Context, cn string) <-chan error {
				done, csr := make(chan error, 1), newCSR(t, cn)
				go func() {
					_, err := f.enroll(ctx, f.ca.User, f.ca.Password, "", csr)
					done <- err
				}()
				return done
			}
			ctx, hangUp := context.WithCancel(t.Context())
			first := enroll(ctx, "SEP000000000001")
			<-began
			var others []<-chan error
			for range 5 {
				others = append(others, enroll(t.Context(), "SEP000000000002"))
			}
			hangUp()
			if err := <-first; err == nil {
				t.Error("who hung up was served")
			}
			close(goOn)
			for _, other := range others {
				if err := <-other; err != nil {
					t.Errorf("who waited: %v, %v", err, errors.Unwrap(err))
				}
			}
		})
	}
}
