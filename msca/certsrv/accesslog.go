package certsrv

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// win32NetnameDeleted is what IIS logs when the client was gone before the answer
// was complete (ERROR_NETNAME_DELETED, docs/reference/certsrv.md 1.4).
const win32NetnameDeleted uint32 = 64

// AccessEntry is one request as IIS's W3C log has it (docs/reference/certsrv.md 1.4):
// raw values, "" where there was none. How they are written is the log's part.
type AccessEntry struct {
	Time               time.Time // when it was answered
	ServerIP, Method   string
	URIStem, URIQuery  string // the query without its question mark
	Port               int
	User               string // DOMAIN\user, "" for a request without a log-in
	ClientIP           string
	ClientPort         int
	UserAgent, Referer string
	Status, SubStatus  int // Status 0 when there was no answer at all
	Win32              uint32
	Taken              time.Duration
}

// logged is what the pages know of an entry and the HTTP server does not.
type logged struct {
	user  string
	query string // behind the query, where an ASP page failed
	sub   int
	win32 uint32
	// kernel says that http.sys answers before IIS hears of the request: there is no entry.
	kernel bool
}

type loggedKey struct{}

// entryOf returns the part of a request's entry that the pages fill in.
func entryOf(ctx context.Context) *logged {
	if l, ok := ctx.Value(loggedKey{}).(*logged); ok {
		return l
	}
	return new(logged)
}

// accessLog calls log once for each request that next answers.
func accessLog(next http.Handler, now func() time.Time, log func(AccessEntry)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := now()
		l := new(logged)
		rec := &recorder{ResponseWriter: w}
		complete := false
		defer func() {
			e := AccessEntry{
				Method:    r.Method,
				URIStem:   r.URL.EscapedPath(),
				URIQuery:  r.URL.RawQuery + l.query,
				User:      l.user,
				UserAgent: r.UserAgent(),
				Referer:   r.Referer(),
				Status:    rec.status,
				SubStatus: l.sub,
				Win32:     l.win32,
			}
			e.ClientIP, e.ClientPort = splitAddress(r.RemoteAddr)
			if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
				e.ServerIP, e.Port = splitAddress(local.String())
			}
			if rec.err != nil || r.Context().Err() != nil || !complete {
				e.Win32 = win32NetnameDeleted
			}
			e.Time = now()
			e.Taken = e.Time.Sub(start)
			if !l.kernel {
				log(e)
			}
			if complete {
				rec.release()
			}
		}()
		next.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), loggedKey{}, l)))
		complete = rec.status != 0 // and there was no panic, which drops the connection
	})
}

func splitAddress(s string) (ip string, port int) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return s, 0
	}
	return a.Addr().Unmap().String(), int(a.Port())
}

// recorder notes what was answered, and keeps the last byte back until release.
type recorder struct {
	http.ResponseWriter
	status int
	err    error
	last   []byte // no byte or one
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if len(p) == 0 {
		return 0, r.err
	}
	r.release()
	r.send(p[:len(p)-1])
	r.last = append(r.last, p[len(p)-1])
	if r.err != nil {
		return 0, r.err
	}
	return len(p), nil
}

// FlushError sends what was written so far, the last byte included.
func (r *recorder) FlushError() error {
	r.release()
	if err := http.NewResponseController(r.ResponseWriter).Flush(); err != nil && r.err == nil {
		r.err = err
	}
	return r.err
}

// release sends the byte that was kept back.
func (r *recorder) release() {
	r.send(r.last)
	r.last = r.last[:0]
}

func (r *recorder) send(p []byte) {
	if len(p) == 0 || r.err != nil {
		return
	}
	_, r.err = r.ResponseWriter.Write(p) //nolint:gosec // what pages repeat they have escaped
}
