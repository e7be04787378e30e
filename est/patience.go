package est

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// libest's client waits 10 s for each read, not for the whole answer (see
// docs/reference/libest.md, "Timers"). The start of the status line commits to nothing yet: sent
// a byte at a time it keeps such a client waiting while the CA works.
const (
	statusLineStart = "HTTP/1.1 "
	patienceStep    = 8 * time.Second // under libest's 10 s, with room for the way; Server.patienceStep

	// lingerTime and lingerBytes bound what is read from a client after its
	// answer: a close before that would be a reset, which may take the answer with
	// it.
	lingerTime  = 2 * time.Second
	lingerBytes = 256 << 10
)

// patience keeps one client waiting. Until the first byte is due it does nothing,
// and the answer is net/http's own; from then on the connection is taken over, and
// the answer follows what was sent of the status line.
type patience struct {
	x     *exchange
	on    *conn // the connection's own record; nil where Serve was not used
	until time.Time
	stop  chan struct{}
	done  chan struct{}

	mu    sync.Mutex // guards all below
	known bool       // the answer is: no more bytes
	conn  net.Conn   // nil as long as net/http has it
	sent  int        // bytes of statusLineStart

	// The answer, once the connection is taken over.
	status int
	body   bytes.Buffer
}

// bePatient begins to keep the client waiting, if that is configured and can be. The
// body is read before that: as long as it is on its way it is the client who is
// late, and a connection must not be taken over while its body is read. So under
// patience a body that cannot be read is refused before the client is asked who it
// is.
//
// A client without a User-Agent, which is strongSwan, waits by itself and takes a
// status line in pieces for a malformed one: it gets none.
func (x *exchange) bePatient(r *http.Request) error {
	total := x.server.patience
	if total <= 0 || !r.ProtoAtLeast(1, 1) || r.Header.Get("Expect") != "" || r.UserAgent() == "" {
		return nil
	}
	body, err := x.server.readBody(x, r)
	if err != nil {
		return err
	}
	x.body = body
	p := &patience{x: x, on: connOf(r.Context()), until: time.Now().Add(total), stop: make(chan struct{}), done: make(chan struct{})}
	x.patience = p
	go p.run()
	return nil
}

func (p *patience) run() {
	defer close(p.done)
	tick := time.NewTicker(p.x.server.patienceStep)
	defer tick.Stop()
	for range len(statusLineStart) {
		select {
		case <-tick.C:
		case <-p.stop:
			return
		}
		if time.Now().After(p.until) || !p.send() {
			return
		}
	}
}

// send sends one byte more, and tells whether there is a client to wait for.
func (p *patience) send() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known {
		return false
	}
	if p.conn == nil {
		// net/http forgets a connection that is taken over: from here on Serve
		// waits for it by itself.
		if p.on != nil {
			p.on.patient.Add(1)
		}
		conn, _, err := p.x.control.Hijack()
		if err != nil {
			p.letGo()
			return false
		}
		_ = conn.SetDeadline(time.Time{})
		p.conn = conn
	}
	_ = p.conn.SetWriteDeadline(time.Now().Add(patienceStep))
	if _, err := p.conn.Write([]byte(statusLineStart[p.sent : p.sent+1])); err != nil {
		return false // gone: what the CA issues waits for its retry
	}
	p.sent++
	return true
}

// end closes a connection that was taken over, whatever became of its answer, and lets
// Serve end. What there is to report has been: nobody who is told of the answer is away by
// then.
func (p *patience) end() {
	if p == nil || !p.takenOver() {
		return
	}
	<-p.done
	_ = p.conn.Close()
	p.letGo()
}

// letGo tells Serve that the connection is done with.
func (p *patience) letGo() {
	if p.on != nil {
		p.on.patient.Done()
	}
}

// takenOver says that the answer is known, and tells whether it is ours to write.
func (p *patience) takenOver() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known {
		p.known = true
		close(p.stop)
	}
	return p.conn != nil
}

// finish writes the answer behind what was sent of it; ours is false, and nothing is
// done, where the answer is net/http's. [patience.end] follows.
func (p *patience) finish() (ours bool, err error) {
	if p == nil {
		return false, nil
	}
	ours = p.takenOver()
	<-p.done
	if !ours {
		return false, nil
	}
	if p.status == 0 {
		return true, errors.New("there was no answer")
	}
	var answer bytes.Buffer
	answer.WriteString(statusLineStart + strconv.Itoa(p.status) + " " + http.StatusText(p.status) + "\r\n")
	header := p.x.ResponseWriter.Header().Clone()
	header["Connection"] = []string{"close"}
	if _, chosen := header["Date"]; !chosen {
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat)) // as net/http
	}
	_ = header.Write(&answer) // a buffer takes all
	answer.WriteString("\r\n")
	answer.Write(p.body.Bytes())
	_ = p.conn.SetWriteDeadline(time.Now().Add(p.x.server.limits.AnswerTimeout))
	if _, err := p.conn.Write(answer.Bytes()[p.sent:]); err != nil {
		return true, err
	}
	if half, ok := p.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		_ = p.conn.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, p.conn, lingerBytes)
	}
	return true, nil
}
