package lab

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"ciscora/msca/certsrv"
	"ciscora/ra/capture"
	"ciscora/ra/server"
	"ciscora/ra/tracelog"
	"ciscora/ra/wire"
)

// recording is what a lab keeps of its wires and logs, for its pages.
type recording struct {
	wire    *wire.Recorder
	capture *capture.Capture
	phones  *phoneLines

	mu     sync.Mutex // guards both
	line   bytes.Buffer
	worded *tracelog.W3C // writes into line
}

// newRecording keeps nothing where unrecorded is set.
func newRecording(now func() time.Time, unrecorded bool) *recording {
	r := &recording{phones: newPhoneLines(now)}
	r.worded = tracelog.NewW3C(&r.line)
	if !unrecorded {
		r.wire, r.capture = wire.New(wire.Options{ID: server.EnrollmentID, Now: now}), capture.New(capture.Options{Now: now})
	}
	return r
}

// keys gets the secrets of TLS, and w too, which may be nil.
func (r *recording) keys(w io.Writer) io.Writer {
	switch {
	case r.capture == nil:
		return w
	case w == nil:
		return r.capture
	}
	return io.MultiWriter(r.capture, w)
}

// listener keeps the bytes of EST clients' connections, beneath the faults.
func (r *recording) listener(next func(net.Listener) net.Listener) func(net.Listener) net.Listener {
	return func(l net.Listener) net.Listener { return next(r.capture.Listener(l)) }
}

// caLine is the line of the CA's log about a request.
func (r *recording) caLine(e certsrv.AccessEntry) {
	if r.wire == nil {
		return
	}
	client := net.JoinHostPort(e.ClientIP, strconv.Itoa(e.ClientPort))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line.Reset()
	r.worded.Log(tracelog.W3CEntry(e))
	for text := range bytes.Lines(r.line.Bytes()) {
		if !bytes.HasPrefix(text, []byte("#")) { // its header
			r.wire.CALine(client, string(bytes.TrimSpace(text)))
		}
	}
}

// Capture writes an enrollment's connections as a .pcapng with the secrets of their TLS.
func (r *recording) Capture(w io.Writer, id string) error {
	record, ok := r.wire.Get(id)
	if !ok {
		return capture.ErrGone
	}
	return r.capture.PCAPNG(w, record.Connections(), "enrollment "+id)
}

func (r *recording) clear() {
	r.wire.Clear()
	r.capture.Clear()
	r.phones.clear()
}

// lines are what is written to an emulated log of the RA.
func (l *Lab) lines(ctx context.Context, log string, text []byte) {
	l.record.wire.Lines(ctx, log, text)
	l.book.write(ctx, log, text)
}
