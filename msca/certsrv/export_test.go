package certsrv

import (
	"bytes"
	"net/url"
	"os"
)

// Doors for the fuzz targets, and to a journal whose disk fails.

// ParseCSR parses a CertRequest field and returns its HRESULT.
func ParseCSR(text string) uint32 { _, hr := parseCSR(text); return hr }

// TemplateOf returns the template that a CertAttrib field asks for.
func TemplateOf(text string) string { return parseAttributes(text).template() }

// ParamOf returns one field of a form.
func ParamOf(form url.Values, name string) string { return parseParams(form.Encode())[name] }

// RawParams returns how many fields a form has.
func RawParams(encoded string) int { return len(parseParams(encoded)) }

// ReadJournal returns how many records data holds and how many bytes they take.
func ReadJournal(data []byte) (records int, good int64, err error) {
	r, good, err := readJournal(bytes.NewReader(data))
	return len(r), good, err
}

// ResultLine words an HRESULT as the pages do.
func ResultLine(hr uint32) string { return resultLine(hr) }

// AppendTo appends requests of these ReqIDs to a journal on file, one after the other,
// and returns the error of each.
func AppendTo(file *os.File, ids ...int) []error {
	j := &journal{file: file}
	errs := make([]error, len(ids))
	for i, id := range ids {
		errs[i] = j.append(record{Request: Request{ID: id}})
	}
	return errs
}
