package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ciscora/ra/exam"
	"ciscora/ra/exam/builtin"
)

// runLimit is how long one run of a client may take, where nobody says it.
const runLimit = time.Minute

// examFlags are those of ra exam.
type examFlags struct {
	list                    bool
	cases, groups           []string
	level                   string
	limit                   time.Duration
	parallel                int
	operations, can         []string
	client                  string
	command                 []string // behind --
	cards, keep             string
	verbose, asJSON         bool
	junit, html             string
	baseline, writeBaseline string
}

func (c *cli) examCommand() *cobra.Command {
	var f examFlags
	var clients, placeholders strings.Builder
	for _, p := range exam.Presets() {
		fmt.Fprintf(&clients, "  %-13s %s\n", p[0], p[1])
	}
	for _, p := range exam.Placeholders() {
		fmt.Fprintf(&placeholders, "  {%s}%s%s\n", p[0], strings.Repeat(" ", 12-len(p[0])), p[1])
	}
	cmd := &cobra.Command{
		Use:   "exam [flags] -- COMMAND [ARG...]",
		Short: "Examine an EST client: run it against servers that misbehave",
		Long: `exam runs an EST client once for each stage of each case, against a server of its own
that misbehaves as the case says, and judges from what the server saw and from how the
client ended and what it wrote. A case passes, fails, is inconclusive (the client does
not do it without any fault either, or failed once and passed once: a case that fails
is run once more), or is not applicable.

The exit status is 0 if no MUST fails (with --level: nothing of that level or
stricter), 1 if one does, or the examination was stopped, 2 if the command line is
wrong, the client cannot be started or a report cannot be written, and 3 if nothing
passed. What --baseline knows, or --write-baseline notes, is no fail.

COMMAND may have placeholders, each also in the environment as EST_URL and the like:

` + placeholders.String() + `
It runs without a terminal, in a session of its own, and is killed with all its
children at --limit; what has left both its session and its environment is killed at
the end (on Linux). It should exit with 0 exactly if it has done what {operation} asks.

--client runs a known client; COMMAND is then the path of its program, if it is not in
PATH:

` + clients.String(),
		Example: `  ra exam -- ./client --url {url} --ca {cacert} --user {user} --password {password} --csr {csr} --out {out}
  ra exam --operations enroll,cacerts -- sh -c './client "$EST_OPERATION" --url "$EST_URL" --out "$EST_OUT"'
  ra exam --client curl --group trust
  ra exam --client curl --case 'http-redirect-*' -v
  ra exam --client curl --junit exam.xml --html exam.html --baseline known.txt`,
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.list, "list", false, "list the cases and end; with -v also what of each is not examined yet")
	fl.StringSliceVar(&f.cases, "case", nil, "examine these `cases` alone: ids or globs")
	fl.StringSliceVar(&f.groups, "group", nil, "examine these `groups` alone: the first word of an id")
	fl.StringVar(&f.level, "level", "", "examine cases of this `level` and stricter, and let any of them count: must, should, may or robust")
	fl.DurationVar(&f.limit, "limit", runLimit, "kill the client after this time, in each run")
	fl.IntVar(&f.parallel, "parallel", 0, "cases at a time (default two a processor); those that wait come besides")
	fl.StringSliceVar(&f.operations, "operations", nil, "what the client can do: "+strings.Join(exam.Operations(), ", ")+" (default enroll, or the preset's)")
	fl.StringSliceVar(&f.can, "can", nil, "what it can do besides: "+strings.Join(exam.Abilities(), ", "))
	fl.StringVar(&f.client, "client", "", "a client that is known, by its `name`")
	fl.StringVar(&f.cards, "cards", "", "examine the cases in this `folder`, in place of those that come with the program")
	fl.StringVar(&f.keep, "keep", "", "leave servers' and runs' files in this `folder`")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "show connections, requests, answers and output of each run")
	fl.BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	fl.StringVar(&f.junit, "junit", "", "write the report as JUnit XML to this `file`")
	fl.StringVar(&f.html, "html", "", "write the report as one HTML page to this `file`")
	fl.StringVar(&f.baseline, "baseline", "", "a `file` of ids, one a line: fails that are known and do not count")
	fl.StringVar(&f.baseline, "expect", "", "the same as --baseline")
	fl.StringVar(&f.writeBaseline, "write-baseline", "", "write the fails to this `file`, for --baseline")
	_ = fl.MarkHidden("expect") // it is there
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		f.command = args
		return c.exam(ctx, f)
	})
	return cmd
}

