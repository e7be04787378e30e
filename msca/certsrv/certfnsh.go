package certsrv

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// certfnsh takes a new request, or says what became of an old one (Mode=chkpnd).
// Every outcome is a page with status 200.
func (s *Server) certfnsh(c call) *answer {
	body, err := io.ReadAll(c.Body)
	if err != nil {
		return s.broken(c, err)
	}
	if !s.opts.Manner.isForm(c.Request) {
		body = nil
	}
	form := parseParams(string(body))
	mode, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(form["mode"])), " ")
	switch requestMode(mode) {
	case modeNew:
		return s.newRequest(c, form)
	case modeCheck:
		return s.checkPending(c, form["reqid"])
	}
	return s.failed(c, failed(modeNew, hrInvalidParameter))
}

func (s *Server) newRequest(c call, form params) *answer {
	text := form["certrequest"]
	if strings.TrimSpace(text) == "" {
		return s.failed(c, failed(modeNew, hrInvalidParameter)) // nothing to send to the CA
	}
	r, err := s.submit(c.Context(), c.who, text, parseAttributes(form["certattrib"]))
	if err != nil {
		return s.broken(c, err)
	}
	return s.outcome(c, r, false)
}

// checkPending finds the request by the cookie's number, as certckpn.asp links it.
func (s *Server) checkPending(c call, id string) *answer {
	n, err := strconv.Atoi(strings.TrimSpace(id))
	if err != nil {
		return s.failed(c, failed(modeCheck, hrInvalidParameter))
	}
	r, ok := s.requests.find(n)
	if !ok {
		return s.failed(c, failed(modeCheck, hrPropertyEmpty))
	}
	return s.outcome(c, r.Request, true)
}

func (s *Server) outcome(c call, r Request, check bool) *answer {
	name := "denied.tmpl"
	switch r.Disposition {
	case DispositionIssued:
		name = "issued.tmpl"
	case DispositionPending:
		name = "pending.tmpl"
	}
	return s.render(c, name, pageData{Request: r, Check: check})
}

// failed describes a request that never reached the CA.
func failed(mode requestMode, hr uint32) failure {
	line := resultLine(hr)
	com := "CCertRequest::Submit: " + line
	switch mode {
	case modeCheck, modeFetch:
		com = "CCertRequest::RetrievePending: " + line
	}
	return failure{Mode: mode, Message: "(none)", Result: line, COM: com, LastStatus: line}
}

func (s *Server) failed(c call, f failure) *answer {
	return s.render(c, "error.tmpl", pageData{Failure: f})
}

// broken answers when the CA itself cannot go on; the reason is for its log alone.
func (s *Server) broken(c call, err error) *answer {
	s.opts.Logger.Error("request not served", zap.String("path", c.URL.Path), zap.Error(err))
	return staticError(http.StatusInternalServerError, 100, win32Fail)
}
