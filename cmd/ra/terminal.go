package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// isTerminal tells whether a person may be watching w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
