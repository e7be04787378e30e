package certsrv

import "time"

// Event is something that happened to a request: one of [RequestReceived],
// [RequestIssued], [RequestPending] and [RequestDenied].
type Event interface{ ReqID() int }

// RequestReceived says that a request got its ReqID and will now be decided.
type RequestReceived struct {
	ID        int
	Requester string // DOMAIN\user
	Template  string // as asked for, "" when the request names none
	Time      time.Time
}

// RequestIssued says that a certificate was issued, at once or by a manager.
type RequestIssued struct{ Request }

// RequestPending says that a request waits for a manager.
type RequestPending struct{ Request }

// RequestDenied says that a request was refused, by policy or by a manager, or
// could not be read.
type RequestDenied struct{ Request }

// ReqID returns the request's number.
func (e RequestReceived) ReqID() int { return e.ID }

// ReqID returns the request's number.
func (e RequestIssued) ReqID() int { return e.ID }

// ReqID returns the request's number.
func (e RequestPending) ReqID() int { return e.ID }

// ReqID returns the request's number.
func (e RequestDenied) ReqID() int { return e.ID }
