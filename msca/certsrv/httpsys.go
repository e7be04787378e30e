package certsrv

import (
	"net/http"
)

const (
	// maxHead bounds a request's line and headers together, in bytes: http.sys's
	// MaxRequestBytes, which is its MaxFieldLength as well.
	maxHead = 16 << 10
	// maxHeaderBytes is as far as a head is read: a Kerberos ticket of the greatest
	// MaxTokenSize fits in, so that whoever has too many groups is told as by http.sys.
	maxHeaderBytes = 128 << 10
)

// bounded is the kernel's part of IIS: a request whose head is too long is answered
// before IIS hears of it, and stands in no W3C log.
func (i *iis) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if headSize(r) > maxHead {
			i.write(w, r, tooLong())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// headSize is how many bytes a request's head has, written as clients do it: one blank
// behind each colon.
func headSize(r *http.Request) int {
	const blanksAndEnd = len("  \r\n")
	line := func(name, value string) int { return len(name) + len(": ") + len(value) + len("\r\n") }
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + blanksAndEnd + line("Host", r.Host) + len("\r\n")
	for name, values := range r.Header {
		for _, value := range values {
			n += line(name, value)
		}
	}
	return n
}

// unread is an answer of http.sys that ends the connection.
func unread(status int, body string) *answer {
	return &answer{
		status: status, server: serverHTTPSys, contentType: "text/html; charset=us-ascii", close: true,
		body: []byte(body),
	}
}

func tooLong() *answer { return unread(http.StatusBadRequest, httpSysTooLong) }

func unavailable() *answer { return unread(http.StatusServiceUnavailable, httpSysUnavailable) }

// What the kernel's part of IIS says to a type 1 message, to a head that is too long (346
// bytes), and when the application pool is stopped.
var (
	httpSysUnauthorized = httpSysPage("Not Authorized", "Not Authorized", "HTTP Error 401. The requested resource requires user authentication.")
	httpSysTooLong      = httpSysPage("Bad Request", "Bad Request - Request Too Long", "HTTP Error 400. The size of the request headers is too long.")
	httpSysUnavailable  = httpSysPage("Service Unavailable", "Service Unavailable", "HTTP Error 503. The service is unavailable.")
)

func httpSysPage(title, heading, text string) string {
	return `<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN""http://www.w3.org/TR/html4/strict.dtd">` + "\r\n" +
		"<html><head><title>" + title + "</title>\r\n" +
		`<meta http-equiv="Content-Type" content="text/html; charset=us-ascii"></head>` + "\r\n" +
		"<body><h2>" + heading + "</h2>\r\n" +
		"<hr><p>" + text + "</p>\r\n" +
		"</body></html>\r\n"
}
