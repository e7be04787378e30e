package est

import "time"

// Doors for the tests of package est_test.
var (
	ParseCSR      = parseCSR
	DecodeBody    = decodeBody
	SelfContained = selfContained
	SameSubject   = sameSubject
	KeygenParts   = keygenParts
)

// SetPatienceStep changes the pause between two bytes.
func (s *Server) SetPatienceStep(d time.Duration) { s.patienceStep = d }
