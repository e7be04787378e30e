package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ciscora/config"
	"ciscora/est/capf"
	"ciscora/ra/lab"
	"ciscora/ra/tracelog"
)

// enrollFlags is the command line of `ra enroll`.
type enrollFlags struct {
	url, label, cacert string
	user, passwordFile string
	csr, cn, keyType   string
	out, log, client   string
	cert, key          string
	timeout            time.Duration
	count, concurrency int
	reenroll, asJSON   bool
	swarm              swarmFlags
}

func (c *cli) enrollCommand() *cobra.Command {
	var f enrollFlags
	cmd := &cobra.Command{
		Use:   "enroll --url https://HOST:8084 --cacert FILE",
		Short: "Enroll like CAPF: an EST client with libest's habits",
		Long: `enroll is a phone's way to its certificate, as CAPF goes it: first without
credentials, after the challenge on a second connection with them, TLS 1.2, ten
seconds per read. It prints libest's return value; exit status 0 is EST_ERR_NONE
with a certificate.

A request that waits for a manager (202) is asked for again by its CSR: with --out FILE
it is kept as FILE.pending.csr, for --csr.

It answers Basic challenges, and no Digest, which libest answers. Its proof of
possession, as libest's client's, is not taken by libest's own server.

With --count it enrolls many phones and prints a summary: a cluster's renewal, with
--over the time that it takes, phones that come again (--retries), that are doubled or
have a wrong password first, and several kinds of key (--key-type rsa2048=90,ec256=10).
On a terminal the numbers of the moment show; --report keeps them with a picture.`,
		Example: `  ra enroll --url https://127.0.0.1:8084 --cacert DIR/trust.pem --user 'LAB\ciscora' --password-file pw --out phone
  ra enroll --url https://127.0.0.1:8084 --cacert DIR/trust.pem --user 'LAB\ciscora' --password-file pw --csr phone.csr --log capf.log
  ra enroll --url https://127.0.0.1:8084 --cacert DIR/trust.pem --re-enroll --cert phone.pem --key phone.key --out phone2
  ra enroll --url https://127.0.0.1:8084 --cacert DIR/trust.pem --user 'LAB\ciscora' --password-file pw --count 500 --concurrency 20 --key-type ec256
  ra enroll --url https://127.0.0.1:8084 --cacert DIR/trust.pem --user 'LAB\ciscora' --password-file pw --count 2000 --over 5m --arrival peak --retries 3 --report renewal.html`,
		Args: cobra.NoArgs,
	}
	fl := cmd.Flags()
	fl.StringVar(&f.url, "url", "", "the EST server, `https://HOST:PORT`; with /.well-known/est or /.well-known/est/LABEL behind it, too")
	fl.StringVar(&f.label, "label", "", "additional path segment")
	fl.StringVar(&f.cacert, "cacert", "", "PEM `file` with the trust anchors of the server's certificate")
	fl.StringVar(&f.user, "user", "", `the CA's account, such as 'LAB\ciscora'`)
	fl.StringVar(&f.passwordFile, "password-file", "", "`file` with its password, mode 0600; or a credentials.yaml, which names the user too")
	fl.StringVar(&f.csr, "csr", "", "enroll this CSR, PEM or DER, instead of making a key")
	fl.StringVar(&f.cn, "cn", "", "name of the phone (default SEP and twelve random hex digits)")
	fl.StringVar(&f.keyType, "key-type", "rsa2048", "rsa2048, rsa3072, rsa4096, ec256, ec384 or ec521; with --count also several with their shares, as rsa2048=90,ec256=10")
	fl.StringVar(&f.out, "out", "", "once there is a certificate write `FILE`.pem, FILE.der and, where a key was made, FILE.key and FILE.csr; until a manager has decided FILE.pending.key and FILE.pending.csr")
	fl.DurationVar(&f.timeout, "timeout", 10*time.Second, "for each read, as libest")
	fl.IntVar(&f.count, "count", 1, "how many phones")
	fl.IntVar(&f.concurrency, "concurrency", 10, "how many at a time, with --count")
	fl.StringVar(&f.client, "client", "capf", "capf, or globalsign: github.com/globalsign/est's client")
	fl.BoolVar(&f.reenroll, "re-enroll", false, "renew: show --cert and --key to the server")
	fl.StringVar(&f.cert, "cert", "", "PEM `file` of the certificate to renew")
	fl.StringVar(&f.key, "key", "", "PEM `file` of its key")
	fl.StringVar(&f.log, "log", "", "append CAPF's trace to this `file`")
	fl.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	f.swarm.register(fl)
	for _, required := range []string{"url", "cacert"} {
		if err := cmd.MarkFlagRequired(required); err != nil {
			panic(err) // a flag that is not there: a mistake in this function
		}
	}
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error { return c.enroll(ctx, f) })
	return cmd
}

