package exam

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"ciscora/ra/exam/builtin"
)

//go:embed clients/*
var clientFiles embed.FS

// preset is a client that the program knows how to run.
type preset struct {
	name, says string
	operations []string
	abilities  []string
	script     string   // of bash, in clients; "" = one of package builtin
	programs   []string // that it needs; the first may be named by the user
	from       string   // where they come from
	version    func(ctx context.Context, program string) string
}

func presets() []preset {
	first := func(args ...string) func(context.Context, string) string {
		return func(ctx context.Context, program string) string { return firstLine(ctx, program, args...) }
	}
	return []preset{
		{
			"curl", "curl with openssl, in a shell script",
			[]string{CACerts, Enroll, Reenroll, CSRAttrs},
			[]string{"label", "resolve"},
			"curl.sh",
			[]string{"curl", "openssl", "bash"},
			"Debian's curl and openssl",
			func(ctx context.Context, program string) string {
				return firstWords(firstLine(ctx, program, "--version"), 2) + ", " + firstWords(firstLine(ctx, "openssl", "version"), 2)
			},
		},
		{
			"libest", "libest's estclient", Operations(),
			[]string{"label"},
			"libest.sh",
			[]string{"estclient", "openssl", "bash"},
			"https://github.com/cisco/libest, built by yourself: no distribution has it", first("--version"),
		},
		{
			"strongswan", "strongSwan's pki --est",
			[]string{CACerts, Enroll, Reenroll},
			[]string{"poll"},
			"strongswan.sh",
			[]string{"pki", "bash"},
			"Debian's strongswan-pki and libstrongswan-extra-plugins", strongSwanVersion,
		},
		{"globalsign", "github.com/globalsign/est, the library's client", Operations(), []string{"label"}, "", nil, "", nil},
		{
			"bouncycastle", "Bouncy Castle's EST client, with a main of ours",
			[]string{CACerts, Enroll, Reenroll, CSRAttrs},
			[]string{"label"},
			"Exam.java",
			[]string{"java", "javac"},
			"Debian's default-jdk-headless and libbcpkix-java", nil,
		},
		{"capf", "this project's CAPF, with libest's habits", []string{CACerts, Enroll, Reenroll}, []string{"label"}, "", nil, "", nil},
	}
}

// Presets are the names of the clients that the program knows how to run, each with what
// it is.
func Presets() [][2]string {
	var all [][2]string
	for _, p := range presets() {
		all = append(all, [2]string{p.name, p.says})
	}
	return all
}

// Jars are where Debian has Bouncy Castle.
var jars = []string{"/usr/share/java/bcpkix.jar", "/usr/share/java/bcprov.jar", "/usr/share/java/bcutil.jar"}

// Preset makes the client of a name; what it needs is put into dir. program is the
// client's own program, "" = the one in PATH. self is the command that runs a client of
// package builtin, with its name behind.
func Preset(ctx context.Context, name, program, dir string, self []string) (Client, error) {
	var names []string
	for _, p := range presets() {
		names = append(names, p.name)
	}
	i := slices.Index(names, name)
	if i < 0 {
		return Client{}, fmt.Errorf("--client %q: there is no such preset%s", name, meant(name, names, ": want one of "+strings.Join(names, ", ")))
	}
	p := presets()[i]
	c := Client{Name: name, Operations: p.operations, Abilities: p.abilities}
	if p.script == "" {
		if program != "" {
			return c, fmt.Errorf("--client %s is part of this program: leave %s out", name, program)
		}
		c.Command, c.Version = append(slices.Clone(self), name), moduleVersion(name)
		return c, nil
	}
	for n, needed := range p.programs {
		if n == 0 && program != "" {
			needed = program
		}
		found, err := exec.LookPath(needed)
		if err != nil {
			return c, fmt.Errorf("--client %s needs %s, which is not there: install %s, or name it after --", name, needed, p.from)
		}
		if n == 0 {
			program = found
		}
	}
	if p.version != nil {
		c.Version = p.version(ctx, program)
	}
	data, err := clientFiles.ReadFile("clients/" + p.script)
	if err != nil {
		return c, err
	}
	file := filepath.Join(dir, p.script)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return c, fmt.Errorf("write the preset's script: %w", err)
	}
	if p.script == "Exam.java" {
		err := c.java(ctx, program, file)
		return c, err
	}
	c.Command, c.Env = []string{"bash", file}, []string{"EST_PROGRAM=" + program}
	return c, nil
}

// java compiles the client's main.
func (c *Client) java(ctx context.Context, java, file string) error {
	for _, jar := range jars {
		target, err := filepath.EvalSymlinks(jar)
		if err != nil {
			return fmt.Errorf("--client bouncycastle needs %s, which is not there: install Debian's libbcpkix-java", jar)
		}
		if version, ok := strings.CutPrefix(filepath.Base(target), "bcpkix-"); ok {
			c.Version = "Bouncy Castle " + strings.TrimSuffix(version, ".jar") + ", " + firstLine(ctx, java, "--version")
		}
	}
	dir, path := filepath.Dir(file), strings.Join(jars, string(os.PathListSeparator))
	out, err := exec.CommandContext(ctx, "javac", "-cp", path, "-d", dir, file).CombinedOutput() //nolint:gosec // a program of the system and a file of ours
	if err != nil {
		return fmt.Errorf("compile the client: %w: %s", err, shorten(string(out), 300))
	}
	// A process that lives a second needs no second compiler.
	c.Command = []string{java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp", dir + string(os.PathListSeparator) + path, "Exam"}
	return nil
}

func firstLine(ctx context.Context, program string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput() //nolint:gosec // the client that is examined
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return shorten(line, 100)
}

func firstWords(line string, n int) string {
	words := strings.Fields(line)
	return strings.Join(words[:min(n, len(words))], " ")
}

// strongSwanVersion is what pki says of itself in its help.
func strongSwanVersion(ctx context.Context, program string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, program, "--help").CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "strongSwan ") {
			return firstWords(line, 2)
		}
	}
	return ""
}

func moduleVersion(name string) string {
	if name != "globalsign" {
		return "of this program"
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/globalsign/est" {
			return m.Path + " " + m.Version
		}
	}
	return ""
}

// SelfNames are the clients that [Preset] runs by self.
func SelfNames() []string { return builtin.Names() }
