package certsrv

import (
	"net"
	"net/http"
	"sync"
)

// connections are those that are open, for [Server.HangUp].
type connections struct {
	mu         sync.Mutex // guards all below
	generation int        // grows with each HangUp
	all        map[net.Conn]*openConnection
}

type openConnection struct {
	login      *connection
	generation int  // in which it was opened
	idle       bool // nothing is under way on it
}

func (o *connections) opened(c net.Conn, login *connection) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[c] = &openConnection{login: login, generation: o.generation}
}

// changed is http.Server's ConnState. It comes from the goroutine that serves the
// connection, so that its log-in may be looked at.
func (o *connections) changed(c net.Conn, state http.ConnState) {
	if o.change(c, state) {
		c.Close()
	}
}

// change tells whether the connection is to end now.
func (o *connections) change(c net.Conn, state http.ConnState) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	this := o.all[c]
	switch state {
	case http.StateActive:
		this.idle = false
	case http.StateIdle:
		// Between the two legs of a log-in one is under way.
		this.idle = !this.login.challenged
		return this.idle && this.generation != o.generation
	case http.StateClosed, http.StateHijacked:
		delete(o.all, c)
	}
	return false
}

// HangUp ends each connection that clients keep, once nothing is under way on it: who
// comes next has to connect and to log in. IIS does so when its application pool is
// recycled.
func (s *Server) HangUp() {
	o := &s.open
	o.mu.Lock()
	o.generation++
	var ended []net.Conn
	for c, this := range o.all {
		if this.idle {
			ended = append(ended, c)
		}
	}
	o.mu.Unlock()
	for _, c := range ended {
		c.Close()
	}
}
