package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ciscora/config"
	"ciscora/ra/fault"
	"ciscora/ra/lab"
	"ciscora/ra/scenario"
	"ciscora/ra/tracelog"
)

func (c *cli) labCommand() *cobra.Command {
	var o lab.Options
	var profile, level string
	var passwordFile string
	var faults []string
	var once, asJSON, keep bool
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Everything on this machine: a Microsoft CA, the RA, and one phone that enrolls",
		Long: `lab needs no configuration: it makes a two-tier Microsoft CA with Web Enrollment
pages, puts the RA in front of it, enrolls a sample phone through both and shows
each leg. Then it stays, for your own clients, until Ctrl-C.

Under --dir it leaves the configuration that it runs with, so that
'ra serve --config DIR/ra.yaml' and 'ra certsrv --config DIR/certsrv.yaml' work
too, the trust anchor, the account and the logs of the real products' kinds.

SIGHUP opens the logs anew and reads certificates, trust and accounts again; it ends
nothing, so a lab outlives its terminal.

As the target of a client's tests, in a container or beside it: --user and
--password-file, or RA_LAB_USER and RA_LAB_PASSWORD in the environment, make the
account known; --host names the certificate, --any-host shows one for whatever name
is asked for; GET /info on the admin port tells all of it, /openapi.json the rest.

With SSLKEYLOGFILE=FILE in the environment, the secrets of the TLS connections to
RA and CA go there, for Wireshark. No other command has that.`,
		Example: `  ra lab
  ra lab --once                          enroll one phone, say how it went, end; with --dir DIR what it got is in DIR/phone
  ra lab --dir ./lab --profile modern    keep the CA and its requests in ./lab
  ra lab --est 0.0.0.0:8084              let phones on the network in
  ra lab --fault certsrv.login:hang      a CA that does not answer the log-in (ra lab faults lists all)
  RA_LAB_PASSWORD=secret ra lab --user tester --est 0.0.0.0:8084 --admin 0.0.0.0:8085 --open-admin --any-host
                                         the target of a CI job's tests
  SSLKEYLOGFILE=keys.log ra lab          a capture of its ports can be decrypted`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", "", "keep the state in this `folder` (default a temporary one, removed at the end)")
	f.BoolVar(&keep, "keep", false, "leave the temporary folder when the lab ends")
	f.StringVar(&o.EST, "est", "127.0.0.1:8084", "the RA's `address` for EST clients; port 0 = any free one")
	f.StringVar(&o.Certsrv, "certsrv", "127.0.0.1:8443", "the built-in CA's `address`")
	f.StringVar(&o.Admin, "admin", "127.0.0.1:8085", "the admin port's `address`")
	f.BoolVar(&o.OpenAdmin, "open-admin", false, "beyond loopback, too, the admin port is for all who reach it: no token")
	f.StringVar(&o.User, "user", "", "the account's `name` (default RA_LAB_USER, or else "+lab.User+")")
	f.StringVar(&passwordFile, "password-file", "", "`file` with its password, mode 0600, or a credentials.yaml (default RA_LAB_PASSWORD, or else one is made and printed)")
	f.StringArrayVar(&o.Hosts, "host", nil, "a further `name` or address of the RA, in its certificate; repeatable")
	f.BoolVar(&o.AnyHost, "any-host", false, "show a certificate for whatever name a client asks for (SNI)")
	f.Uint64Var(&o.Seed, "seed", 0, "make keys, serial numbers, password and phone from `N`, the same each time: whoever knows N knows the keys")
	f.StringVar(&profile, "profile", string(config.ProfileCUCM), "cucm-12.5 behaves as CES, modern as one would wish")
	f.StringArrayVar(&faults, "fault", nil, "a fault that is on from the start, `PLACE:KIND`; repeatable; see ra lab faults")
	f.IntVar(&o.Lockout, "lockout", 0, "the RA's guard: after `N` refused log-ins no other password is tried at the account for a while (0 = no guard)")
	f.BoolVar(&once, "once", false, "enroll the sample phone, print how it went, and end")
	f.BoolVar(&asJSON, "json", false, "print addresses, account and paths as one JSON object once the ports are open, and then each event as another (with --once: the result alone)")
	f.StringVar(&level, "log-level", "error", "the structured log on standard error: debug, info, warn or error; without this flag errors alone, in words")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		var err error
		if o.Profile, err = config.ParseProfile(profile); err != nil {
			return usagef("--profile: %w", err)
		}
		for _, at := range []struct{ flag, address string }{{"--est", o.EST}, {"--certsrv", o.Certsrv}, {"--admin", o.Admin}} {
			if _, _, err := net.SplitHostPort(at.address); err != nil {
				return usagef("%s: %q is no address, write it as 127.0.0.1:8084, [::1]:8084 or :8084", at.flag, at.address)
			}
		}
		for _, host := range o.Hosts {
			if net.ParseIP(host) == nil && !lab.IsHostName(strings.TrimPrefix(host, "*.")) {
				return usagef("--host: %q is no name and no address, write it as est.example.com or 10.0.0.7", host)
			}
		}
		if o.Lockout < 0 {
			return usagef("--lockout: %d is negative, want 0 (no guard) or more", o.Lockout)
		}
		if err := c.labAccount(&o, passwordFile); err != nil {
			return err
		}
		o.Version = buildVersion().name()
		logs := &held{w: c.env.Stderr}
		log, err := newLogger(logs, level)
		if !asJSON && !cmd.Flags().Changed("log-level") {
			log, err = newPlainLogger(logs), nil
		}
		if err != nil {
			return err
		}
		o.Logger = log
		if o.Faults, err = orderFaults(faults, fault.Options{Logger: log.Named("fault")}); err != nil {
			return err
		}
		return c.lab(ctx, o, logs, once, asJSON, keep)
	})
	cmd.AddCommand(c.faultsCommand())
	return cmd
}

