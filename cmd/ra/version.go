package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildVersion reads what the Go toolchain recorded in the binary.
func buildVersion() version {
	v := version{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// name tells one build from another.
func (v version) name() string {
	if v.Revision == "" {
		return v.Version
	}
	return fmt.Sprintf("%s (%.12s)", v.Version, v.Revision)
}

// line is what ra version prints.
func (v version) line() string {
	return fmt.Sprintf("ra %s, %s, %s", v.name(), v.Go, v.Platform)
}

func (c *cli) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print which build this is",
		Example: "  ra version\n  ra version --json",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = c.run(func(context.Context, []string) error {
		v := buildVersion()
		if asJSON {
			return json.NewEncoder(c.env.Stdout).Encode(v)
		}
		_, err := fmt.Fprintln(c.env.Stdout, v.line())
		return err
	})
	return cmd
}
