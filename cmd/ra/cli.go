package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ciscora/config"
)

// Exit statuses, the same for every command.
const (
	exitDone   = 0
	exitFailed = 1 // the thing failed
	exitUsage  = 2 // the command line or the configuration is wrong
	exitNone   = 3 // of ra exam: nothing was proven
)

// Environment is what a command sees of the world.
type Environment struct {
	Stdout    io.Writer // results
	Stderr    io.Writer // logs and progress
	LookupEnv func(string) (string, bool)
	Environ   func() []string // nil = nothing is known of it but by name
}

// loadRA reads ra.yaml, with what the environment says.
func (c *cli) loadRA(path string) (*config.RA, error) {
	if err := c.env.check(); err != nil {
		return nil, err
	}
	cfg, err := config.LoadRA(path, c.env.LookupEnv)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; ra config default > ra.yaml writes one to begin with, or name the file that you have", err)
	}
	return cfg, err
}

// loadCertsrv reads certsrv.yaml in the same way.
func (c *cli) loadCertsrv(path string) (*config.Certsrv, error) {
	if err := c.env.check(); err != nil {
		return nil, err
	}
	return config.LoadCertsrv(path, c.env.LookupEnv)
}

// check looks for variables that were meant for a configuration and are none.
func (e Environment) check() error {
	if e.Environ == nil {
		return nil
	}
	return config.CheckEnvironment(e.Environ())
}

// Main runs one command line, without the program's name, and returns the exit
// status. When ctx ends, work in flight is ended cleanly.
func Main(ctx context.Context, args []string, env Environment) int {
	c := &cli{env: env}
	root := c.root()
	root.SetArgs(args)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var silent quietError
	if !errors.As(err, &silent) {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(env.Stderr, "ra: %s\n", strings.TrimRight(line, "\n"))
		}
	}
	var usage usageError
	var problems config.Problems
	var unproven unprovenError
	if errors.As(err, &unproven) {
		return exitNone
	}
	if !c.started || errors.As(err, &usage) || errors.As(err, &problems) {
		return exitUsage
	}
	return exitFailed
}

// usageError is a command line that parses but cannot be meant.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// quietError is a failure that has been told already.
type quietError struct{ error }

type cli struct {
	env Environment
	// started is set once a command's own code runs: an error before that is
	// cobra's, about the command line.
	started bool
}

// run makes a command's function, and tells errors of the command line from
// errors of the work.
func (c *cli) run(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c.started = true
		return f(cmd.Context(), args)
	}
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "ra",
		Short: "An EST registration authority in front of a Microsoft CA, in place of Cisco's CES",
		Long: `ra takes EST (RFC 7030) from phones, network devices and other clients and
enrolls them at a Microsoft CA's Web Enrollment pages (/certsrv), as Cisco's CES
(CiscoRA) does. It brings a Microsoft CA of its own, so a lab needs nothing else.`,
		Example: `  ra lab                          everything on this machine, one phone enrolled
  ra serve --config ra.yaml       the RA in front of a real CA
  ra enroll --url https://HOST:8084 --user 'LAB\ciscora' --password-file pw --cacert trust.pem`,
		Args:          cobra.ArbitraryArgs, // RunE says which command was meant
		Version:       buildVersion().name(),
		SilenceErrors: true,
		SilenceUsage:  true,
		// No arguments: the help is the answer.
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetVersionTemplate(buildVersion().line() + "\n")
	root.SetFlagErrorFunc(suggestFlag)
	root.AddCommand(c.labCommand(), c.serveCommand(), c.certsrvCommand(), c.enrollCommand(), c.ledgerCommand(), c.scenarioCommand(), c.examCommand(), c.examClientCommand(), c.explainCommand(), c.checkCommand(), c.configCommand(), c.versionCommand())
	completeFlags(root)
	return root
}

func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// oneArg wants one argument, which is called what the command's usage calls it.
func oneArg(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	_, name, _ := strings.Cut(cmd.Use, " ")
	if len(args) == 0 {
		return fmt.Errorf("%s is missing: %s", name, cmd.UseLine())
	}
	return fmt.Errorf("one %s is taken, not %d: %s", name, len(args), cmd.UseLine())
}

// someArgs wants at least one.
func someArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return oneArg(cmd, args)
	}
	return nil
}

// subcommandOnly takes no argument: one is a command that there is not.
func subcommandOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", cmd.CommandPath(), unknownCommand(cmd, args[0]))
}

// unknownCommand names the command that was probably meant.
func unknownCommand(cmd *cobra.Command, name string) error {
	return fmt.Errorf("unknown command %q, %s; see %s --help", name, config.Suggest(name, commandNames(cmd), "known are"), cmd.CommandPath())
}

// suggestFlag names the flag that was probably meant.
func suggestFlag(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf("see %s --help", cmd.CommandPath())
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		hint = config.Suggest("--"+unknown.GetSpecifiedName(), flagNames(cmd), "known here:")
	}
	return fmt.Errorf("%w; %s", err, hint)
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return names
}
