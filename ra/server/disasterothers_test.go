package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ciscora/internal/peertest"
	"ciscora/ra/ledger/ledgertest"
)

// ownDisaster wants replicas of its own.
type ownDisaster struct {
	disaster
	rig func(*testing.T) *rig
}

func otherDisasters() []ownDisaster {
	const soon = 5 * time.Second
	return []ownDisaster{
		{disaster{name: "a replica is stopped for longer than its lease", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			x.signal(0, syscall.SIGSTOP)
			after(16 * time.Second)
			x.signal(0, syscall.SIGCONT)
			return time.Now()
		}}, func(t *testing.T) *rig { return newRig(t, rigOptions{}) }},

		failoverOf("the first PostgreSQL falls silent and the standby is promoted", false, func(_ *testing.T, f *failover) { f.first.SetSilent(true) }),
		failoverOf("the first PostgreSQL's link goes down and the standby is promoted", true, func(t *testing.T, f *failover) { f.link(t, "delete") }),
		failoverOf("the first PostgreSQL crashes and the standby is promoted", false, func(t *testing.T, f *failover) { f.primary.Stop(t) }),
		packetsAreDropped(),

		{disaster{name: "PostgreSQL's disk is full for 3 s", within: soon, act: func(t *testing.T, x *rig) time.Time {
			makeRoom := fill(t, x.disk)
			after(3 * time.Second)
			makeRoom()
			if !x.pg.Running() { // its log found no room either
				x.pg.Start(t)
			}
			return time.Now()
		}}, func(t *testing.T) *rig { disk := smallDisk(t, "150m"); return newRig(t, rigOptions{disk: disk}) }},
		{disaster{name: "SQLite's disk is full for 3 s", within: soon, act: func(t *testing.T, x *rig) time.Time {
			makeRoom := fill(t, x.disk)
			after(3 * time.Second)
			makeRoom()
			return time.Now()
		}}, func(t *testing.T) *rig { return sqliteRig(t, smallDisk(t, "8m")) }},
		{disaster{name: "the SQLite file is removed for 3 s", within: soon, act: func(t *testing.T, x *rig) time.Time {
			path := filepath.Join(x.disk, "ra.db")
			move(t, path, path+".away")
			after(3 * time.Second)
			move(t, path+".away", path)
			return time.Now()
		}}, func(t *testing.T) *rig { return sqliteRig(t, t.TempDir()) }},
		{disaster{name: "the SQLite file is replaced for 3 s", within: soon, act: func(t *testing.T, x *rig) time.Time {
			path := filepath.Join(x.disk, "ra.db")
			move(t, path, path+".away")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			after(3 * time.Second)
			move(t, path+".away", path)
			return time.Now()
		}}, func(t *testing.T) *rig { return sqliteRig(t, t.TempDir()) }},

		{disaster{name: "the balancer restarts", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			x.balancer.stop()
			after(time.Second)
			x.balancer.start()
			return time.Now()
		}}, balancedRig},
		{disaster{name: "rolling restart behind HAProxy", within: soon, alone: true, noErrors: true, noneTold: true, act: func(t *testing.T, x *rig) time.Time {
			for i := range x.configs {
				x.term(i)
				x.start(i)
				// The next one goes when the balancer has this one back.
				await(t, func() bool { begun, _ := x.replicas()[i].ask(t); return begun > 0 })
			}
			return time.Now()
		}}, balancedRig},
		{disaster{name: "rolling upgrade behind HAProxy to a new schema version", within: soon, alone: true, noErrors: true, act: upgrade}, func(t *testing.T) *rig {
			successor := filepath.Join(t.TempDir(), "successor")
			build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "ra_successor", "-o", successor, ".")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			x := balancedRig(t)
			x.successor = successor
			return x
		}},
	}
}

// upgrade replaces the replicas by their successors, one after the other. The first one
// brings the ledger up to date; the others say what they need, and leave the balancer.
func upgrade(t *testing.T, x *rig) time.Time {
	x.program = x.successor
	for i := range x.configs {
		x.term(i)
		x.start(i)
		for older := i + 1; older < len(x.configs); older++ {
			for _, page := range []string{"/readyz", "/servingz"} {
				await(t, func() bool {
					return x.says(older, page, "was written by a newer version of ra (schema 6, this one knows 5): use that version")
				})
			}
		}
		await(t, func() bool { begun, _ := x.replicas()[i].ask(t); return begun > 0 })
	}
	return time.Now()
}

// namespaces tells the networks and addresses of this process apart.
var namespaces atomic.Int64

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// sqliteRig is one RA with its ledger in a folder.
func sqliteRig(t *testing.T, folder string) *rig {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(folder, "ra.db")
	return newRig(t, rigOptions{dsns: []string{dsn}, read: dsn, disk: folder})
}

// asRoot runs what takes root; where that is not to be had the test is skipped, and fails
// with RA_PEERS=required.
func asRoot(t *testing.T, program string, arguments ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, arguments...).CombinedOutput()
	if err == nil {
		return
	}
	peertest.Missing(t, "%s %v wants root: %v %s", program, arguments, err, out)
}

