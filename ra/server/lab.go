package server

import (
	"context"

	"ciscora/ra/admin"
)

// ForgetLedger empties the ledger: for a lab alone.
func (s *Server) ForgetLedger(ctx context.Context) error {
	_, err := s.ledger.Clear(ctx)
	return err
}

// Enrollments are the last ones, as the admin port shows them.
func (s *Server) Enrollments() *admin.Enrollments { return s.record }