// labAccount finds the lab's account on the command line and in the environment.
func (c *cli) labAccount(o *lab.Options, passwordFile string) error {
	o.User = cmp.Or(o.User, c.variable("RA_LAB_USER"))
	o.Password = c.variable("RA_LAB_PASSWORD")
	if passwordFile != "" {
		creds, err := readPassword(cmp.Or(o.User, lab.User), passwordFile)
		if err != nil {
			return usagef("--password-file: %w", err)
		}
		o.User, o.Password = creds.User, string(creds.Password)
	}
	return nil
}

func (c *cli) variable(name string) string {
	value, _ := c.env.LookupEnv(name)
	return value
}

func (c *cli) lab(ctx context.Context, o lab.Options, logs *held, once, asJSON, keep bool) (err error) {
	hangups := catchHangups()
	defer hangups.stop()
	legs := newLegView(c.env.Stdout)
	legs.paint = newPaint(c.env.Stdout, c.env.LookupEnv)
	if !asJSON {
		o.Watch = legs.show
	}
	if path, ok := c.env.LookupEnv("SSLKEYLOGFILE"); ok && path != "" {
		keys, openErr := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if openErr != nil {
			return fmt.Errorf("SSLKEYLOGFILE: %w", openErr)
		}
		defer func() { err = errors.Join(err, keys.Close()) }()
		o.KeyLog = keys
		fmt.Fprintf(c.env.Stderr, "ra: TLS secrets go to %s (SSLKEYLOGFILE)\n", path)
	}
	player, err := scenario.NewPlayer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, player.Close()) }()
	o.Cards, o.Catalog = player, sync.OnceValues(scenario.Catalog)
	l, err := lab.Start(ctx, o)
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return nil // Ctrl-C while it started
	case err != nil:
		return err
	}
	defer func() {
		err = errors.Join(err, l.Close())
		if l.Temporary && !keep {
			err = errors.Join(err, os.RemoveAll(l.Dir))
		}
	}()
	defer hangups.reload(ctx, l.Reload)()

	for _, edit := range l.Edited {
		fmt.Fprintf(c.env.Stderr, "ra: %s was edited; it is kept as %s, since the lab makes its own (ra serve and ra certsrv take edits)\n", edit.File, edit.Kept)
	}
	if o.OpenAdmin {
		fmt.Fprintf(c.env.Stderr, "ra: WARNING: whoever reaches %s sees all, orders faults and approves requests (--open-admin)\n", l.AdminURL)
	}
	events := &labEvents{out: json.NewEncoder(c.env.Stdout), now: time.Now}
	switch {
	case !asJSON:
		c.printAddresses(l, keep)
	case !once:
		if err := events.tell("listening", describe(l)); err != nil {
			return err
		}
		defer events.follow(ctx, l.Enrollments())()
	}
	wait := newIdle(c.env.Stderr, !asJSON && isTerminal(c.env.Stderr), countdown("waiting for an answer"))
	legs.waits(wait)
	ended := sync.OnceFunc(wait.end)
	defer ended()
	if err := l.Tried(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // Ctrl-C before it was ready
		}
		return err
	}
	if why := l.NotReady(); why != "" {
		wait.touch()
		fmt.Fprintf(c.env.Stderr, "ra: the RA has no chain: %s; it tries again by itself\n", why)
	}
	// What the log has to say meanwhile comes behind the diagram, not through it.
	logs.hold()
	defer logs.release()
	legs.start()
	phone, err := l.EnrollPhone(ctx)
	ended()
	logs.release()
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	case once:
		return c.printSample(phone, asJSON)
	case asJSON:
		c.warnOfSample(phone)
		if err := errors.Join(events.tell("sample", resultOf(phone)), events.tell("ready", nil)); err != nil {
			return err
		}
	default:
		if err := c.printSample(phone, false); err != nil {
			c.warnOfSample(phone)
		}
		c.printNext(l)
		legs.further()
	}
	return l.Wait()
}

