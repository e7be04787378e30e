package certsrv

import (
	"fmt"
	"html"
	"net/http"
	"strconv"
)

// The bodies that no page makes. Clients know them by their lengths in logs
// (docs/reference/certsrv.md 1.5): each test that counts bytes says which.

// root answers to /certsrv.
func (s *Server) root(c call) *answer {
	m := &s.opts.Manner
	if m.Redirect == "none" {
		return s.landing(c)
	}
	return m.redirect(moved("https://"+c.Host+"/certsrv/"), c.Host)
}

// moved is the redirect from /certsrv to /certsrv/, with the host as the client
// wrote it. It is 123 bytes long plus the URL.
func moved(location string) *answer {
	return &answer{
		status:      http.StatusMovedPermanently,
		contentType: "text/html; charset=UTF-8",
		location:    location,
		body:        fmt.Appendf(nil, movedFrame, html.EscapeString(location)),
	}
}

const movedFrame = "<head><title>Document Moved</title></head>\n" +
	`<body><h1>Document Moved</h1>The pages are to be had <a href="%s">here</a>.</body>`

// staticError is one of IIS's error pages for what no ASP page answers.
func staticError(status, sub int, win32 uint32) *answer {
	title := strconv.Itoa(status) + " - "
	switch status {
	case http.StatusUnauthorized:
		title += "Unauthorized: Access is denied due to invalid credentials."
	case http.StatusForbidden:
		title += "Forbidden: Access is denied."
	case http.StatusNotFound:
		title += "File or directory not found."
	case http.StatusInternalServerError:
		title += "Internal server error."
	default:
		title += http.StatusText(status) + "."
	}
	return &answer{
		status:      status,
		sub:         sub,
		win32:       win32,
		contentType: "text/html",
		body:        fmt.Appendf(nil, staticFrame, title),
	}
}

const staticFrame = "<!DOCTYPE html>\r\n" +
	`<html><head><meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1"/>` + "\r\n" +
	"<title>%s</title></head>\r\n" +
	"<body><h1>Server Error</h1>\r\n" +
	"<h2>%[1]s</h2>\r\n" +
	"<p>This is the built-in CA of a test lab.</p></body></html>\r\n"
