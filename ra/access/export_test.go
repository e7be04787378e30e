package access

// AccountName is what guesses at an account are counted by.
var AccountName = accountName
