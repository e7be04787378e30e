package certsrv

// certcarc is the page of the CA's certificates. Its script, which only browsers
// get, tells how often the CA was renewed (docs/reference/certsrv.md 2).
func (s *Server) certcarc(c call) *answer { return s.render(c, "certcarc.tmpl", pageData{}) }
