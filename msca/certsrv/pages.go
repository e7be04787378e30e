package certsrv

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// The pages have markup of their own; what they share with the real ones are the
// element ids, codes, links and the layout of values by which clients read them
// (docs/reference/certsrv.md 2 to 6). html/template escapes whatever they repeat.
//
//go:embed pages/*.tmpl
var pageFiles embed.FS

var pageTemplates = template.Must(template.ParseFS(pageFiles, "pages/*.tmpl"))

// pageData is what every page may show.
type pageData struct {
	CA      string // shown in the banner
	Browser bool   // the page may use scripts
	Manner  *Manner
	Date    string // now; "" = not shown

	Renewals int         // of the CA's certificate
	Script   template.JS // the same, for a script: html/template would put blanks around it
	Words    words

	Templates []listOption // certrqxt.tmpl
	Request   Request      // issued.tmpl, pending.tmpl, denied.tmpl
	Check     bool         // pending.tmpl: asked for, not just submitted
	Failure   failure      // error.tmpl
}

// failure is what the error page tells (docs/reference/certsrv.md 5.4).
type failure struct {
	Mode                    requestMode
	Disposition             int // 0 = never set
	Message                 string
	Result, COM, LastStatus string
}

type requestMode string

const (
	modeNew   requestMode = "newreq"
	modeCheck requestMode = "chkpnd"
	modeFetch requestMode = "fetch"
)

// render makes an ASP page: always 200, whatever it says; CRLF line ends, since
// clients cut values at them.
func (s *Server) render(c call, name string, data pageData) *answer {
	data.CA = s.authority.newest().certificate.Subject.CommonName
	data.Renewals = s.authority.renewals()
	data.Script = template.JS(strconv.Itoa(data.Renewals)) //nolint:gosec // a number
	m := &s.opts.Manner
	data.Browser = m.browser(c.Request)
	var b bytes.Buffer
	language, asked := c.Context().Value(languageKey{}).(string)
	if !asked {
		language = m.Language
	}
	data.Words, data.Manner = wordsIn(language), m
	if m.Dates {
		data.Date = m.date(s.opts.Now(), language)
	}
	if err := pageTemplates.ExecuteTemplate(&b, name, data); err != nil {
		s.opts.Logger.Error("page not made", zap.String("page", name), zap.Error(err))
		return staticError(http.StatusInternalServerError, 100, win32Fail)
	}
	body, contentType := m.page(b.Bytes())
	return &answer{status: http.StatusOK, contentType: contentType, asp: true, body: body}
}

// isBrowser tells the two variants of pages apart. The real rule is not known; that
// "Mozilla" and "MSIE" decide is (docs/reference/certsrv.md 0, fact 6, and 5.1).
func isBrowser(r *http.Request) bool {
	ua := r.UserAgent()
	return strings.Contains(ua, "Mozilla") || strings.Contains(ua, "MSIE")
}

func (s *Server) landing(c call) *answer { return s.render(c, "default.tmpl", pageData{}) }

// params are the fields of a query or a form. ASP compares their names without
// regard to case, and the first of a name counts here.
type params map[string]string

func parseParams(encoded string) params {
	p := params{}
	for field := range strings.SplitSeq(encoded, "&") {
		name, value, _ := strings.Cut(field, "=")
		// What does not decode is left out: one bad field is no reason to lose
		// the others.
		name, err := url.QueryUnescape(name)
		if err != nil {
			continue
		}
		if value, err = url.QueryUnescape(value); err != nil {
			continue
		}
		name = strings.ToLower(name)
		if _, taken := p[name]; !taken {
			p[name] = value
		}
	}
	return p
}