// smallDisk is a file system of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "disk") //nolint:usetesting // a test's own folder is too long for the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	asRoot(t, "mount", "-t", "tmpfs", "-o", "mode=1777,size="+size, "tmpfs", dir)
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill leaves no room on a file system.
func fill(t *testing.T, dir string) (makeRoom func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "full"))
	if err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 4096); err == nil; {
		_, err = f.Write(chunk)
	}
	f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() { os.Remove(f.Name()) }
}

// failover is a PostgreSQL with a standby.
type failover struct {
	primary, standby *ledgertest.Postgres
	first            *ledgertest.Relay
	space, address   string // of the first one's network namespace; "" = it has none
}

func failoverOf(name string, link bool, lose func(*testing.T, *failover)) ownDisaster {
	f := &failover{}
	return ownDisaster{disaster{name: name, within: 5 * time.Second, alone: true, act: func(t *testing.T, x *rig) time.Time {
		lose(t, f)
		f.standby.Promote(t)
		x.read = strings.ReplaceAll(f.standby.DSN, "postgres:///postgres", "postgres:///ra")
		return time.Now()
	}}, func(t *testing.T) *rig { return f.start(t, link) }}
}

func packetsAreDropped() ownDisaster {
	f := &failover{}
	return ownDisaster{disaster{name: "every other 200 ms packets to PostgreSQL are dropped", within: 5 * time.Second, act: func(t *testing.T, _ *rig) time.Time {
		for range 10 {
			f.link(t, "delete")
			after(200 * time.Millisecond)
			f.link(t, "add")
			after(200 * time.Millisecond)
		}
		return time.Now()
	}}, func(t *testing.T) *rig { return f.start(t, true) }}
}

func (f *failover) start(t *testing.T, link bool) *rig {
	t.Helper()
	f.primary = ledgertest.StartPostgres(t)
	early := &rig{pg: f.primary}
	read := early.usual(t)
	f.standby = f.primary.StartStandby(t)
	if link {
		f.first = ledgertest.RelayOn(t, f.namespace(t), "unix", f.primary.Socket())
	} else {
		f.first = f.primary.Relay(t)
	}
	dsn := throughAsRA(f.first, f.standby.Relay(t))
	return newRig(t, rigOptions{dsns: []string{dsn, dsn, dsn}, read: read})
}

// namespace makes a network namespace at the end of a cable, and listens there.
func (f *failover) namespace(t *testing.T) (l net.Listener) {
	t.Helper()
	serial := namespaces.Add(1)
	f.space = fmt.Sprintf("ra-%d-%d", os.Getpid(), serial)
	near := fmt.Sprintf("ra%dx%d", os.Getpid(), serial) // at most 15 bytes
	net198 := fmt.Sprintf("198.18.%d.%d", os.Getpid()%250, serial*4%256)
	asRoot(t, "ip", "netns", "add", f.space)
	t.Cleanup(func() { ip(t, "netns", "delete", f.space) })
	here, there := next(net198, 1), next(net198, 2)
	f.address = there
	ip(t, "link", "add", near, "type", "veth", "peer", "name", "cable", "netns", f.space)
	ip(t, "address", "add", here+"/30", "dev", near)
	ip(t, "link", "set", near, "up")
	ip(t, "-n", f.space, "address", "add", there+"/30", "dev", "cable")
	ip(t, "-n", f.space, "link", "set", "cable", "up")
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		space, err := os.Open("/run/netns/" + f.space)
		if err == nil {
			defer space.Close()
			err = unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", there+":0")
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return l
}

// link lets all packets be dropped ("delete"), behind the cable as a router does it, or
// pass again ("add").
func (f *failover) link(t *testing.T, change string) {
	t.Helper()
	ip(t, "-n", f.space, "address", change, f.address+"/30", "dev", "cable")
}

func next(network string, n byte) string {
	a := net.ParseIP(network).To4()
	return net.IPv4(a[0], a[1], a[2], a[3]+n).String()
}

func ip(t *testing.T, arguments ...string) {
	t.Helper()
	// Also to clean up, when the test's context has ended.
	if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "ip", arguments...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v %s", strings.Join(arguments, " "), err, out)
	}
}

// balancedRig is three replicas behind deploy/haproxy.cfg.
func balancedRig(t *testing.T) *rig {
	t.Helper()
	// Ports that stay the same over a restart: each run of this test has addresses of its own.
	serial := namespaces.Add(1)
	address := func(i int, port string) string {
		return net.JoinHostPort(fmt.Sprintf("127.%d.%d.%d", 100+os.Getpid()%100, os.Getpid()/100%250, int(serial)*8%240+i), port)
	}
	var replicas []behind
	for i := range rigReplicas {
		replicas = append(replicas, behind{address(i, "18084"), address(i, "18085")})
	}
	x := newRig(t, rigOptions{change: func(i int, text string) string {
		text = strings.Replace(text, `est: {listen: "127.0.0.1:0"`, `est: {proxy_protocol: ["127.0.0.1/32"], listen: "`+replicas[i].est+`"`, 1)
		text = strings.Replace(text, `drain_delay: 0s`, `drain_delay: 5s`, 1)
		return strings.Replace(text, `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: "`+replicas[i].admin+`"}`, 1)
	}})
	x.front = address(7, "18084")
	x.balancer = newBalancer(t, x.site, x.front, replicas...)
	x.balancer.start()
	await(t, func() bool { // it listens
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", x.front)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return x
}
