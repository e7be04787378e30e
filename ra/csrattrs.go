package ra

import (
	"context"
	"net/http"
	"strconv"

	globalest "github.com/globalsign/est"

	"ciscora/msca"
	"ciscora/ra/policy"
)

const (
	minKeySizeField            = 3  // of the page's list (docs/reference/certsrv.md 3)
	minKeySizeShift            = 16 // the size stands in the upper half of the field
	smallestSize, greatestSize = 1024, 16384
)

// CSRAttrs tells what a CSR for the template behind the label should have (RFC 7030
// §4.5.2, RFC 9908): the kind of its key. That comes from the label's policy and from
// the CA's list, read with the RA's own account; where the CA cannot be asked, nothing
// is told, since a client enrolls well without.
func (r *RA) CSRAttrs(ctx context.Context, label string, _ *http.Request) (globalest.CSRAttrs, error) {
	form := r.CSRAttributes(label)
	if form == policy.FormNone {
		return globalest.CSRAttrs{}, nil
	}
	list, err := r.access.OwnTemplates(ctx)
	if err != nil {
		return globalest.CSRAttrs{}, nil //nolint:nilerr // see above
	}
	template, ok := list.Find(r.templateOf(label))
	if !ok {
		return globalest.CSRAttrs{}, nil
	}
	return r.policyOf(label).CSRAttrs(form, policy.Template{MinKeySize: minKeySize(template), SubjectFromRequest: template.SubjectFromRequest})
}

// minKeySize reads the smallest RSA key of a template, in bits; 0 where the list
// does not say.
func minKeySize(t msca.Template) int {
	if len(t.Fields) <= minKeySizeField {
		return 0
	}
	flags, err := strconv.ParseInt(t.Fields[minKeySizeField], 10, 64)
	if err != nil {
		return 0
	}
	bits := int(uint32(flags) >> minKeySizeShift)
	if bits < smallestSize || bits > greatestSize {
		return 0
	}
	return bits
}
