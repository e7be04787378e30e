package lab

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"time"

	"ciscora/est"
	"ciscora/msca/certsrv"
	"ciscora/ra/capture"
	"ciscora/ra/tracelog"
	"ciscora/ra/wire"
)

// recording is what a lab keeps of its wires and logs, for its pages.
type recording struct {
	wire    *wire.Recorder
	capture *capture.Capture
	phones  *phoneLines
}

func newRecording(now func() time.Time) *recording {
	return &recording{
		wire:    wire.New(wire.Options{ID: est.RequestID, Now: now}),
		capture: capture.New(capture.Options{Now: now}),
		phones:  newPhoneLines(now),
	}
}

// keys gets the secrets of TLS, and w too, which may be nil.
func (r *recording) keys(w io.Writer) io.Writer {
	if w == nil {
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
	var line bytes.Buffer
	tracelog.NewW3C(&line).Log(tracelog.W3CEntry(e))
	for text := range bytes.Lines(line.Bytes()) {
		if !bytes.HasPrefix(text, []byte("#")) {
			r.wire.CALine(net.JoinHostPort(e.ClientIP, strconv.Itoa(e.ClientPort)), string(bytes.TrimSpace(text)))
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
