package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const defaultAdmin = "127.0.0.1:8085"

func (c *cli) checkCommand() *cobra.Command {
	var self bool
	var address, path string
	cmd := &cobra.Command{
		Use:   "check --self",
		Short: "Ask the RA on this machine whether it is alive: the container's health check",
		Long: `check --self asks /healthz of the admin port, which answers as long as the RA
lives, with or without its CA, and needs no token. Exit status 0: alive; 1: not.

Where admin.tls is set, --config is needed, too: the answer must come with the
certificate that stands there.`,
		Example: `  ra check --self
  ra check --self --admin 127.0.0.1:9085
  ra check --self --config ra.yaml`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(c.checkTLSCommand(), c.checkListenCommand(), c.checkCertificateCommand(), c.checkCAPFCommand(), c.checkCTLCommand(), c.checkVPNCommand())
	cmd.Flags().BoolVar(&self, "self", false, "check the RA on this machine")
	cmd.Flags().StringVar(&address, "admin", "", "its admin port's `address` (default "+defaultAdmin+")")
	cmd.Flags().StringVar(&path, "config", "", "take the address from this ra.yaml")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		if !self {
			return usagef("nothing to check: only --self is there so far")
		}
		var port *tls.Config // of the admin port; nil: plain HTTP
		switch {
		case address != "" && path != "":
			return usagef("--admin and --config both name the admin port: give one")
		case path != "":
			cfg, err := c.loadRA(path)
			if err != nil {
				return configError(err)
			}
			if address, err = cfg.Admin.Address(); err != nil {
				return usageError{cfg.Problem("admin.listen", err)}
			}
			if port, err = cfg.Admin.TLS.Config(); err != nil {
				return err
			}
		case address == "":
			address = defaultAdmin
		}
		answer, err := checkHealth(ctx, address, port)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.env.Stdout, answer)
		return nil
	})
	return cmd
}

// checkHealth asks the admin port; it returns the first line of the answer.
func checkHealth(ctx context.Context, address string, port *tls.Config) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second) // within a container's usual 5 s
	defer cancel()
	url, transport := "http://"+address+"/healthz", &http.Transport{DisableKeepAlives: true}
	if port != nil {
		url, transport.TLSClientConfig = "https://"+address+"/healthz", itself(port)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", usagef("--admin %s: want HOST:PORT", address)
	}
	client := &http.Client{
		// No proxy: the RA is on this machine.
		Transport:     transport,
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

// itself trusts the very certificate of the port, under whatever name.
func itself(port *tls.Config) *tls.Config {
	own := port.Certificates[0].Certificate[0]
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection compares it
		VerifyConnection: func(s tls.ConnectionState) error {
			if !bytes.Equal(s.PeerCertificates[0].Raw, own) {
				return errors.New("it shows another certificate than that of admin.tls: restart it, or see who listens there")
			}
			return nil
		},
	}
}
