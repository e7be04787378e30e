package certsrv

import (
	"bytes"
	"errors"
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
	err = readJournal(bytes.NewReader(data), 0, func(_ record, line []byte) error {
		records++
		good += int64(len(line))
		return nil
	})
	return records, good, err
}

// ResultLine words an HRESULT as the pages do.
func ResultLine(hr uint32) string { return resultLine(hr) }

// PutAfterAFailedSync puts requests of these ReqIDs into the journal in dir, whose file
// gives way to one that takes what is written and cannot be synced, and returns the error
// of each.
func PutAfterAFailedSync(dir string, file *os.File, ids ...int) ([]error, error) {
	j, err := openJournal(dir)
	if err != nil {
		return nil, err
	}
	j.file.Close()
	j.file = file
	errs := make([]error, len(ids))
	for i, id := range ids {
		errs[i] = j.put(record{Request: Request{ID: id}})
	}
	return errs, errors.Join(j.index.file.Close(), j.lock.Close())
}
