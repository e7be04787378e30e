package access

// AccountName is what guesses at an account are listed by, AccountAt what they are
// counted by.
var (
	AccountName = accountName
	AccountAt   = accountAt
)
