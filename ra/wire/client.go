package wire

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
)

// unverified are the certificates of a server that was refused.
func unverified(err error) []*x509.Certificate {
	if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return refused.UnverifiedCertificates[:min(len(refused.UnverifiedCertificates), maxPeer)]
	}
	return nil
}

// Middleware hears the EST client's side.
func (r *Recorder) Middleware(next http.Handler) http.Handler {
	if r == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		id := r.ID(req.Context())
		if id == "" {
			next.ServeHTTP(w, req)
			return
		}
		local, _ := req.Context().Value(http.LocalAddrContextKey).(net.Addr)
		x := Exchange{Ends: Ends{address(local), req.RemoteAddr}, Start: r.Now()}
		if req.TLS != nil {
			t := readTLS(*req.TLS, req.TLS.ServerName, Client, x.Start)
			x.TLS = &t
		}
		x.Request = Message{
			Line:    line(req.Method + " " + target(req.RequestURI) + " " + req.Proto),
			Headers: append([]Header{{Name: "Host", Value: line(req.Host)}}, readHeaders(req.Header)...),
			Body:    Body{kind: strings.ToLower(kindOf(req.Header)), Length: int(max(req.ContentLength, 0))},
		}
		asked := x
		r.change(id, func(rec *record) { rec.Client = &asked })
		sent := &tee{ReadCloser: req.Body}
		req.Body = sent
		answer := &recorded{ResponseWriter: w}
		defer func() {
			x.Request.Body.Length = max(sent.length, x.Request.Body.Length)
			if x.Request.Body.kind == "application/pkcs10" { // of what else a client sends nothing is known
				x.Request.Body.raw = sent.kept.Bytes()
			}
			x.Took = r.Now().Sub(x.Start)
			x.Answer = answer.message()
			r.change(id, func(rec *record) {
				rec.fit(&x)
				rec.Client = &x
			})
		}()
		next.ServeHTTP(answer, req)
	})
}

// tee keeps the beginning of a request's body.
type tee struct {
	io.ReadCloser

	kept   bytes.Buffer
	length int
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.length += n
	t.kept.Write(p[:min(n, maxKept-t.kept.Len())])
	return n, err
}

// recorded keeps the beginning of an answer, unless there is a private key in it.
type recorded struct {
	http.ResponseWriter

	status int
	header http.Header
	kept   bytes.Buffer
	length int
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorded) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes status and header.
func (w *recorded) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status, w.header = status, w.Header().Clone()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorded) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status, w.header = http.StatusOK, w.Header().Clone()
	}
	w.length += len(b)
	if !strings.HasPrefix(kindOf(w.header), "multipart/") {
		w.kept.Write(b[:min(len(b), maxKept-w.kept.Len())])
	}
	return w.ResponseWriter.Write(b)
}

func (w *recorded) message() *Message {
	if w.status == 0 {
		return nil
	}
	kind := kindOf(w.header)
	if kind == "" {
		kind = "text/plain" // libest sends its texts without a kind
	}
	return &Message{Line: statusLine(w.status), Headers: readHeaders(w.header), Body: Body{Length: w.length, kind: kind, raw: w.kept.Bytes()}}
}
