package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ciscora/config"
	"ciscora/msca/certsrv"
	"ciscora/ra/admin"
	"ciscora/ra/fault"
	"ciscora/ra/lab"
	"ciscora/ra/server"
)

func (c *cli) certsrvCommand() *cobra.Command {
	var path, level string
	var specs []string
	var vary int
	var compare string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "certsrv --config certsrv.yaml",
		Short: "Run the built-in Microsoft CA alone",
		Long: `certsrv serves a Microsoft CA's Web Enrollment pages (IIS with NTLM, /certsrv) on
a two-tier CA of its own, for a lab. Certificates, keys and requests are kept in
the folder that the configuration names. With admin.listen in it, the queue of
requests and the faults are on that port, for curl. SIGHUP opens IIS's log anew and
reads the accounts' files again; certsrv.yaml itself takes a restart.

With --vary SEED it does what is not known of real CAs as the seed says, and prints
what that is: order and case of headers, chunks, cookies, languages, code pages, key
types, cross certificates, the look of the list of templates. A client that enrolls
under many seeds does not rely on what it has only seen here. Give it a folder of
its own: a CA that is there keeps its keys, and one that a seed renews stays renewed.

With --compare FILE it serves nothing, and says where it answers otherwise than a real
CA whose answers ra check ca --record has written down: exit status 0 nowhere, 1
somewhere. The CA that is compared is one in memory; with --vary, in that manner.`,
		Example: `  ra certsrv --config certsrv.yaml
  ra certsrv --config certsrv.yaml --vary 17
  ra certsrv --compare ca.yaml
  curl --ntlm -K curl.conf https://127.0.0.1:8443/certsrv/`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&path, "config", "certsrv.yaml", "configuration `file`")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().StringArrayVar(&specs, "fault", nil, "a fault that is on from the start, `PLACE:KIND`; repeatable; see ra lab faults")
	cmd.Flags().IntVar(&vary, "vary", 0, "do from this `seed` what is not known of real CAs; certsrv.yaml's vary")
	cmd.Flags().StringVar(&compare, "compare", "", "say where the built-in CA differs from the real one in this `file` of ra check ca --record")
	cmd.Flags().BoolVar(&asJSON, "json", false, "with --compare: print JSON")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		switch {
		case vary < 0:
			return usagef("--vary %d: want a seed of 0 or more", vary)
		case compare != "":
			return c.compareCA(ctx, compare, uint64(vary), asJSON)
		case asJSON:
			return usagef("--json goes with --compare")
		}
		hangups := catchHangups()
		defer hangups.stop()
		cfg, err := c.loadCertsrv(path)
		if err != nil {
			return configError(err)
		}
		if cmd.Flags().Changed("vary") {
			cfg.Vary = vary
		}
		log, err := newLogger(c.env.Stderr, level)
		if err != nil {
			return err
		}
		listener, err := server.Listen(ctx, cfg.Listen)
		if err != nil {
			return cfg.Problem("listen", err)
		}
		defer listener.Close()
		faults, err := orderFaults(specs, fault.Options{Logger: log.Named("fault")})
		if err != nil {
			return err
		}
		ca, err := lab.OpenCA(cfg, lab.CAOptions{Logger: log, Faults: faults})
		if err != nil {
			return err
		}
		defer ca.Close()
		defer hangups.reload(ctx, ca.Reload)()
		group, ctx := errgroup.WithContext(ctx)
		adminAddress := ""
		if cfg.Admin.Listen != "" {
			adminListener, err := server.Listen(ctx, cfg.Admin.Listen)
			if err != nil {
				return cfg.Problem("admin.listen", err)
			}
			guard, adminListener, err := server.AdminPort(cfg.Admin, adminListener, time.Now, log)
			if err != nil {
				return cfg.Problem("admin", err)
			}
			adminAddress = adminListener.Addr().String()
			group.Go(func() error { return serveAdmin(ctx, adminListener, guard, ca) })
		}
		group.Go(func() error { return ca.Serve(ctx, listener) })
		fmt.Fprintf(c.env.Stdout, "certsrv  https://%s/certsrv\n", listener.Addr())
		if cfg.Vary != 0 {
			fmt.Fprintf(c.env.Stdout, "vary %d  %s\n", cfg.Vary, certsrv.MannerOf(uint64(cfg.Vary)))
		}
		if adminAddress != "" {
			fmt.Fprintf(c.env.Stdout, "admin    %s://%s\n", adminScheme(cfg.Admin), adminAddress)
		}
		fmt.Fprintln(c.env.Stdout, "ready")
		return group.Wait()
	})
	return cmd
}

// serveAdmin shows the CA's requests and takes a manager's decisions.
func serveAdmin(ctx context.Context, l net.Listener, guard *admin.Guard, ca *lab.CA) error {
	s := &http.Server{
		Handler: admin.New(admin.Options{
			Ready:   func() admin.Readiness { return admin.Readiness{Ready: true} },
			Roots:   ca.Chain,
			Certsrv: ca.Queue(),
			Faults:  ca.AdminFaults(),
			Guard:   guard,
		}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin.listen: %w", err)
	}
	return nil
}

func adminScheme(a config.Admin) string {
	if a.TLS.Certificate != "" {
		return "https"
	}
	return "http"
}