// labDescription is what `ra lab --json` prints.
type labDescription struct {
	EST         string   `json:"est"`
	ForPhones   []string `json:"est_for_phones,omitempty"`
	Certsrv     string   `json:"certsrv"`
	Admin       string   `json:"admin"`
	Profile     string   `json:"profile"`
	Dir         string   `json:"dir"`
	Trust       string   `json:"trust"`
	Credentials string   `json:"credentials"`
	User        string   `json:"user"`
	Password    string   `json:"password"`
	Curl        string   `json:"curl_config"`
	AdminCurl   string   `json:"admin_curl_config,omitempty"`
	RAConfig    string   `json:"ra_config"`
	CAConfig    string   `json:"certsrv_config"`
	Logs        string   `json:"logs"`
}

func describe(l *lab.Lab) labDescription {
	return labDescription{
		EST: l.ESTURL, ForPhones: l.ForPhones, Certsrv: l.CertsrvURL, Admin: l.AdminURL, Profile: string(l.Profile), Dir: l.Dir,
		Trust: l.Path("trust.pem"), Credentials: l.Path("credentials.yaml"), User: l.User, Password: l.Password, Curl: l.Path("curl.conf"), AdminCurl: l.AdminCurl,
		RAConfig: l.Path("ra.yaml"), CAConfig: l.Path("certsrv.yaml"), Logs: l.Path("logs"),
	}
}

func (c *cli) printAddresses(l *lab.Lab, keep bool) {
	fmt.Fprintf(c.env.Stdout, "console  %s/\nEST      %s/.well-known/est\n", l.AdminURL, l.ESTURL)
	for _, url := range l.ForPhones {
		fmt.Fprintf(c.env.Stdout, "         %s/.well-known/est (for phones)\n", url)
	}
	state := l.Dir
	if l.Temporary && !keep {
		state += ", removed at the end (--keep, --dir)"
	}
	account := l.User + ", its password in " + l.Path("credentials.yaml")
	if l.Made && l.Temporary { // nobody else can know it
		account = l.User + " with the password " + l.Password
	}
	fmt.Fprintf(c.env.Stdout, "certsrv  %s\nadmin    %s\naccount  %s\nstate    %s\nprofile  %s\n\n", l.CertsrvURL, l.AdminURL, account, state, l.Profile)
}

