package wire

import (
	"bytes"
	"container/list"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"ciscora/internal/printable"
	"ciscora/msca"
)

const (
	maxKept  = 16 << 10 // of one body
	maxSteps = 100
	maxLines = 200
)

// Options of a recorder; what is zero has a default.
type Options struct {
	// ID names the enrollment that a context belongs to; "" = none, of which nothing is
	// kept. It is needed.
	ID          func(context.Context) string
	Enrollments int // that are kept, the newest; 500
	Bytes       int // of each: headers and what is in them, bodies, certificates and lines; 128 KiB
	Now         func() time.Time
}

// Recorder keeps the records of the newest enrollments. A nil one keeps nothing: its
// methods may be called all the same.
type Recorder struct {
	Options

	mu    sync.Mutex // guards all below
	byID  map[string]*list.Element
	order list.List // of *record; the oldest in front
	ports map[string]*port
	calls []string // the keys of ports, the oldest first
}

type record struct {
	Record

	id    string
	left  int  // bytes that may still be kept
	ofLeg bool // the newest event is the newest leg's
}

// port is what is known of a connection to the CA, by its address at the RA's side.
type port struct {
	id     string   // whose request was the last one
	failed bool     // it ended without an answer: its line in the CA's log may yet come
	lines  []string // of the CA's log, of a request whose end the RA has not seen yet
}

const maxPorts = 1000

