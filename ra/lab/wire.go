package lab

import (
	"bytes"
	"context"
	"io"
	"net"
	"time"

	"ciscora/est"
	"ciscora/msca/certsrv"
	"ciscora/ra/capture"
	"ciscora/ra/fault"
	"ciscora/ra/server"
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

// dial keeps the bytes of connections to the CA, beneath the faults.
func (r *recording) dial(faults *fault.Registry, dial server.DialFunc) func(server.DialFunc) server.DialFunc {
	return func(server.DialFunc) server.DialFunc { return faults.Dial(r.capture.Dial(dial)) }
}

// listener keeps the bytes of EST clients' connections, beneath the faults.
func (r *recording) listener(next func(net.Listener) net.Listener) func(net.Listener) net.Listener {
	return func(l net.Listener) net.Listener { return next(r.capture.Listener(l)) }
}

// caLine is the line of the CA's log about a request.
func (r *recording) caLine(e certsrv.AccessEntry) {
	var line bytes.Buffer
	tracelog.NewW3C(&line).Log(w3cEntry(e))
	for text := range bytes.Lines(line.Bytes()) {
		if !bytes.HasPrefix(text, []byte("#")) {
			r.wire.CALine(e.Client, string(bytes.TrimSpace(text)))
		}
	}
}

// w3cEntry is an entry as the log has it.
func w3cEntry(e certsrv.AccessEntry) tracelog.W3CEntry {
	return tracelog.W3CEntry{
		Time: e.Time, ServerIP: e.ServerIP, Method: e.Method, URIStem: e.URIStem, URIQuery: e.URIQuery, Port: e.Port, User: e.User,
		ClientIP: e.ClientIP, UserAgent: e.UserAgent, Referer: e.Referer, Status: e.Status, SubStatus: e.SubStatus, Win32: e.Win32, Taken: e.Taken,
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

// Lines are those that CAPF's trace has of a phone.
func (r *recording) Lines(_ context.Context, phone string) []string { return r.phones.of(phone) }

func (r *recording) clear() {
	r.wire.Clear()
	r.capture.Clear()
	r.phones.clear()
}