// examClientCommand runs a client that is part of this program as ra exam runs any.
func (c *cli) examClientCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "exam-client NAME", Short: "An EST client of this program as ra exam runs it", Hidden: true, Args: oneArg}
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		return builtin.Run(ctx, args[0], func(name string) string {
			value, _ := c.env.LookupEnv(name)
			return value
		})
	})
	return cmd
}

func (c *cli) exam(ctx context.Context, f examFlags) error {
	// The clients are in sessions of their own: a terminal that is closed does not end them.
	ctx, stop := untilHangup(ctx)
	defer stop()
	ctx, unread := context.WithCancelCause(ctx)
	defer unread(nil)
	defer bearBrokenPipes()()
	cards, err := f.choose()
	if err != nil {
		return usageError{err}
	}
	if f.list {
		return c.listCases(cards, f.verbose)
	}
	level := exam.Must
	if f.level != "" {
		level = exam.Level(f.level)
	}
	if f.parallel < 0 || f.limit <= 0 {
		return usagef("--parallel and --limit: want more than 0")
	}
	dir, err := os.MkdirTemp("", "ra-exam-client-")
	if err != nil {
		return fmt.Errorf("make a folder for the client: %w", err)
	}
	defer os.RemoveAll(dir)
	client, err := f.examined(ctx, dir)
	if err != nil {
		return usageError{err}
	}
	var baseline []string
	if f.baseline != "" {
		all, err := f.all()
		if err != nil {
			return usageError{err}
		}
		baseline, err = exam.ReadBaseline(f.baseline, func(id string) bool {
			return slices.ContainsFunc(all, func(c exam.Card) bool { return c.ID == id })
		})
		if err != nil {
			return usageError{err}
		}
	}
	for _, out := range f.outputs(exam.Report{}, level) {
		if err := writable(out.file); err != nil {
			return usageError{fmt.Errorf("%s: %w", out.flag, err)}
		}
	}
	if f.keep != "" {
		if err := freshFolder(f.keep); err != nil {
			return usageError{err}
		}
		if err := os.MkdirAll(f.keep, 0o700); err != nil {
			return fmt.Errorf("--keep: %w", err)
		}
	}
	began := time.Now()
	done := 0
	results, err := exam.Run(ctx, exam.Options{
		Client: client, Cards: cards, Limit: f.limit, Parallel: f.parallel, Dir: f.keep, Wire: f.verbose, Adopt: true,
		Ended: func(r exam.Result) {
			done++
			_, err := fmt.Fprintf(c.env.Stderr, "%3d of %d  %-14s %-22s %5.1f s  %s\n", done, len(cards), r.Verdict, r.Card.ID, r.Took.Seconds(), cut(r.Reason, 100))
			if errors.Is(err, syscall.EPIPE) {
				unread(errors.New("nobody reads on what it prints"))
			}
		},
	})
	if err != nil && !stopped(ctx) {
		return usageError{err}
	}
	report := exam.NewReport(client, f.limit.String(), time.Since(began).Milliseconds(), results)
	report.Stopped = stopped(ctx)
	if f.baseline != "" {
		report.Against(baseline)
	}
	return c.examEnd(ctx, f, report, level, len(cards))
}