// New makes a recorder.
func New(o Options) *Recorder {
	if o.Enrollments == 0 {
		o.Enrollments = 500
	}
	if o.Bytes == 0 {
		o.Bytes = 128 << 10
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Recorder{Options: o, byID: map[string]*list.Element{}, ports: map[string]*port{}}
}

// Get returns what is known of an enrollment.
func (r *Recorder) Get(id string) (Record, bool) {
	if r == nil {
		return Record{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.byID[id]
	if !ok {
		return Record{}, false
	}
	c := at.Value.(*record).Record
	c.Legs, c.UnderWay, c.Lines = slices.Clone(c.Legs), slices.Clone(c.UnderWay), slices.Clone(c.Lines)
	return c, true
}

// Clear forgets all.
func (r *Recorder) Clear() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.byID)
	clear(r.ports)
	r.order.Init()
	r.calls = nil
}

// change changes a record, which is made where there is none.
func (r *Recorder) change(id string, f func(*record)) {
	if id == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.locked(id, f)
}

func (r *Recorder) locked(id string, f func(*record)) {
	at, ok := r.byID[id]
	if !ok {
		for len(r.byID) >= r.Enrollments {
			oldest := r.order.Front()
			delete(r.byID, oldest.Value.(*record).id)
			r.order.Remove(oldest)
		}
		at = r.order.PushBack(&record{id: id, left: r.Bytes})
		r.byID[id] = at
	}
	f(at.Value.(*record))
}

// Leg ends a leg of an enrollment: what has come since the one before was part of it, and
// the lines that come before the next event tell of it. Its steps are the recorder's.
func (r *Recorder) Leg(ctx context.Context, leg Leg) {
	if r == nil {
		return
	}
	r.change(r.ID(ctx), func(x *record) {
		if x.ofLeg = len(x.Legs) < maxSteps; x.ofLeg {
			leg.Steps = x.UnderWay
			x.Legs = append(x.Legs, leg)
		} else {
			x.Cut = true
		}
		x.UnderWay = nil
	})
}

// Event is any other event of an enrollment.
func (r *Recorder) Event(ctx context.Context) {
	if r == nil {
		return
	}
	r.change(r.ID(ctx), func(x *record) { x.ofLeg = false })
}

// Lines are lines of a log about an enrollment's newest event.
func (r *Recorder) Lines(ctx context.Context, log string, text []byte) {
	if r == nil {
		return
	}
	r.change(r.ID(ctx), func(x *record) {
		leg := -1
		if x.ofLeg {
			leg = len(x.Legs) - 1
		}
		for l := range bytes.Lines(text) {
			x.line(log, string(bytes.TrimRight(l, "\r\n")), leg)
		}
	})
}

func (x *record) line(log, text string, leg int) {
	text = printable.Cut(text, 4*maxValue)
	if len(x.Lines) == maxLines || !x.take(len(text)) {
		x.Cut = true
		return
	}
	x.Lines = append(x.Lines, Line{Log: log, Text: text, Leg: leg})
}

// take uses up bytes, where there are as many.
func (x *record) take(n int) bool {
	if n > x.left {
		x.Cut = true
		return false
	}
	x.left -= n
	return true
}

// ofCA is the CA's log in [Line].
const ofCA = "iis"

// CALine is a line of the CA's log about a request on the connection from that address
// of the RA's.
func (r *Recorder) CALine(client, text string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.port(client)
	if p.failed { // nobody awaits the answer any more
		p.failed = false
		r.locked(p.id, func(x *record) { x.line(ofCA, text, x.legOf(client)) })
		return
	}
	if len(p.lines) < 8 { // a log-in takes two
		p.lines = append(p.lines, text)
	}
}

// legOf is the newest leg that used a connection.
func (x *record) legOf(local string) int {
	for i, l := range slices.Backward(x.Legs) {
		for _, s := range l.Steps {
			if s.Exchange != nil && s.Exchange.Local == local {
				return i
			}
		}
	}
	return -1
}

func (r *Recorder) port(local string) *port {
	p := r.ports[local]
	if p == nil {
		if len(r.calls) == maxPorts {
			delete(r.ports, r.calls[0])
			r.calls = r.calls[1:]
		}
		p = &port{}
		r.ports[local] = p
		r.calls = append(r.calls, local)
	}
	return p
}

// Trace is what hears the CA's side; nil for a nil recorder.
func (r *Recorder) Trace() *msca.Trace {
	if r == nil {
		return nil
	}
	return &msca.Trace{Handshake: r.handshake, Exchange: r.exchange}
}

func (r *Recorder) handshake(ctx context.Context, h msca.Handshake) {
	s := &Handshake{Ends: Ends{address(h.Local), address(h.Remote)}, Start: h.Start, Took: h.Duration}
	s.TLS = readTLS(h.State, h.Name, Server, h.Start.Add(h.Duration))
	if h.Err != nil {
		s.Error = line(h.Err.Error())
		if len(s.TLS.Peer) == 0 {
			s.TLS.Peer = unverified(h.Err)
		}
	}
	r.change(r.ID(ctx), func(x *record) {
		x.fitTLS(&s.TLS)
		x.step(Step{Handshake: s})
	})
}

func (r *Recorder) exchange(ctx context.Context, e msca.Exchange) {
	id := r.ID(ctx)
	if id == "" {
		return
	}
	x := &Exchange{Ends: Ends{address(e.Local), address(e.Remote)}, Start: e.Start, Took: e.Duration}
	x.Request = Message{Line: line(e.Method + " " + e.URI + " HTTP/1.1"), Headers: append([]Header{{Name: "Host", Value: line(e.Host)}}, readHeaders(e.Request)...)}
	if e.Form != "" {
		x.Request.Body = body(typeForm, []byte(e.Form), len(e.Form), nil)
	}
	echo := echoOf(e.Request)
	if e.Status != 0 {
		x.Answer = &Message{Line: statusLine(e.Status), Headers: readHeaders(echo.outOfHeader(e.Answer)), Body: body(kindOf(e.Answer), echo.outOfBody(e.Body), len(e.Body), e.Answer)}
	}
	if e.Err != nil {
		x.Error = line(echo.out(e.Err.Error()))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.locked(id, func(rec *record) {
		rec.fit(x)
		rec.step(Step{Exchange: x})
		p := r.port(x.Local)
		for _, text := range p.lines {
			rec.line(ofCA, text, len(rec.Legs))
		}
		*p = port{id: id, failed: e.Err != nil && len(p.lines) == 0}
	})
}

func (x *record) step(s Step) {
	if len(x.UnderWay) == maxSteps {
		x.Cut = true
		return
	}
	x.UnderWay = append(x.UnderWay, s)
}

// fitTLS takes what a peer's certificates need, or drops them.
func (x *record) fitTLS(t *TLS) {
	n := 0
	for _, c := range t.Peer {
		n += len(c.Raw)
	}
	if !x.take(n) {
		t.Peer = nil
	}
}

// fit takes what an exchange needs, and drops that for which there is no room.
func (x *record) fit(e *Exchange) {
	if e.TLS != nil {
		x.fitTLS(e.TLS)
	}
	for _, m := range []*Message{&e.Request, e.Answer} {
		if m == nil {
			continue
		}
		n := len(m.Line)
		for _, h := range m.Headers {
			n += len(h.Name) + len(h.Value) + h.Token.size()
		}
		if !x.take(n) {
			m.Headers = nil
		}
		if !x.take(len(m.Body.raw)) {
			m.Body.raw = nil
		}
	}
}

func body(kind string, raw []byte, length int, h http.Header) Body {
	b := Body{Length: length, kind: strings.ToLower(kind), raw: bytes.Clone(raw[:min(len(raw), maxKept)])}
	if h != nil {
		b.header = http.Header{"Content-Type": h.Values("Content-Type")}
	}
	return b
}

func statusLine(status int) string {
	return line(fmt.Sprintf("HTTP/1.1 %d %s", status, http.StatusText(status)))
}

func address(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}
