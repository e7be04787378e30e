package sim

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// iis stands in front of the CA's pages and makes of each exchange what the plan
// says.
func (a *authority) iis(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.limit(w, r)
		l := a.linkOf(r)
		switch {
		case l != nil && l.gone && r.Header.Get("Authorization") == "":
			a.AnswerAs(w, r, "no-dc")
		case l != nil && l.unlogged && !a.w.isCalm() && isLastLeg(r):
			l.unlogged = false // requests of a connection take turns
			// As something before IIS answers, which knows of no log-in.
			http.Error(w, "The service is unavailable for a moment.", http.StatusOK)
		case strings.HasPrefix(r.RemoteAddr, "others"):
			next.ServeHTTP(w, r)
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/certfnsh.asp"):
			a.post(w, r, next)
		case strings.HasSuffix(r.URL.Path, "/certnew.cer"):
			a.get(w, r, next)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isLastLeg tells whether a request for the landing page ends an NTLM log-in: its
// message is of type 3.
func isLastLeg(r *http.Request) bool {
	const message = "TlRMTVNTUAAD" // "NTLMSSP", 0, 3, in base64
	return strings.Contains(r.Header.Get("Authorization"), message) && path.Ext(r.URL.Path) == ""
}

// limit closes a connection after so many answers (Apache: MaxKeepAliveRequests).
func (a *authority) limit(w http.ResponseWriter, r *http.Request) {
	if a.w.plan.KeepAlive == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.served[r.RemoteAddr]++; a.served[r.RemoteAddr] >= a.w.plan.KeepAlive {
		w.Header().Set("Connection", "close")
	}
}

// post is a CSR on its way to the CA.
func (a *authority) post(w http.ResponseWriter, r *http.Request, next http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	wish, ok := wishOf(body)
	if !ok || wish >= len(a.w.plan.Wishes) {
		next.ServeHTTP(w, r) // a log-in's first leg
		return
	}
	a.mu.Lock()
	n := a.posts[wish]
	a.posts[wish]++
	a.mu.Unlock()
	fate := Fate{Kind: Served}
	if fates := a.w.plan.Wishes[wish].Posts; n < len(fates) && !a.w.isCalm() {
		fate = fates[n]
	}
	name := wishName(wish)
	a.w.note("iis", "POST %d of %s: %s", n+1, name, fate)
	think := a.w.between(20*time.Millisecond, 400*time.Millisecond, "think "+name, n)
	r = r.WithContext(context.WithValue(context.WithoutCancel(r.Context()), postKey{}, posted{wish, a.w.elapsed()}))
	a.meet(w, r, fate, think, next)
}

// get is a look at a ReqID.
func (a *authority) get(w http.ResponseWriter, r *http.Request, next http.Handler) {
	id, err := strconv.Atoi(r.URL.Query().Get("ReqID"))
	if err != nil { // the CA's own certificate
		next.ServeHTTP(w, r)
		return
	}
	a.w.mu.Lock()
	wish, ours := a.w.history.Owner[id]
	a.w.mu.Unlock()
	fate, n := Fate{Kind: Served}, 0
	if ours {
		a.mu.Lock()
		n = a.fetches[wish]
		a.fetches[wish]++
		a.mu.Unlock()
		if fates := a.w.plan.Wishes[wish].Fetches; n < len(fates) && !a.w.isCalm() {
			fate = fates[n]
		}
	}
	if id < a.w.plan.firstReqID() && id > 0 {
		// Others had it before all this began: a certificate of another key. The CA's own
		// stands for it, since one under a number of this history would show twice.
		q := r.URL.Query()
		q.Set("ReqID", "CACert")
		q.Set("Renewal", "0")
		r.URL.RawQuery = q.Encode()
	}
	think := a.w.between(2*time.Millisecond, 30*time.Millisecond, r.RemoteAddr+" get", id*100+n)
	counted := &outcome{ResponseWriter: w}
	fetched := Fetched{Failed: 1}
	defer func() {
		// Who has hung up gets no answer, and asks again.
		if (fate.Kind == Served || fate.Kind == Slow) && r.Context().Err() == nil {
			fetched = counted.fetched()
		}
		a.w.note("iis", "GET %d: %s%s", id, fate, counted.note())
		a.w.count(id, fetched)
	}()
	if a.w.plan.Hidden && !ours && a.given(id) {
		time.Sleep(think)
		counted.hidden = true
		a.AnswerAs(counted, r, "403.4")
		return
	}
	a.meet(counted, r, fate, think, next)
}

// given tells whether the CA has given this number to anybody.
func (a *authority) given(id int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return id > 0 && id <= a.highest
}

// meet does what fate says; think is what the CA takes.
func (a *authority) meet(w http.ResponseWriter, r *http.Request, fate Fate, think time.Duration, next http.Handler) {
	link := a.linkOf(r)
	abort := func() {
		if link != nil {
			a.cut(func(l *linked) bool { return l == link })
		}
		panic(http.ErrAbortHandler)
	}
	unseen := func() { next.ServeHTTP(httptest.NewRecorder(), r) }
	later := func() {
		a.w.actors.Go(func() {
			a.w.sleep(min(fate.After, scriptTimeout-time.Second) + think)
			unseen()
		})
	}
	switch fate.Kind {
	case Slow:
		think += fate.After
	case LostBefore:
		abort()
	case LostAnswer:
		time.Sleep(think)
		unseen()
		abort()
	case Late:
		later()
		abort()
	case ServerGone:
		time.Sleep(think)
		a.AnswerAs(w, r, "service-stopped")
		return
	case CallFailed:
		time.Sleep(think)
		unseen()
		r.Header.Del("Authorization") // that was good for one try
		page := httptest.NewRecorder()
		a.AnswerAs(page, r, "service-stopped")
		copyAnswer(w, page, strings.NewReplacer("0x800706ba", "0x800706be", "800706BA", "800706BE", "1722", "1726"))
		return
	case ScriptTime:
		time.Sleep(think)
		a.AnswerAs(w, r, "asp-timeout")
		r.Header.Del("Authorization") // that was good for one try
		later()
		return
	case LoginGone:
		if r.Header.Get("Authorization") != "" {
			break // it logs in with this very request
		}
		link.gone = true // requests of a connection take turns
		a.AnswerAs(w, r, "no-dc")
		return
	case Unavailable:
		a.AnswerAs(w, r, "503")
		return
	case KilledBefore, KilledAnswer, KilledLate:
		if fate.Kind == KilledAnswer {
			time.Sleep(think)
			unseen()
		}
		if fate.Kind == KilledLate {
			later()
		}
		if link != nil && link.process != nil {
			a.w.kill(link.process, a.w.between(2*time.Second, 8*time.Second, r.RemoteAddr+" down", 0))
		}
		abort()
	}
	time.Sleep(think)
	if a.isCut(link) && a.w.draw("recycled "+r.RemoteAddr, 0)%2 == 0 {
		panic(http.ErrAbortHandler) // it went down with IIS, or with its connection
	}
	next.ServeHTTP(w, r)
}

func copyAnswer(w http.ResponseWriter, page *httptest.ResponseRecorder, replace *strings.Replacer) {
	for name, values := range page.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(page.Code)
	_, _ = io.WriteString(w, replace.Replace(page.Body.String()))
}

// wishOf reads from a form whose CSR it is.
func wishOf(body []byte) (int, bool) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return 0, false
	}
	block, _ := pem.Decode([]byte(form.Get("CertRequest")))
	if block == nil {
		return 0, false
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return 0, false
	}
	return wishNamed(csr.Subject.CommonName)
}

