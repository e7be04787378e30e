package fault_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/ra/fault"
)

// pages is a built-in CA that no fault needs.
type pages struct{ fault.Pages }

func (pages) RequestsBefore(*http.Request) int                         { return 0 }
func (pages) LoggedIn(*http.Request) bool                              { return true }
func (pages) AnswerAs(http.ResponseWriter, *http.Request, string) bool { return false }

func TestWhoWaitsInAFaultIsLetGoWhenItIsTakenBack(t *testing.T) {
	for spec, answered := range map[string]bool{"certsrv.submit:hang": false, "certsrv.submit:delay=1h": true} {
		t.Run(spec, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := fault.NewRegistry(fault.Options{})
				id, err := r.Order(spec)
				if err != nil {
					t.Fatal(err)
				}
				other, err := r.Order("certsrv.fetch:hang")
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan bool, 1)
				reached := false
				handler := r.Certsrv(pages{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
				go func() {
					defer func() { ended <- recover() == nil }()
					handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/certsrv/certfnsh.asp", nil))
				}()
				time.Sleep(time.Minute) // virtual
				r.Remove(other)
				synctest.Wait()
				if len(ended) != 0 {
					t.Fatal("it did not wait, or for another fault")
				}
				if !r.Remove(id) || r.Remove(id) {
					t.Error("not removed once")
				}
				synctest.Wait()
				select {
				case whole := <-ended:
					if whole != answered || reached != answered {
						t.Errorf("ended whole: %v, the page was reached: %v; want %v", whole, reached, answered)
					}
				default:
					t.Error("it waits still")
					r.Clear()
				}
			})
		})
	}
}
