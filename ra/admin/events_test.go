package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/ra/admin"
)

// sse is one server-sent event.
type sse struct{ id, event, data string }

// follow opens /events, and reads event by event; a comment is an event of that name.
func follow(t *testing.T, h http.Handler, target, lastID string) (next func() sse) {
	t.Helper()
	server := httptest.NewServer(h)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		resp.Body.Close()
		server.Close()
	})
	equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewScanner(resp.Body)
	return func() (e sse) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ":")
			switch value = strings.TrimPrefix(value, " "); name {
			case "id":
				e.id = value
			case "event":
				e.event = value
			case "data":
				e.data = value
			case "":
				if lines.Text() == "" {
					return e
				}
				e.event = "comment"
			}
		}
		t.Errorf("the stream has ended: %v", lines.Err())
		return e
	}
}

// told is what an event says of an enrollment: its id and state.
func told(t *testing.T, e sse) string {
	t.Helper()
	var enrollment struct{ ID, State string }
	if e.event != "enrollment" {
		return e.event
	}
	if err := json.Unmarshal([]byte(e.data), &enrollment); err != nil {
		t.Fatalf("%v in %q", err, e.data)
	}
	return enrollment.ID + " " + enrollment.State
}

func TestEventsTellOfEachChange(t *testing.T) {
	s := sample()
	next := follow(t, admin.New(admin.Options{Enrollments: s}), "/events", "")
	first := next()
	if first.id == "" || first.event != "" {
		t.Errorf("it does not begin with its position: %+v", first)
	}
	s.Update("c", func(e *admin.Enrollment) { e.State = admin.Submitted })
	equal(t, "c submitted", told(t, next()))
	s.Begin(admin.Enrollment{ID: "d"})
	equal(t, "d received", told(t, next()))
	s.Finish("c", func(e *admin.Enrollment) { e.State = admin.Issued })
	equal(t, "c issued", told(t, next()))
}

func TestWhoComesBackMissesNothing(t *testing.T) {
	s := admin.NewEnrollments(3, nil)
	h := admin.New(admin.Options{Enrollments: s})
	position := follow(t, h, "/events", "")().id
	s.Begin(admin.Enrollment{ID: "a"})
	s.Begin(admin.Enrollment{ID: "b"})
	s.Finish("a", func(e *admin.Enrollment) { e.State = admin.Issued })

	next := follow(t, h, "/events", position)
	equal(t, position, next().id)
	one := next()
	equal(t, "b received", told(t, one)) // a began, and changed since: once is enough
	equal(t, "a issued", told(t, next()))

	next = follow(t, h, "/events?after="+one.id, "")
	next()
	equal(t, "a issued", told(t, next()))

	for range 4 { // more than are kept
		s.Begin(admin.Enrollment{ID: fmt.Sprint(len(s.List(admin.Filter{})), time.Now())})
	}
	next = follow(t, h, "/events", one.id)
	next()
	equal(t, "lost", told(t, next()))

	next = follow(t, h, "/events", "OTHERPRO-17") // another process: all is new
	next()
	if got := told(t, next()); !strings.HasSuffix(got, "received") {
		t.Error(got)
	}
}

func TestEventsAreFilteredByNameAndLabel(t *testing.T) {
	s := admin.NewEnrollments(0, nil)
	for _, e := range []admin.Enrollment{{ID: "1", CN: "one-1"}, {ID: "2", CN: "two-1"}, {ID: "3", CN: "one-2", Label: "wifi"}} {
		s.Begin(e)
	}
	h := admin.New(admin.Options{Enrollments: s})
	next := follow(t, h, "/events?after=0&cn=one-*", "")
	next()
	equal(t, "1 received", told(t, next()))
	equal(t, "3 received", told(t, next()))
	next = follow(t, h, "/events?after=0&label=wifi", "")
	next()
	equal(t, "3 received", told(t, next()))
}

// A slow client costs no memory: what it has not read yet is kept nowhere.
func TestWhatChangesOftenMeanwhileIsOneEvent(t *testing.T) {
	s := admin.NewEnrollments(0, nil)
	s.Begin(admin.Enrollment{ID: "a"})
	f, _, err := s.Follow(admin.Filter{}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 1000 {
		s.Leg("a", admin.Leg{Name: "login"})
	}
	<-f.More()
	if changes := f.Next(10); len(changes) != 1 || changes[0].ID != "a" {
		t.Errorf("%d changes", len(changes))
	}
	equal(t, 0, len(f.Next(10)))
}

func TestAQuietStreamSaysThatItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		s := &http.Server{Handler: admin.New(admin.Options{Enrollments: admin.NewEnrollments(0, nil)})}
		go func() { _ = s.Serve(&oneConn{conn: server, done: make(chan struct{})}) }() // it ends with the test
		defer s.Close()
		defer client.Close()
		fmt.Fprint(client, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		begin := time.Now()
		lines := bufio.NewScanner(client)
		for lines.Text() != ":" && lines.Scan() {
			continue
		}
		equal(t, 15*time.Second, time.Since(begin))
	})
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func TestOnlySoManyFollow(t *testing.T) {
	s := admin.NewEnrollments(0, nil)
	for range admin.MaxFollowers {
		f, _, err := s.Follow(admin.Filter{}, "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	w := request(t, admin.New(admin.Options{Enrollments: s}), http.MethodGet, "/events")
	equal(t, http.StatusServiceUnavailable, w.Code)
	equal(t, "5", w.Header().Get("Retry-After"))
}

func TestAnEventThatNeverWasIsNoPlaceToBegin(t *testing.T) {
	s := admin.NewEnrollments(0, nil)
	f, _, err := s.Follow(admin.Filter{}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	epoch, _, _ := strings.Cut(f.Position(), "-")
	for _, id := range []string{epoch + "-7", epoch + "-x", epoch} {
		equal(t, http.StatusBadRequest, request(t, admin.New(admin.Options{Enrollments: s}), http.MethodGet, "/events?after="+id).Code)
	}
}
