package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ciscora/config"
)

const defaultAdmin = "127.0.0.1:8085"

func (c *cli) checkCommand() *cobra.Command {
	var self bool
	var address, path string
	cmd := &cobra.Command{
		Use:   "check --self",
		Short: "Ask the RA on this machine whether it is alive: the container's health check",
		Long: `check --self asks /healthz of the admin port, which answers as long as the RA
lives, with or without its CA. Exit status 0: alive; 1: not.`,
		Example: `  ra check --self
  ra check --self --admin 127.0.0.1:9085
  ra check --self --config ra.yaml`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&self, "self", false, "check the RA on this machine")
	cmd.Flags().StringVar(&address, "admin", "", "its admin port's `address` (default "+defaultAdmin+")")
	cmd.Flags().StringVar(&path, "config", "", "take the address from this ra.yaml")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		if !self {
			return usagef("nothing to check: only --self is there so far")
		}
		switch {
		case address != "" && path != "":
			return usagef("--admin and --config both name the admin port: give one")
		case path != "":
			cfg, err := config.LoadRA(path, c.env.LookupEnv)
			if err != nil {
				return configError(err)
			}
			if address = cfg.Admin.Listen; address == "" {
				return usagef("%s: admin.listen: the admin port is off, so there is nothing to ask", cfg.Position("admin.listen"))
			}
		case address == "":
			address = defaultAdmin
		}
		answer, err := checkHealth(ctx, address)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.env.Stdout, answer)
		return nil
	})
	return cmd
}

// checkHealth asks the admin port; it returns the first line of the answer.
func checkHealth(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second) // within a container's usual 5 s
	defer cancel()
	url := "http://" + address + "/healthz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", usagef("--admin %s: want HOST:PORT", address)
	}
	client := &http.Client{
		// No proxy: the RA is on this machine.
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("the RA does not answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return "", fmt.Errorf("%s: %w", url, err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", url, resp.Status, line)
	}
	return line, nil
}
