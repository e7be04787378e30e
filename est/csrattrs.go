package est

import (
	"encoding/asn1"
	"fmt"
	"net/http"
	"slices"

	globalest "github.com/globalsign/est"
)

// csrattrs tells what a CSR should have (RFC 7030 §4.5), or, with 204, that nothing
// is asked of it.
func (s *Server) csrattrs(x *exchange, w http.ResponseWriter, r *http.Request) error {
	attrs, err := s.ca.CSRAttrs(r.Context(), x.received.Label, r)
	if err != nil {
		return err
	}
	if s.possession(x.received.Label) && !slices.ContainsFunc(attrs.OIDs, oidChallengePassword.Equal) {
		attrs.OIDs = append(slices.Clone(attrs.OIDs), oidChallengePassword)
	}
	if len(attrs.OIDs)+len(attrs.Attributes) == 0 {
		return &Error{Status: http.StatusNoContent}
	}
	der, err := marshalCSRAttrs(attrs)
	if err != nil {
		return fmt.Errorf("encode the CSR attributes: %w", err)
	}
	s.succeed(x, w, r, typeCSRAttrs, der)
	return nil
}

// marshalCSRAttrs encodes a CsrAttrs (RFC 7030 §4.5.2), attributes first and plain OIDs
// last. The order means nothing to the RFC, but libest's client walks the DER from OID
// to OID and never comes to the end of one that ends in an attribute's value.
func marshalCSRAttrs(attrs globalest.CSRAttrs) ([]byte, error) {
	all := make([]any, 0, len(attrs.Attributes)+len(attrs.OIDs))
	for _, a := range attrs.Attributes {
		all = append(all, a)
	}
	for _, oid := range attrs.OIDs {
		all = append(all, oid)
	}
	return asn1.Marshal(all)
}
