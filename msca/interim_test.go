package msca_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"ciscora/msca"
)

// RFC 9110 §15.2: any number of interim answers may come before the final one. A few
// are passed over; an endless row of them, and a change of protocol that nobody asked
// for, end the connection.
func TestInterimAnswersArePassedOver(t *testing.T) {
	p := newPKI(t)
	for name, c := range map[string]struct {
		statuses []int
		want     msca.Kind // "" = the certificate is read
	}{
		"none":                        {nil, ""},
		"100 Continue":                {[]int{100}, ""},
		"102 and 103":                 {[]int{102, 103}, ""},
		"four":                        {[]int{103, 103, 103, 103}, ""},
		"199 is one, too":             {[]int{199}, ""},
		"five":                        {[]int{103, 103, 103, 103, 103}, msca.KindParse},
		"101, which nobody asked for": {[]int{101}, msca.KindParse},
	} {
		t.Run(name, func(t *testing.T) {
			o := p.options(t, disturbed(p, func(w io.Writer, r *http.Request, _ []byte) bool {
				if strings.HasSuffix(r.URL.Path, "/certnew.cer") {
					for _, status := range c.statuses {
						fmt.Fprintf(w, "HTTP/1.1 %d Interim\r\nLink: </style.css>\r\n\r\n", status)
					}
				}
				return false
			}))
			s, err := newClient(t, o).Login(t.Context(), account)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			cert, err := s.Fetch(t.Context(), 7, p.csr)
			if c.want != "" {
				_ = asError(t, err, c.want)
				if s.Alive() {
					t.Error("the session is kept, with an answer unread on it")
				}
				return
			}
			if err != nil || !cert.Equal(p.phone.cert) {
				t.Fatalf("certificate %v, %v", cert, err)
			}
			if !s.Alive() {
				t.Error("the session is given up")
			}
		})
	}
}