// output is a file that the command line wants.
type output struct {
	flag, file string
	write      func(io.Writer) error
}

// outputs are the files of a report. One that was stopped is no baseline: the fails that
// it has not come to would be new ones the next time.
func (f examFlags) outputs(report exam.Report, level exam.Level) []output {
	all := []output{
		{"--junit", f.junit, func(w io.Writer) error { return report.JUnit(w, level) }},
		{"--html", f.html, report.HTML},
	}
	if !report.Stopped {
		all = append(all, output{"--write-baseline", f.writeBaseline, func(w io.Writer) error {
			_, err := w.Write(report.Baseline())
			return err
		}})
	}
	return slices.DeleteFunc(all, func(o output) bool { return o.file == "" })
}

// examEnd writes the reports and says what they come to.
func (c *cli) examEnd(ctx context.Context, f examFlags, report exam.Report, level exam.Level, cards int) error {
	var unwritten []error // what can be shown is shown all the same
	for _, out := range f.outputs(report, level) {
		if err := writeReport(out.file, out.write); err != nil {
			unwritten = append(unwritten, fmt.Errorf("%s: %w", out.flag, err))
		}
	}
	if f.asJSON {
		if err := report.JSON(c.env.Stdout); err != nil {
			return err
		}
	} else {
		c.printExam(report, f)
	}
	failed := report.Failed(level)
	known := slices.ContainsFunc(report.Cases, func(c exam.CaseReport) bool { return c.News == exam.KnownFailure })
	switch {
	case len(unwritten) > 0:
		return usageError{errors.Join(unwritten...)}
	case report.Stopped:
		left := ""
		if f.writeBaseline != "" {
			left = ", and " + f.writeBaseline + " is left as it was"
		}
		return fmt.Errorf("stopped when %d of %d cases were examined%s: %w", len(report.Cases), cards, left, context.Cause(ctx))
	case len(failed) > 0 && f.writeBaseline != "":
		fmt.Fprintf(c.env.Stderr, "%s has what fails; with --baseline it is known\n", f.writeBaseline)
	case len(failed) > 0:
		return quietIf(!f.asJSON, fmt.Errorf("%d cases failed", len(failed)))
	case report.Summary.Pass == 0 && !known:
		return unprovenError{errors.New("no case passed: see that the client does what {operation} asks, with -v and one --case")}
	}
	return nil
}

// unprovenError says that nothing passed, and nothing failed that counts.
type unprovenError struct{ error }

