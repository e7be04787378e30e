package console

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"ciscora/ra/admin"
)

// maxForm bounds a form, in bytes.
const maxForm = 8 << 10

func (c *console) lab(w http.ResponseWriter, r *http.Request) { c.showLab(w, r, http.StatusOK, "", "") }

func (c *console) showLab(w http.ResponseWriter, r *http.Request, status int, said, problem string) {
	data := struct {
		Said, Problem    string
		Faults           []admin.Fault
		CanFault, HasCA  bool
		Pending, Decided []admin.Request
		Lockouts         []admin.Lockout
	}{Said: said, Problem: problem, CanFault: c.Lab.Faults != nil, HasCA: c.Lab.Queue != nil}
	if c.Lab.Faults != nil {
		data.Faults = c.Lab.Faults.List()
	}
	if c.Lab.Queue != nil {
		for _, q := range c.Lab.Queue.List() {
			q.Subject, q.Requester, q.Message = line(q.Subject), line(q.Requester), line(q.Message)
			const pending = 5 // CR_DISP_UNDER_SUBMISSION
			if q.Disposition == pending {
				data.Pending = append(data.Pending, q)
			} else {
				data.Decided = append(data.Decided, q)
			}
		}
		const newest = 20
		slices.Reverse(data.Decided)
		data.Decided = data.Decided[:min(len(data.Decided), newest)]
	}
	if c.Lab.Lockouts != nil {
		list, err := c.Lab.Lockouts.List(r.Context())
		if err != nil {
			data.Problem += " " + err.Error()
		}
		data.Lockouts = list
	}
	c.show(w, r, status, "lab", page{Title: "Lab", Active: "lab", Data: data})
}

// act does what a form of the lab's page asks for. Other origins are refused by the
// admin port.
func (c *console) act(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		c.showLab(w, r, http.StatusBadRequest, "", "The form cannot be read.")
		return
	}
	said, err := c.do(r, r.PostForm.Get("do"), r.PostForm.Get("of"))
	if err != nil {
		c.showLab(w, r, http.StatusBadRequest, "", err.Error())
		return
	}
	c.showLab(w, r, http.StatusOK, said, "")
}

func (c *console) do(r *http.Request, what, of string) (said string, err error) {
	l := c.Lab
	switch {
	case what == "order" && l.Faults != nil:
		id, err := l.Faults.Order(of)
		return fmt.Sprintf("The fault %s is on, as %s.", line(of), id), err
	case what == "remove" && l.Faults != nil:
		if !l.Faults.Remove(of) {
			return "", fmt.Errorf("the fault %s is not on", line(of))
		}
		return "The fault is off.", nil
	case what == "clear" && l.Faults != nil:
		return fmt.Sprintf("%d faults are off.", l.Faults.Clear()), nil
	case (what == "approve" || what == "deny") && l.Queue != nil:
		id, err := strconv.Atoi(of)
		if err != nil {
			return "", fmt.Errorf("%q is no ReqID", line(of))
		}
		if what == "approve" {
			return fmt.Sprintf("Request %d is approved.", id), l.Queue.Approve(id)
		}
		return fmt.Sprintf("Request %d is denied.", id), l.Queue.Deny(id)
	case what == "forgive" && l.Lockouts != nil:
		found, err := l.Lockouts.Forgive(r.Context(), of)
		if err == nil && !found {
			return "Nothing was counted.", nil
		}
		return "It is forgotten.", err
	}
	return "", fmt.Errorf("%q cannot be done here", line(what))
}