func wishNamed(cn string) (int, bool) {
	digits, ok := strings.CutPrefix(cn, "w")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil
}

// outcome sees what a fetch came to.
type outcome struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	hidden bool
}

func (o *outcome) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

func (o *outcome) Write(p []byte) (int, error) {
	o.body.Write(p)
	return o.ResponseWriter.Write(p)
}

func (o *outcome) fetched() Fetched {
	page := o.body.String()
	switch {
	case o.hidden:
		return Fetched{Hidden: 1}
	case o.status != http.StatusOK:
		return Fetched{Failed: 1}
	case strings.Contains(page, "BEGIN CERTIFICATE"):
		return Fetched{Given: 1}
	case strings.Contains(page, "0x80094004"): // CERTSRV_E_PROPERTY_EMPTY
		return Fetched{Unknown: 1}
	case strings.Contains(page, "Taken Under Submission"):
		return Fetched{Waits: 1}
	}
	return Fetched{Denied: 1}
}

func (o *outcome) note() string {
	for _, x := range []struct {
		n    int
		text string
	}{{o.fetched().Given, "given"}, {o.fetched().Unknown, "unknown"}, {o.fetched().Waits, "waits"}, {o.fetched().Hidden, "hidden"}, {o.fetched().Denied, "denied"}} {
		if x.n > 0 {
			return ", " + x.text
		}
	}
	return ""
}

// count adds to what is known of a ReqID's fetches.
func (w *world) count(id int, f Fetched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.history.Fetched[id]
	x.Given, x.Waits, x.Denied, x.Unknown, x.Hidden, x.Failed = x.Given+f.Given, x.Waits+f.Waits, x.Denied+f.Denied, x.Unknown+f.Unknown, x.Hidden+f.Hidden, x.Failed+f.Failed
	w.history.Fetched[id] = x
}