// writable tells, before the work for it is done, whether a report can be written there.
// What is there stays, and nothing is made.
func writable(file string) error {
	info, err := os.Stat(file)
	there := err == nil
	if there && !info.Mode().IsRegular() && !info.IsDir() {
		return nil // a pipe or a device: to open it is to use it
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil || there {
		return err
	}
	return os.Remove(file)
}

func writeReport(file string, write func(io.Writer) error) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// all are the cases that there are.
func (f examFlags) all() ([]exam.Card, error) {
	if f.cards != "" {
		return exam.LoadCards(f.cards)
	}
	return exam.Cards()
}

func (f examFlags) choose() ([]exam.Card, error) {
	cards, err := f.all()
	if err != nil {
		return nil, err
	}
	if f.level != "" && !slices.Contains(exam.Levels(), exam.Level(f.level)) {
		return nil, fmt.Errorf("--level %q: want must, should, may or robust", f.level)
	}
	return exam.Choice{IDs: f.cases, Groups: f.groups, Level: exam.Level(f.level)}.Choose(cards)
}

// examined is the client that the command line names.
func (f examFlags) examined(ctx context.Context, dir string) (exam.Client, error) {
	args := f.command
	if f.client == "" {
		if len(args) == 0 {
			return exam.Client{}, errors.New("there is no client: give its command after --, or a known one with --client; see ra exam --help")
		}
		client := exam.Client{Name: args[0], Command: args, Operations: []string{exam.Enroll}, Abilities: f.can}
		if text := strings.Join(args, " "); strings.Contains(text, "{url}") || strings.Contains(text, "{label}") {
			client.Abilities = append(client.Abilities, "label")
		}
		if len(f.operations) > 0 {
			client.Operations = f.operations
		}
		return client, client.Check()
	}
	if len(args) > 1 {
		return exam.Client{}, fmt.Errorf("--client %s: its program alone may stand behind --, not %d words", f.client, len(args))
	}
	program := ""
	if len(args) == 1 {
		program = args[0]
	}
	self, err := os.Executable()
	if err != nil {
		return exam.Client{}, err
	}
	client, err := exam.Preset(ctx, f.client, program, dir, []string{self, "exam-client"})
	if err != nil {
		return client, err
	}
	client.Abilities = append(client.Abilities, f.can...)
	if len(f.operations) > 0 {
		client.Operations = f.operations
	}
	return client, client.Check()
}

// listCases prints a line for each case, its id first; on request also what of it is not
// examined yet.
func (c *cli) listCases(cards []exam.Card, notYet bool) error {
	table := tabwriter.NewWriter(c.env.Stdout, 0, 8, 2, ' ', 0)
	for _, card := range cards {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", card.ID, card.Level, card.Title, card.Ref)
		if notYet && card.NotYet != "" {
			fmt.Fprintf(table, "\t\tnot yet: %s\t\n", card.NotYet)
		}
	}
	return table.Flush()
}

// printExam prints the fails, each with what there is to know, and the table.
func (c *cli) printExam(report exam.Report, f examFlags) {
	w := c.env.Stdout
	for _, one := range report.Cases {
		if f.verbose {
			for _, r := range one.Runs {
				fmt.Fprintf(w, "--- %s, %s\n%s", one.ID, r.Name(), r.Wire)
			}
		}
		if one.Verdict != exam.Fail && one.Verdict != exam.Inconclusive && one.News == "" {
			continue
		}
		news := ""
		if one.News != "" {
			news = ", " + one.News
		}
		fmt.Fprintf(w, "\n%s  %s%s  (%s)\n  seen  %s\n  says  %s: %s\n", one.ID, strings.ToUpper(string(one.Verdict)), news, one.Level, one.Reason, one.Ref, one.Says)
		if !f.verbose {
			fmt.Fprintf(w, "  wire  %s\n", f.again(one.ID))
		}
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tpass\tfail\tinconclusive\tnot applicable\t")
	for _, level := range exam.Levels() {
		counts := map[exam.Verdict]int{}
		for _, one := range report.Cases {
			if one.Level == level {
				counts[one.Verdict]++
			}
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t\n", level, counts[exam.Pass], counts[exam.Fail], counts[exam.Inconclusive], counts[exam.NotApplicable])
	}
	_ = table.Flush() // to a terminal or a pipe whose reader has gone
	fmt.Fprintf(w, "%s, %.1f s\n", strings.TrimSpace(report.Client.Name+" "+report.Client.Version), float64(report.TookMS)/1000)
}

// again is the command line that shows the wire of one case with the same client.
func (f examFlags) again(id string) string {
	words, limit := []string{"ra", "exam"}, ""
	if f.limit != runLimit {
		limit = f.limit.String()
	}
	for _, flag := range []struct {
		name   string
		values []string
	}{{"client", []string{f.client}}, {"operations", f.operations}, {"can", f.can}, {"cards", []string{f.cards}}, {"limit", []string{limit}}, {"case", []string{id}}} {
		if value := strings.Join(flag.values, ","); value != "" {
			words = append(words, "--"+flag.name, quoted(value))
		}
	}
	words = append(words, "-v")
	if len(f.command) > 0 {
		words = append(words, "--")
	}
	for _, word := range f.command {
		words = append(words, quoted(word))
	}
	return strings.Join(words, " ")
}

// cut is a text's beginning.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}
