package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ciscora/config"
	"ciscora/msca"
	"ciscora/ra/check"
)

// defaultStep is what a step of a check may take: CES gives a request to the CA as much.
const defaultStep = 10 * time.Second

// caFlags name a CA, by a configuration or one by one.
type caFlags struct {
	config             string
	url, template      string
	trust              []string
	user, passwordFile string
	profile            string
	timeout            time.Duration
}

func (f *caFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.config, "config", "", "the CA and its account are those of this ra.yaml")
	fl.StringVar(&f.url, "url", "", "the Web Enrollment pages, `https://HOST/certsrv`")
	fl.StringArrayVar(&f.trust, "trust", nil, "PEM `file` of the trust store; repeatable")
	fl.StringVar(&f.user, "user", "", `the account, such as 'LAB\ciscora'`)
	fl.StringVar(&f.passwordFile, "password-file", "", "`file` with its password, mode 0600; or a credentials.yaml, which names the user too")
	fl.StringVar(&f.template, "template", "", "the template that is to be listed")
	fl.StringVar(&f.profile, "profile", "", "modern (the default), or cucm-12.5: what CES would trip over is a FAIL then")
	fl.DurationVar(&f.timeout, "timeout", defaultStep, "for each step")
}

func (c *cli) checkCACommand() *cobra.Command {
	var f caFlags
	var enroll, asJSON bool
	var record string
	cmd := &cobra.Command{
		Use:   "ca --config ra.yaml | --url https://HOST/certsrv --trust FILE",
		Short: "Probe a Microsoft CA's Web Enrollment as an RA, and CES, would use it",
		Long: `check ca looks at each address of the CA's name, TCP, TLS (versions, chain, name by
Go's and by curl 7.61's rule, dates), the clock, the pages, the log-ins that IIS
offers, Extended Protection, the template's place in the list, the CA's renewals, its
chain and its revocation list, and says what CES of CUCM 12.5 would log.

The account logs in once, with channel binding, to a server whose certificate was
verified; where that went well, once more without, and again where the CA wants that
for each page. After a refusal it is not tried again (with Basic, which sends the
password with each request, once more): each one counts towards the account's
lock-out. ca.logins tells the number. Without an account all that needs none is
checked.

With --record it writes down how the CA answers, in text: statuses, heads, marks,
sizes and times, with names and numbers replaced and without secrets. Read it, pass it
on if you like, and hold the built-in CA against it: ra certsrv --compare FILE.
Recording logs in once, and again only where the CA ends the connection; it hands in
one request, for a template that there is not, which the CA denies and keeps among its
failed requests.`,
		Example: `  ra check ca --config ra.yaml
  ra check ca --url https://lab-dc.michamen.com/certsrv --trust root.pem
  ra check ca --url https://lab-dc.michamen.com/certsrv --trust root.pem --user 'MICHAMEN\ciscora' --password-file pw --template CiscoRA
  ra check ca --config ra.yaml --record ca.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			// As check est has it: who has just asked that types it here, too.
			if len(args) == 1 && f.url == "" && strings.HasPrefix(args[0], "https://") {
				f.url = args[0]
				return nil
			}
			return cobra.NoArgs(cmd, args)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&enroll, "enroll", false, "ask for a certificate of CN=ra-check, too")
	cmd.Flags().StringVar(&record, "record", "", "write down how the CA answers, into this new `file`, and check nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		o, err := f.options(c)
		if err != nil {
			return err
		}
		if record != "" {
			if enroll || asJSON {
				return usagef("--record checks nothing and writes text: leave out --enroll and --json")
			}
			return c.record(ctx, o, record)
		}
		if enroll {
			if o.CA.Template == "" || o.Credentials.User == "" {
				return usagef("--enroll needs --template, --user and --password-file, or --config")
			}
			o.Enroll = true
		}
		return c.report(ctx, asJSON, func(r *check.Report) error {
			r.Target = o.CA.URL
			if err := check.CA(ctx, o, r); err != nil {
				return usageError{err}
			}
			return nil
		})
	})
	return cmd
}

// record writes down how the CA answers, into a file that is not there yet.
func (c *cli) record(ctx context.Context, o check.CAOptions, path string) error {
	// Before anything is asked: the recording hands in a request.
	if _, err := os.Lstat(path); err == nil {
		return usagef("--record: %s is there already: name another file, or remove it", path)
	}
	if err := writable(path); err != nil {
		return usagef("--record: %w", err)
	}
	if o.Credentials.User == "" {
		return usagef("--record takes an account: --user and --password-file, or --config")
	}
	recording, err := check.Record(ctx, o, buildVersion().name())
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	if err := errors.Join(recording.Write(f), f.Close()); err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	if !recording.LoggedIn() {
		return fmt.Errorf("--record: the CA did not take the account, which counts towards its lock-out: %s has the %d answers up to there, and nothing of the pages; ra check ca with the same flags says why, and tries the account once more", path, len(recording.Steps))
	}
	fmt.Fprintf(c.env.Stderr, "%d answers are in %s: read it before you pass it on\n", len(recording.Steps), path)
	return nil
}

// options are the check's, from files and flags.
func (f caFlags) options(c *cli) (check.CAOptions, error) {
	var o check.CAOptions
	switch {
	case f.timeout <= 0:
		return o, usagef("--timeout %s: want a time above 0", f.timeout)
	case f.config != "" && (f.url != "" || len(f.trust) > 0 || f.user != "" || f.passwordFile != "" || f.template != "" || f.profile != ""):
		return o, usagef("--config names the CA and its account: leave out --url, --trust, --user, --password-file, --template and --profile")
	case f.config != "":
		cfg, err := c.loadRA(f.config)
		if err != nil {
			return o, configError(err)
		}
		o, err = configuredCA(cfg)
		o.Timeout = f.timeout
		return o, err
	case f.url == "":
		return o, usagef("which CA? --config ra.yaml, or --url https://HOST/certsrv")
	case f.user != "" && f.passwordFile == "":
		return o, usagef("--user needs --password-file")
	case f.user != "" && len(f.trust) == 0:
		return o, usagef("--user needs --trust: no password goes to a server that is not verified")
	}
	profile, err := config.ParseProfile(f.profile)
	if f.profile == "" {
		profile, err = config.ProfileModern, nil
	}
	if err != nil {
		return o, usagef("--profile: %w", err)
	}
	o.Profile, o.CA, o.Called = profile, config.Default(profile).CA, "--trust"
	o.CA.URL, o.CA.Template = f.url, f.template
	if f.template != "" {
		o.CA.TemplateCheck = "list" // that it is there is what was asked
	}
	o.Timeout = f.timeout
	if o.Trust, err = readAnchors("--trust", f.trust); err != nil {
		return o, err
	}
	if f.passwordFile != "" {
		creds, err := readPassword(f.user, f.passwordFile)
		if err != nil {
			return o, usagef("--password-file: %w", err)
		}
		o.Credentials = msca.Credentials{User: creds.User, Password: string(creds.Password)}
	}
	return o, nil
}

// configuredCA is the CA of a configuration.
func configuredCA(cfg *config.RA) (check.CAOptions, error) {
	o := check.CAOptions{CA: cfg.CA, Profile: cfg.Profile}
	files, err := cfg.Files()
	if err != nil {
		return o, configError(err)
	}
	o.Trust = files.CATrust
	o.Credentials = msca.Credentials{User: files.Credentials.User, Password: string(files.Credentials.Password)}
	return o, nil
}

const maxTrustFile = 4 << 20

// readAnchors reads the certificates of PEM files.
func readAnchors(flag string, paths []string) (all []*x509.Certificate, err error) {
	for _, path := range paths {
		certs, err := readAnchorFile(path)
		if err != nil {
			return nil, usagef("%s %s: %w", flag, path, err)
		}
		all = append(all, certs...)
	}
	return all, nil
}

func readAnchorFile(path string) (certs []*x509.Certificate, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTrustFile))
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, certificate)
	}
	if len(certs) == 0 {
		return nil, errors.New("holds no PEM certificate; of DER: openssl x509 -inform der -in FILE -out FILE.pem; of .p7b: openssl pkcs7 -inform der -in FILE -print_certs -out FILE.pem")
	}
	return certs, nil
}