func (f enrollFlags) check() error {
	switch {
	case f.count < 1:
		return usagef("--count %d: want at least 1", f.count)
	case f.concurrency < 1:
		return usagef("--concurrency %d: want at least 1", f.concurrency)
	case f.csr != "" && f.cn != "":
		return usagef("--csr and --cn: the CSR has its name already, give one of the two")
	case f.count > 1 && (f.csr != "" || f.cn != "" || f.out != "" || f.reenroll):
		return usagef("--count enrolls phones of its own: leave out --csr, --cn, --out and --re-enroll")
	case f.reenroll && (f.cert == "" || f.key == ""):
		return usagef("--re-enroll needs --cert and --key: the certificate to renew")
	case (f.cert == "") != (f.key == ""):
		return usagef("--cert and --key belong together")
	case f.user != "" && f.passwordFile == "":
		return usagef("--user needs --password-file: no password on a command line")
	case f.client != "capf" && f.client != "globalsign":
		return usagef("--client %q: want capf or globalsign", f.client)
	case f.client == "globalsign" && (f.count > 1 || f.log != ""):
		return usagef("--client globalsign: --count and --log are CAPF's")
	}
	return f.swarm.check(f.count)
}

func (c *cli) enroll(ctx context.Context, f enrollFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if err := f.split(); err != nil {
		return err
	}
	options, err := f.options()
	if err != nil {
		return usageError{err}
	}
	if f.log != "" {
		log, err := os.OpenFile(f.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("--log: %w", err)
		}
		defer log.Close()
		options.Events = lab.CAPFTrace(tracelog.NewCAPF(log, tracelog.Options{}), nil)
	}
	if f.count > 1 {
		return c.swarm(ctx, f, options)
	}
	phone, err := f.phone(options.Certificate)
	if err != nil {
		return err
	}
	if err := f.checkOut(phone); err != nil {
		return err
	}
	if f.client == "globalsign" {
		return c.enrollGlobalsign(ctx, f, options, phone)
	}
	client, err := capf.New(options)
	if err != nil {
		return usageError{err}
	}
	var result capf.Result
	if f.reenroll {
		result = client.Reenroll(ctx, phone.Name, phone.CSR)
	} else {
		result = client.Enroll(ctx, phone.Name, phone.CSR)
	}
	if err := f.keep(phone, result.Certificates, result.HTTPStatus == http.StatusAccepted); err != nil {
		return err
	}
	if f.user == "" && f.passwordFile == "" && result.RV == capf.StatusAuthFail && result.Challenged {
		result.Err = reworded{"the server asks for a user and a password, and none were given: add --user and --password-file", result.Err}
	}
	err = c.printEnrollment(newEnrollment(phone.Name, result), f.asJSON)
	if result.HTTPStatus == http.StatusAccepted && !f.asJSON {
		fmt.Fprintln(c.env.Stdout, "next     "+f.askAgain())
	}
	return err
}

// askAgain says how a request that waits is asked for again: by the same CSR.
func (f enrollFlags) askAgain() string {
	switch {
	case f.csr != "":
		return "once a manager has approved it, the same command again"
	case f.out != "":
		return "once a manager has approved it, the same command with --csr " + quoted(f.outBase()+".pending.csr")
	}
	return "the key is not kept: give --out FILE, and once a manager has approved it --csr FILE.pending.csr"
}

// reworded is an error in words for who types commands.
type reworded struct {
	text string
	err  error
}

func (r reworded) Error() string { return r.text }
func (r reworded) Unwrap() error { return r.err }

// split takes the label out of a URL that has one.
func (f *enrollFlags) split() error {
	server, label, err := splitESTURL(f.url)
	switch {
	case err != nil:
		return usagef("--url: %w", err)
	case label != "" && f.label != "" && f.label != label:
		return usagef("--url names the label %q, --label %q: give one of the two", label, f.label)
	case label != "":
		f.label = label
	}
	f.url = server
	return nil
}

// options are the EST client's, from files and flags.
func (f enrollFlags) options() (capf.Options, error) {
	o := capf.Options{URL: f.url, Label: f.label, Timeout: f.timeout}
	pool, err := readPool(f.cacert)
	if err != nil {
		return o, fmt.Errorf("--cacert: %w", err)
	}
	o.Roots = pool
	if f.passwordFile != "" {
		creds, err := readPassword(f.user, f.passwordFile)
		if err != nil {
			return o, fmt.Errorf("--password-file: %w", err)
		}
		o.User, o.Password = creds.User, string(creds.Password)
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return o, fmt.Errorf("--cert %s, --key %s: %w", f.cert, f.key, err)
		}
		o.Certificate = &pair
	}
	return o, nil
}

