package lab

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"ciscora/est"
	"ciscora/ra/admin"
	"ciscora/ra/fault"
)

const (
	maxCSR = 64 << 10
	// csrWait is how long the rest of a body may take once its answer is decided.
	csrWait = 2 * time.Second
)

// learnNames notes whose each enrollment is that ends before its CSR is read: a test that
// asks for a name wants to know of refused log-ins, too. It reads no body before its time,
// nor one that its client sends only when it is asked to (Expect).
func (l *Lab) learnNames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := est.RequestID(r.Context())
		if r.Method != http.MethodPost || r.Body == nil {
			next.ServeHTTP(w, r)
			return
		}
		body := &seenBody{ReadCloser: r.Body}
		r.Body = body
		defer func() {
			e, known := l.Enrollments().Get(id)
			if !known || e.CN != "" {
				return
			}
			if r.Header.Get("Expect") == "" && http.NewResponseController(w).SetReadDeadline(time.Now().Add(csrWait)) == nil {
				_, _ = io.Copy(io.Discard, io.LimitReader(body, maxCSR)) // what came is enough, or it is not
			}
			if names := fault.Names(body.seen.Bytes()); len(names) > 0 {
				l.Enrollments().Update(id, func(x *admin.Enrollment) { x.CN = names[0] })
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// seenBody keeps what is read of a request's body.
type seenBody struct {
	io.ReadCloser
	seen bytes.Buffer
}

func (b *seenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.seen.Write(p[:min(n, max(0, maxCSR-b.seen.Len()))])
	return n, err
}
