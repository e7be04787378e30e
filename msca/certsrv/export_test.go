package certsrv

import (
	"bytes"
	"net/url"
)

// Doors for the fuzz targets.

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
	err = readJournal(bytes.NewReader(data), 0, func(_ record, line []byte) error {
		records++
		good += int64(len(line))
		return nil
	})
	return records, good, err
}

// ResultLine words an HRESULT as the pages do.
func ResultLine(hr uint32) string { return resultLine(hr) }
