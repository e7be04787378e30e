package certsrv

import (
	"fmt"
	"slices"
	"strings"
)

// listOption is one <option> of the template list.
type listOption struct{ Value, Text string }

// certrqxt is the page with the form for a saved request, and the list of templates
// that the user may enroll for.
func (s *Server) certrqxt(c call) *answer {
	var data pageData
	listed := s.policy.listed(c.who)
	if s.opts.Offer != nil {
		names := make([]string, len(listed))
		for i, t := range listed {
			names[i] = t.Name
		}
		names = s.opts.Offer(c.Context(), names)
		listed = slices.DeleteFunc(listed, func(t Template) bool { return !slices.Contains(names, t.Name) })
	}
	data.Templates = s.opts.Manner.options(listed)
	return s.render(c, "certrqxt.tmpl", data)
}

// listValue is a template as the option's value has it: fourteen fields, by their
// names in the order of docs/reference/certsrv.md 3. One of version 1 has no OID and no
// version numbers.
func (t Template) listValue() string {
	const (
		exportable       = 0x10
		pendAllRequests  = 2
		suppliesSubject  = 1
		keySpecExchange  = 1
		keyFlagExport    = 1
		subjectFromUser  = 1 << 31 // directory path required
		cryptoProviders  = "Microsoft RSA SChannel Cryptographic Provider?Microsoft DH SChannel Cryptographic Provider"
		requestSignature = 0
	)
	offline, subject, enroll := "E", uint32(subjectFromUser), 0
	if t.SubjectFromRequest {
		offline, subject = "O", suppliesSubject
	}
	if t.ManagerApproval {
		enroll = pendAllRequests
	}
	version := []string{"", "", "", ""}
	if t.OID != "" {
		version = []string{t.OID, fmt.Sprint(majorVersion), "1", fmt.Sprint(minorVersion)}
	}
	return strings.Join(slices.Concat([]string{
		offline,
		t.Name,
		fmt.Sprint(keySpecExchange),
		fmt.Sprint(t.MinKeySize<<16 | keyFlagExport), // the size stands in the upper half
		fmt.Sprint(enroll),
		fmt.Sprint(exportable),
		fmt.Sprint(int32(subject)),
		fmt.Sprint(requestSignature),
		cryptoProviders,
	}, version, []string{t.FriendlyName}), ";") // EXTOID, EXTMAJ, EXTFMIN, EXTMIN; then the name that is shown
}
