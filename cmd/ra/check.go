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

	"ciscora/ra/check"
)

const defaultAdmin = "127.0.0.1:8085"

func (c *cli) checkCommand() *cobra.Command {
	var self, asJSON bool
	var address, path string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "check --config ra.yaml",
		Short: "Probe a live CA, EST server or RA: what is wrong, how it shows, how to mend it",
		Long: `check looks at live systems and only reads, but for --enroll, which enrolls, and
--record, which hands in a request that the CA denies and keeps. Each check is ok,
warn, FAIL or skip, and says what was seen; of what is wrong it says how the product
shows it (CES's log, a CAPF trace, IIS's log), why, and what helps. The exit status is
0 without a FAIL, 1 with one, 2 where the command line or the configuration is wrong.

With --config alone it checks all that an RA needs: the files that ra.yaml names and
how long they last, its CA (as check ca), and its own EST port (as check est): for a
cron job, or before traffic is sent to it. The account of ca.credentials logs in once,
and, where that went well, once more without channel binding; never again after a
refusal (with Basic, which sends the password with each request, once more).

check --self asks /healthz of the admin port, which answers as long as the RA lives,
with or without its CA, and needs no token: a container's health check. Where
admin.tls is set, --config is needed, too: the answer must come with the certificate
that stands there.`,
		Example: `  ra check --config ra.yaml
  ra check --config ra.yaml --json | jq '.findings[] | select(.state == "FAIL")'
  ra check ca --url https://lab-dc.michamen.com/certsrv --trust root.pem --user 'MICHAMEN\ciscora' --password-file pw --template CiscoRA
  ra check est https://127.0.0.1:8084 --cacert lab/trust.pem
  ra check --self
  ra check --self --admin 127.0.0.1:9085
  ra check --self --config ra.yaml`,
		Args: subcommandOnly,
	}
	cmd.AddCommand(c.checkTLSCommand(), c.checkListenCommand(), c.checkCertificateCommand(), c.checkCAPFCommand(), c.checkCTLCommand(), c.checkVPNCommand())
	cmd.Flags().BoolVar(&self, "self", false, "check the RA on this machine")
	cmd.Flags().StringVar(&address, "admin", "", "with --self: its admin port's `address` (default "+defaultAdmin+")")
	cmd.Flags().StringVar(&path, "config", "", "check what this ra.yaml says; with --self: take the address from it")
	cmd.Flags().DurationVar(&timeout, "timeout", defaultStep, "for each step")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		switch {
		case self:
			return c.checkSelf(ctx, address, path)
		case path == "":
			return usagef("nothing to check: --config ra.yaml checks an RA, --self the one that runs on this machine; ra check --help lists what else can be checked")
		case address != "":
			return usagef("--admin goes with --self")
		case timeout <= 0:
			return usagef("--timeout %s: want a time above 0", timeout)
		}
		return c.report(ctx, asJSON, func(r *check.Report) error {
			r.Target = path
			return c.checkConfigured(ctx, path, timeout, r)
		})
	})
	cmd.AddCommand(c.checkCACommand())
	cmd.AddCommand(c.checkESTCommand())
	return cmd
}

func (c *cli) checkSelf(ctx context.Context, address, path string) error {
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
	line = shown(line) // whoever listens there
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