// printNext prints what a newcomer can paste. No command carries the password.
func (c *cli) printNext(l *lab.Lab) {
	token := "" // for the admin port
	if l.AdminCurl != "" {
		token = " -K " + quoted(l.AdminCurl)
	}
	fmt.Fprintf(c.env.Stdout, `
the CA's chain:
  curl --cacert %[1]s %[2]s/.well-known/est/cacerts | openssl base64 -d | openssl pkcs7 -inform DER -print_certs -noout

a certificate of your own:
  openssl req -new -newkey rsa:2048 -nodes -keyout my.key -subj /CN=$(hostname) -outform DER | openssl base64 -out my.p10
  curl -K %[3]s -H 'Content-Type: application/pkcs10' --data-binary @my.p10 %[2]s/.well-known/est/simpleenroll | openssl base64 -d | openssl pkcs7 -inform DER -print_certs -out my.pem

make it fail, and mend it:
  curl%[6]s -d certsrv.submit:delay=15s,count=1 %[4]s/faults
  curl%[6]s -X DELETE %[4]s/faults

what happened, and the logs:
  curl%[6]s %[4]s/enrollments
  tail %[5]s/nginx-error.log %[5]s/capf.log %[5]s/iis/*.log

ready
`, quoted(l.Path("trust.pem")), l.ESTURL, quoted(l.Path("curl.conf")), l.AdminURL, quoted(l.Path("logs")), token)
}

// quoted is a path as a shell takes it.
func quoted(path string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,="
	if strings.Trim(path, plain) == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// sampleResult is what `ra lab --once --json` prints.
type sampleResult struct {
	Phone   string  `json:"phone"`
	Status  int     `json:"rv"`
	Name    string  `json:"rv_name"`
	Subject string  `json:"subject,omitempty"`
	ReqID   int     `json:"req_id,omitempty"`
	Issuer  string  `json:"issuer,omitempty"`
	Serial  string  `json:"serial,omitempty"`
	Took    string  `json:"took"` // by its older name
	TookMS  float64 `json:"took_ms"`
	Error   string  `json:"error,omitempty"`
}

// warnOfSample tells that the sample phone failed: the lab stays, to find out why.
func (c *cli) warnOfSample(p lab.SamplePhone) {
	if err := sampleFailure(p); err != nil {
		fmt.Fprintf(c.env.Stderr, "ra: %v\n", err)
	}
}

// sampleFailure says why the sample phone has no certificate; nil if it has one.
func sampleFailure(p lab.SamplePhone) error {
	if len(p.Result.Certificates) > 0 {
		return nil
	}
	return fmt.Errorf("the sample phone %s did not get its certificate: rv = %d (%s): %w", p.Name, int(p.Result.RV), p.Result.RV, p.Result.Err)
}

// printSample prints how the sample phone's enrollment went; its failure is the
// error.
func (c *cli) printSample(p lab.SamplePhone, asJSON bool) error {
	out := resultOf(p)
	failure := sampleFailure(p)
	if asJSON {
		if err := json.NewEncoder(c.env.Stdout).Encode(out); err != nil {
			return err
		}
		if failure != nil {
			return quietError{failure}
		}
		return nil
	}
	if failure == nil {
		fmt.Fprintf(c.env.Stdout, "\nsubject  %s\nReqID    %d\nissuer   %s\nserial   %s\n", out.Subject, out.ReqID, out.Issuer, out.Serial)
	}
	return failure
}

func resultOf(p lab.SamplePhone) sampleResult {
	r := p.Result
	out := sampleResult{Phone: p.Name, Status: int(r.RV), Name: r.RV.String(), ReqID: p.ReqID, Took: r.Duration.String(), TookMS: float64(r.Duration.Microseconds()) / 1000}
	if failure := sampleFailure(p); failure != nil {
		out.Error = failure.Error()
	} else {
		cert := r.Certificates[0]
		out.Subject, out.Issuer, out.Serial = tracelog.OneLine(cert.RawSubject), tracelog.OneLine(cert.RawIssuer), cert.SerialNumber.Text(16)
	}
	return out
}
