package est

// Doors for the tests of package est_test.
var (
	ParseCSR      = parseCSR
	DecodeBody    = decodeBody
	SelfContained = selfContained
	SameSubject   = sameSubject
	OneLine       = oneLine
)
