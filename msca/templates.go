package msca

import (
	"bytes"
	"context"
	"strings"

	"golang.org/x/net/html"
)

// Template is one entry of the list on certrqxt.asp.
type Template struct {
	Name               string // the common name: what is sent
	FriendlyName       string // what is shown
	SubjectFromRequest bool   // "O"; else the CA builds the subject from the directory ("E")
	// Fields are the entry's, up to 14, as the page has them (see
	// docs/reference/certsrv.md 3); there are always 14, missing ones empty.
	Fields []string
}

// TemplateList are the templates that the account may enroll for.
type TemplateList []Template

const oidField = 9 // of an entry: empty for templates of version 1

// Find returns the template with that common name or OID. Case counts not, as nowhere
// in the directory.
func (l TemplateList) Find(name string) (Template, bool) {
	for _, t := range l {
		if strings.EqualFold(t.Name, name) || name != "" && len(t.Fields) > oidField && t.Fields[oidField] == name {
			return t, true
		}
	}
	return Template{}, false
}

// Templates gets the list of templates from certrqxt.asp. It is empty where the
// account may enroll for none, and for a stand-alone CA, which has none.
func (s *Session) Templates(ctx context.Context) (TemplateList, error) {
	var list TemplateList
	page := s.client.base + "/certrqxt.asp"
	err := s.page(ctx, PhaseTemplate, page, func(ctx context.Context, v *visit) error {
		a, err := v.get(ctx, page)
		if err != nil {
			return err
		}
		if list = parseTemplates([]byte(pageText(a))); len(list) > 0 {
			return nil
		}
		// A CA that is down shows its error where the list would be: to
		// call that an empty list would blame the template's name.
		if e := readPage(a).serviceError(); e != nil {
			return e
		}
		return nil
	})
	return list, err
}

const (
	templateFields = 14
	maxTemplates   = 2000
)

// parseTemplates takes every option whose value begins with O; or E;, wherever it
// stands: names and case of the elements around differ between versions.
func parseTemplates(page []byte) TemplateList {
	var list TemplateList
	z := html.NewTokenizer(bytes.NewReader(page))
	z.SetMaxBuf(maxBody)
	open := false // the text that follows is the last entry's
	for len(list) < maxTemplates {
		switch z.Next() {
		case html.ErrorToken:
			return list
		case html.TextToken:
			if last := len(list) - 1; open && list[last].FriendlyName == "" {
				list[last].FriendlyName = strings.Join(strings.Fields(html.UnescapeString(string(z.Raw()))), " ")
			}
		case html.EndTagToken:
			open = false
		case html.StartTagToken, html.SelfClosingTagToken:
			open = false
			if t, ok := templateOption(z); ok {
				list = append(list, t)
				open = true
			}
		}
	}
	return list
}

func templateOption(z *html.Tokenizer) (Template, bool) {
	name, more := z.TagName()
	if string(name) != "option" {
		return Template{}, false
	}
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if string(key) != "value" {
			continue
		}
		fields := strings.Split(string(value), ";")
		if len(fields) < 2 || (fields[0] != "O" && fields[0] != "E") {
			return Template{}, false
		}
		all := make([]string, templateFields)
		copy(all, fields)
		t := Template{Name: strings.TrimSpace(all[1]), FriendlyName: strings.TrimSpace(all[13]), SubjectFromRequest: all[0] == "O", Fields: all}
		return t, t.Name != ""
	}
	return Template{}, false
}
