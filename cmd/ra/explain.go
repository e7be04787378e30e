package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // --zone, where there are no zones: on Windows, in an image from scratch

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ciscora/ra/explain"
	"ciscora/ra/scenario"
)

// errNothingReadable ends ra explain where nothing in the input is a log.
var errNothingReadable = errors.New("nothing in the input is a log that ra explain knows: see ra explain --help for what it reads")

func (c *cli) explainCommand() *cobra.Command {
	var asJSON bool
	var zone string
	cmd := &cobra.Command{
		Use:   "explain [FILE...]",
		Short: "Read logs, say what failed, why, and how to mend it",
		Long: `explain reads the logs of an enrollment that failed, of as many products as there
are, and says what failed, how sure that is, the lines that show it, why, and how
to mend it. What it cannot tell it says, and which log would tell.

It reads NGINX error.log and the CiscoRA log of CES, CAPF traces, IIS W3C logs, the
pages of /certsrv, TSP traces, phone consoles, the syslog of an ASA, messages of
Expressway and TMS, the output of curl -v, openssl and pki, this product's own log,
and mail that any of these is pasted into. What a file is it finds out by itself.
FILE may be a folder or a .gz; without one, or with -, it reads standard input.

It sends nothing anywhere. Passwords, keys and tokens in the input are not shown, but
told of, where their names stand with them: look yourself before you pass a log on.
The exit status is 0 if nothing is wrong, 1 if something is, 2 if nothing in the input
is a log, a file cannot be read, or the command line is wrong.`,
		Example: `  ra explain nginx-error.log capf.log u_ex190227.log
  ra explain ./logs --zone America/New_York
  ssh cucm 'cat /var/log/nginx/error.log' | ra explain
  ra explain mail.txt --json | jq '.findings[0].fix'`,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&zone, "zone", "", "the `ZONE` of logs that do not tell theirs (NGINX, CAPF), as Europe/Berlin or +02:00")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		o := explain.Options{}
		if zone != "" {
			location, err := zoneOf(zone)
			if err != nil {
				return usageError{err}
			}
			o.Zone = location
		}
		inputs, err := explainInputs(args)
		if err != nil {
			return usageError{err}
		}
		if len(inputs) == 0 {
			return usagef("%s holds no file: name the logs, or the folder that they are in", strings.Join(args, ", "))
		}
		if len(args) == 0 && term.IsTerminal(int(os.Stdin.Fd())) {
			fmt.Fprintln(c.env.Stderr, "ra explain reads what is typed or pasted here, to Ctrl-D; ra explain FILE... reads files")
		}
		catalog, err := scenario.Catalog()
		if err != nil {
			return err
		}
		progress := newReadProgress(c.env.Stderr)
		if isTerminal(c.env.Stderr) {
			o.Progress = progress.show
		}
		report, err := explain.Explain(ctx, catalog, inputs, o)
		progress.end() // the report may come on the same terminal
		switch {
		case ctx.Err() != nil:
			return errors.New("interrupted: nothing was explained")
		case err != nil:
			return err
		}
		if asJSON {
			err = writeJSON(c.env.Stdout, report)
		} else {
			err = report.PrintWide(c.env.Stdout, cmp.Or(width(c.env.Stdout), explainWidth))
		}
		switch {
		case err != nil:
			return err
		case !report.Readable() && asJSON:
			return usageError{errNothingReadable}
		case !report.Readable():
			return errors.Join(usageError{errNothingReadable}, quietError{errNothingReadable}) // the report has said so
		case report.Failed():
			return quietError{errors.New("something is wrong")}
		}
		return nil
	})
	return cmd
}

// zoneOf reads a zone by its name or as its hours and minutes east of UTC.
func zoneOf(text string) (*time.Location, error) {
	if at, err := time.Parse("-07:00", text); err == nil {
		_, seconds := at.Zone()
		return time.FixedZone(text, seconds), nil
	}
	location, err := time.LoadLocation(text)
	if err != nil {
		return nil, fmt.Errorf("--zone %q is none: write it as Europe/Berlin or +02:00", text)
	}
	return location, nil
}

// explainInputs are the files that arguments name, and the standard input.
func explainInputs(args []string) ([]explain.Input, error) {
	if len(args) == 0 {
		args = []string{"-"}
	}
	var inputs []explain.Input
	if i := slices.Index(args, "-"); i >= 0 {
		inputs = append(inputs, explain.Input{Name: explain.Stdin, Open: func() (io.ReadCloser, error) { return os.Stdin, nil }})
		args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "-" })
	}
	files, err := explain.Files(args)
	return append(inputs, files...), err
}

// explainWidth is how wide a report is where no terminal says it.
const explainWidth = 100

// readProgress shows on a terminal how much has been read, where that takes more than a
// moment, and takes it away again.
type readProgress struct {
	w io.Writer

	mu    sync.Mutex // guards what follows: files are read at the same time
	last  time.Time
	shown bool
}

func newReadProgress(w io.Writer) *readProgress { return &readProgress{w: w, last: time.Now()} }

// show writes at most four times a second.
func (p *readProgress) show(read int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.last) > time.Second/4 {
		p.last, p.shown = now, true
		fmt.Fprintf(p.w, "\r%d MB read", read>>20)
	}
}

// end leaves the line empty for what comes next.
func (p *readProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
