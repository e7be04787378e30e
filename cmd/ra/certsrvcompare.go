package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"

	"ciscora/config"
	"ciscora/internal/printable"
	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra/check"
	"ciscora/ra/server"
)

var errDiffers = errors.New("the built-in CA differs")

// comparison is what --compare prints.
type comparison struct {
	Recorded    string             `json:"recorded"` // by which version
	Differences []check.Difference `json:"differences"`
	Assumptions []check.Assumption `json:"assumptions"` // that the recording tells of
}

// compareCA holds a built-in CA against a recording of a real one.
func (c *cli) compareCA(ctx context.Context, path string, vary uint64, asJSON bool) error {
	f, err := os.Open(path)
	if err != nil {
		return usagef("--compare: %w", err)
	}
	defer f.Close()
	recorded, err := check.ReadRecording(f)
	if err != nil {
		return usagef("--compare %s: %w", path, err)
	}
	own, err := recordOwn(ctx, certsrv.MannerOf(vary))
	if err != nil {
		return err
	}
	result := comparison{Recorded: recorded.By, Differences: check.Compare(recorded, own), Assumptions: []check.Assumption{}}
	for _, a := range recorded.Assumptions {
		if a.Holds != "not told" {
			result.Assumptions = append(result.Assumptions, a)
		}
	}
	if asJSON {
		err = writeJSON(c.env.Stdout, result)
	} else {
		result.print(c.env.Stdout)
	}
	if err == nil && len(result.Differences) > 0 {
		return quietError{errDiffers}
	}
	return err
}

// recordOwn records a built-in CA in memory, as a real one is recorded.
func recordOwn(ctx context.Context, manner certsrv.Manner) (_ *check.Recording, err error) {
	const user, template = `LAB\ciscora`, "CiscoRA"
	password := rand.Text()
	ca, err := certsrv.New(certsrv.Options{
		Hosts: []string{"127.0.0.1"}, Users: []certsrv.User{certsrv.NewUser(user, password)},
		Templates: []certsrv.Template{{Name: template, SubjectFromRequest: true}}, Manner: manner,
	})
	if err != nil {
		return nil, err
	}
	l, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- ca.Serve(serving, l) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended, ca.Close())
	}()
	o := check.CAOptions{CA: config.Default(config.ProfileModern).CA, Trust: []*x509.Certificate{ca.Root()}, Credentials: msca.Credentials{User: user, Password: password}}
	o.CA.URL, o.CA.Template = "https://"+l.Addr().String()+"/certsrv", template
	return check.Record(ctx, o, buildVersion().name())
}

func (r comparison) print(w io.Writer) {
	const most = 2000 // of a line of a file from elsewhere
	line := func(format string, args ...any) {
		for i, a := range args {
			args[i] = printable.Line(fmt.Sprint(a), most)
		}
		fmt.Fprintf(w, format+"\n", args...)
	}
	step := ""
	for _, d := range r.Differences {
		if d.Step != step {
			step = d.Step
			line("%s", step)
		}
		line("  %s", d.What)
		line("    real CA   %s", d.Real)
		line("    built-in  %s", d.Built)
	}
	if len(r.Assumptions) > 0 {
		fmt.Fprintln(w, "\nWhat docs/reference/adcs-assumptions.md assumes of a Microsoft CA, and what the recorded one shows:")
	}
	for _, a := range r.Assumptions {
		verdict := map[string]string{"yes": "so", "no": "not so"}[a.Holds]
		line("  %-8s%s (%s): seen %s", cmp.Or(verdict, a.Holds), a.Assumed, a.Section, a.Seen)
	}
	if len(r.Assumptions) > 0 {
		fmt.Fprintln(w, "\"not so\" is what the page says of it, and changes nothing below: that is answer against answer.")
	}
	differences := "differences"
	if len(r.Differences) == 1 {
		differences = "difference"
	}
	fmt.Fprintf(w, "\n%d %s between the recorded CA and the built-in one\n", len(r.Differences), differences)
}
