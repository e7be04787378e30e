// Command ra is an EST registration authority in front of a Microsoft CA's Web
// Enrollment, with a Microsoft CA of its own for the lab: see ra --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first Ctrl-C ends cleanly, the second at once.
	context.AfterFunc(ctx, stop)
	status := Main(ctx, os.Args[1:], Environment{Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv, Environ: os.Environ})
	stop()
	os.Exit(status)
}
