package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"ciscora/ra/check"
	"ciscora/ra/check/hello"
)

// ListenOptions of a check of who connects.
type ListenOptions struct {
	Listener net.Listener // it is closed
	Timeout  time.Duration
	Most     int // connections, after which it ends; 0 = until the context does
	// Heard is called with each finding as it comes; nil = nobody is told.
	Heard func(check.Finding)
}

// Bounds of what is kept and served at a time.
const (
	mostTold      = 1000 // different hellos
	mostAtATime   = 64
	mostHelloSize = 1 << 17
)

// Listen records the Client Hellos of whoever connects and closes the connections: the
// same one from the same host is told once, and counted.
func Listen(ctx context.Context, o ListenOptions, r *check.Report) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := listening{o: o, enough: cancel, at: map[heardFrom]int{}}
	stop := context.AfterFunc(ctx, func() { o.Listener.Close() })
	defer stop()
	err := l.accept(ctx)
	cancel() // what is still read is no longer waited for
	l.reading.Wait()
	if len(l.heard) == 0 {
		r.Skip("listen.hello", "nobody connected to "+o.Listener.Addr().String())
	}
	for _, h := range l.heard {
		f := h.finding
		if h.times > 1 {
			f.Seen += fmt.Sprintf(" (%d times)", h.times)
		}
		r.Add(f)
	}
	if l.untold > 0 {
		r.Skip("listen.more", fmt.Sprintf("%d further hellos, when %d had been told", l.untold, mostTold))
	}
	return err
}

// heardFrom tells hellos apart.
type heardFrom struct {
	host netip.Addr
	seen string
}

type heard struct {
	finding check.Finding
	times   int
}

type listening struct {
	o       ListenOptions
	enough  func()
	reading sync.WaitGroup

	mu     sync.Mutex // guards what follows
	at     map[heardFrom]int
	heard  []heard
	told   int
	untold int
}

func (l *listening) accept(ctx context.Context) error {
	defer l.o.Listener.Close()
	places := make(chan struct{}, mostAtATime)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := l.o.Listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case err != nil:
			return fmt.Errorf("listen: %w", err)
		}
		l.reading.Go(func() {
			l.read(ctx, conn)
			<-places
		})
	}
}

// read takes one hello.
func (l *listening) read(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetReadDeadline(time.Now().Add(l.o.Timeout)); err != nil {
		return
	}
	c, err := hello.ReadClient(io.LimitReader(conn, mostHelloSize))
	if err != nil && ctx.Err() != nil {
		return // it is over
	}
	var host netip.Addr
	if at, parseErr := netip.ParseAddrPort(conn.RemoteAddr().String()); parseErr == nil {
		host = at.Addr().Unmap()
	}
	l.tell(host, judgeHello(c, err))
}

func (l *listening) tell(host netip.Addr, f check.Finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.o.Most > 0 && l.told == l.o.Most {
		return
	}
	l.told++
	defer func() {
		if l.told == l.o.Most {
			l.enough()
		}
	}()
	key := heardFrom{host, f.Seen}
	f.Seen = host.String() + " " + f.Seen
	if i, ok := l.at[key]; ok {
		l.heard[i].times++
		return
	}
	if len(l.heard) == mostTold {
		l.untold++
		return
	}
	l.at[key] = len(l.heard)
	l.heard = append(l.heard, heard{f, 1})
	if l.o.Heard != nil {
		l.o.Heard(f)
	}
}

// judgeHello tells what one offers, or what came in its place.
func judgeHello(c hello.Client, err error) check.Finding {
	f := check.Finding{Name: "listen.hello", State: check.OK}
	var other *hello.NotTLS
	switch {
	case errors.As(err, &other):
		f.State = check.Warn
		f.Seen = fmt.Sprintf("sent no Client Hello, but %.48q", other.Begins)
		f.Symptom, f.Reason, f.Fix = "a TLS server answers it with an alert, or not at all", "it speaks without TLS", "Give it an https URL, or another port"
		if isHTTP(other.Begins) {
			f.Reason = "it speaks plain HTTP: configured so, or fallen back after a Client Hello that was refused, as TMS does with GET /tcs/systemunit.xml"
		}
		return f
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.State, f.Seen = check.Skip, "connected and sent no whole Client Hello"
		return f
	case err != nil:
		f.State, f.Seen = check.Skip, "connected, and what it sent cannot be read: "+shown(err.Error())
		return f
	}
	f.Seen = offered(c)
	highest := c.Highest()
	switch {
	case highest <= hello.TLS10:
		f.State = check.Fail
		f.Symptom = "servers of today refuse it; a TMS that does so shows \"no HTTPS response\" and goes on at port 80 with GET /tcs/systemunit.xml HTTP/1.1"
		f.Reason = "it offers " + highest.String() + " at the most, which RFC 8996 has deprecated"
		f.Fix = clients()[0].finding.Fix
	case highest < hello.TLS12:
		f.State = check.Warn
		f.Symptom, f.Reason = "servers of today refuse it", "it offers "+highest.String()+" at the most (RFC 8996)"
		f.Fix = "Switch TLS 1.2 on where it comes from"
	}
	if highest <= hello.TLS10 && slices.Equal(c.Suites, hello.IDs(phoneSuites())) {
		f.State = check.OK
		f.Seen += "; it is as a VPN phone such as the 7962G"
		f.Symptom, f.Reason, f.Fix = "", "", ""
	}
	return f
}

// offered is a hello in one line.
func offered(c hello.Client) string {
	parts := []string{"offers " + c.Highest().String() + " at the most"}
	if len(c.Versions) > 0 {
		parts[0] = "offers " + joined(c.Versions)
	}
	if c.SSL2 {
		parts = append(parts, "in the form of SSL 2.0")
	}
	if c.Fallback {
		parts = append(parts, "as a second try (fallback)")
	}
	if c.Name != "" {
		parts = append(parts, "asks for "+shown(c.Name))
	}
	if len(c.ALPN) > 0 {
		parts = append(parts, "speaks "+shown(strings.Join(c.ALPN, ", ")))
	}
	const most = 64 // what clients offer; the last are what old servers need
	suites := make([]hello.Suite, 0, len(c.Suites))
	for _, id := range c.Suites {
		suites = append(suites, hello.SuiteByID(id))
	}
	more := ""
	if len(suites) > most {
		more = fmt.Sprintf(" and %d more", len(suites)-most)
		suites = suites[:most]
	}
	return strings.Join(parts, ", ") + fmt.Sprintf("; ciphers, %d: %s%s", len(c.Suites), names(suites), more)
}

func isHTTP(begins []byte) bool {
	for _, method := range []string{"GET ", "POST ", "HEAD ", "PUT ", "OPTIONS ", "CONNECT "} {
		if strings.HasPrefix(string(begins), method) {
			return true
		}
	}
	return false
}
