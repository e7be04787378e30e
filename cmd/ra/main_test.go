package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ciscora/internal/peertest"
)

// TestMain lets the scripts run `ra` as a program of its own: this test binary.
func TestMain(m *testing.M) {
	if signal.Ignored(syscall.SIGHUP) {
		// By nohup, and so it would be for all that the scripts start. What is caught is
		// theirs again.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	testscript.Main(m, map[string]func(){
		"ra": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(Main(ctx, os.Args[1:], Environment{Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv, Environ: os.Environ}))
		},
	})
}

// TestScripts plays what a user types, and compares what is seen.
func TestScripts(t *testing.T) {
	if !peertest.Raced {
		play(t, testscript.Params{Dir: "testdata/script"})
		return
	}
	// With the race detector each start of ra takes a second: there those alone in which
	// several programs run beside each other, or are stopped.
	var files []string
	for _, name := range []string{"script/admin-port", "script/lab-hangup", "script/lab-once", "long/scenario", "script/two-terminals"} {
		files = append(files, filepath.Join("testdata", filepath.FromSlash(name)+".txtar"))
	}
	play(t, testscript.Params{Files: files})
}

// TestLongScripts plays what takes longer.
func TestLongScripts(t *testing.T) {
	peertest.Long(t, "LongScripts")
	play(t, testscript.Params{Dir: "testdata/long"})
}

func play(t *testing.T, p testscript.Params) {
	t.Helper()
	p.RequireExplicitExec = true
	p.UpdateScripts = os.Getenv("UPDATE_SCRIPTS") != ""
	p.Cmds = map[string]func(*testscript.TestScript, bool, []string){
		"exits":    exits,
		"awaits":   awaits,
		"appears":  appears,
		"freeport": freePort,
		"subst":    subst,
		"hangup":   hangUp,
	}
	testscript.Run(t, p)
}

// exits STATUS ARG...: runs ra and wants this exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("ra", args[1:]...)
	got := 0
	if err != nil {
		if _, scanErr := fmt.Sscanf(err.Error(), "exit status %d", &got); scanErr != nil {
			ts.Fatalf("ra %s: %v", strings.Join(args[1:], " "), err)
		}
	}
	if got != want {
		ts.Fatalf("ra %s: exit status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// awaits ADDRESS: waits until something listens there.
func awaits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: awaits ADDRESS")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", args[0])
		if err == nil {
			ts.Check(c.Close())
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			ts.Fatalf("nothing listens at %s: %v", args[0], err)
		}
	}
}

// freeport NAME...: sets each variable to a loopback address that is free now. The
// ports lie below those that the system gives for port 0, so that no other test
// takes them in the meantime.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: freeport NAME...")
	}
	for _, name := range args {
		for {
			address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
			l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
			if err != nil {
				continue // taken
			}
			defer l.Close() // only then: so that no two are the same
			ts.Setenv(name, address)
			break
		}
	}
}

// hangup COMMAND PATTERN: sends SIGHUP to `ra COMMAND` in the background and waits until
// that makes a file of such a name.
func hangUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: hangup COMMAND PATTERN")
	}
	for _, cmd := range ts.BackgroundCmds() {
		if len(cmd.Args) > 1 && cmd.Args[1] == args[0] {
			ts.Check(cmd.Process.Signal(syscall.SIGHUP))
		}
	}
	appears(ts, neg, args[1:])
}

// appears FILE [REGEXP]: waits until the file is there, with such a line.
func appears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: appears FILE [REGEXP]")
	}
	line := regexp.MustCompile("")
	if len(args) == 2 {
		var err error
		line, err = regexp.Compile("(?m)" + args[1])
		ts.Check(err)
	}
	// So long only where it never comes: it may have a busy machine's compiler beside it.
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		made, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		for _, name := range made {
			if text, err := os.ReadFile(name); len(args) == 1 || err == nil && line.Match(text) {
				return
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not appear", strings.Join(args, " with "))
		}
	}
}

// subst FILE OLD NEW: replaces in a file.
func subst(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: subst FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s: no %q in it", args[0], args[1])
	}
	path := ts.MkAbs(args[0])
	info, err := os.Stat(path)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Clean(path), []byte(strings.ReplaceAll(text, args[1], args[2])), info.Mode().Perm()))
}