// readPassword reads a file that holds the password alone, or a credentials
// file with keys user and password.
func readPassword(user, path string) (config.Credentials, error) {
	if strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml") {
		creds, err := config.LoadCredentials(path)
		if user != "" {
			creds.User = user
		}
		return creds, err
	}
	if user == "" {
		return config.Credentials{}, errors.New("whose? give --user, or a credentials.yaml")
	}
	password, err := config.ReadPassword(path)
	return config.Credentials{User: user, Password: password}, err
}

func readPool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: holds no PEM certificate", path)
	}
	return pool, nil
}

// phone makes the phone that asks. For a renewal without --csr the subject is
// the old certificate's, with a new key (RFC 7030 §4.2.2).
func (f enrollFlags) phone(old *tls.Certificate) (*capf.Phone, error) {
	switch {
	case f.csr != "":
		der, err := readCSR(f.csr)
		if err != nil {
			return nil, usageError{fmt.Errorf("--csr: %w", err)}
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			return nil, usageError{fmt.Errorf("--csr: %s: %w", f.csr, err)}
		}
		return &capf.Phone{Name: csr.Subject.CommonName, CSR: der}, nil
	case f.reenroll:
		return renewal(old.Leaf, f.keyType)
	}
	phone, err := capf.NewPhone(rand.Reader, f.cn, f.keyType)
	if err != nil {
		return nil, usageError{err}
	}
	return phone, nil
}

func renewal(old *x509.Certificate, keyType string) (*capf.Phone, error) {
	key, err := capf.NewKey(rand.Reader, keyType)
	if err != nil {
		return nil, usageError{err}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		RawSubject: old.RawSubject, DNSNames: old.DNSNames, IPAddresses: old.IPAddresses, EmailAddresses: old.EmailAddresses, URIs: old.URIs,
	}, key)
	if err != nil {
		return nil, fmt.Errorf("make the CSR: %w", err)
	}
	return &capf.Phone{Name: old.Subject.CommonName, Key: key, CSR: csr}, nil
}

const maxCSRFile = 1 << 20

func readCSR(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCSRFile))
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		return block.Bytes, nil
	}
	return data, nil
}

// enrollment is what `ra enroll` prints.
type enrollment struct {
	Phone      string  `json:"phone"`
	RV         int     `json:"rv"`
	Name       string  `json:"rv_name,omitempty"`
	HTTPStatus int     `json:"http_status,omitempty"`
	RetryAfter int     `json:"retry_after,omitempty"` // seconds
	Challenged bool    `json:"challenged"`
	Subject    string  `json:"subject,omitempty"`
	Issuer     string  `json:"issuer,omitempty"`
	Serial     string  `json:"serial,omitempty"`
	NotAfter   string  `json:"not_after,omitempty"`
	Seconds    float64 `json:"seconds"`
	Error      string  `json:"error,omitempty"`

	err error
}

func newEnrollment(phone string, r capf.Result) enrollment {
	e := enrollment{
		Phone: phone, RV: int(r.RV), Name: r.RV.String(), HTTPStatus: r.HTTPStatus, RetryAfter: int(r.RetryAfter / time.Second),
		Challenged: r.Challenged, Seconds: r.Duration.Seconds(), err: r.Err,
	}
	if len(r.Certificates) > 0 {
		e.describe(r.Certificates[0])
	}
	if r.Err != nil {
		e.Error = r.Err.Error()
	}
	return e
}

func (e *enrollment) describe(c *x509.Certificate) {
	e.Subject, e.Issuer, e.Serial = tracelog.OneLine(c.RawSubject), tracelog.OneLine(c.RawIssuer), c.SerialNumber.Text(16)
	e.NotAfter = c.NotAfter.UTC().Format(time.RFC3339)
}

func (c *cli) printEnrollment(e enrollment, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(c.env.Stdout).Encode(e); err != nil {
			return err
		}
		if e.err != nil {
			return quietError{e.err}
		}
		return nil
	}
	fmt.Fprintf(c.env.Stdout, "phone    %s\n", e.Phone)
	if e.Name != "" {
		fmt.Fprintf(c.env.Stdout, "rv       %d (%s)\n", e.RV, e.Name)
	}
	if e.Subject != "" {
		fmt.Fprintf(c.env.Stdout, "subject  %s\nissuer   %s\nserial   %s\nuntil    %s\n", e.Subject, e.Issuer, e.Serial, e.NotAfter)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(c.env.Stdout, "retry    in %d s\n", e.RetryAfter)
	}
	return e.err
}
