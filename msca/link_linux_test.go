package msca_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ciscora/internal/peertest"
	"ciscora/msca"
)

// What TCP holds back while a link is dead must not reach the CA when others have
// looked whether it did: not from a process that waits for its answer, nor from one
// that has given up, nor from one that was killed.
func TestAPostInADeadLinkIsNotDeliveredLate(t *testing.T) {
	const short = time.Second
	for _, test := range []struct {
		name  string
		times msca.Timeouts
		fence string                   // what the client's fence says
		dead  func(*testing.T, *link)  // what happens while the link is dead; nil: it never is
		want  func(got int64) bool     // bytes of the POST that the CA got
		ends  func(read error) bool    // how the CA's end ends
		says  func(answer string) bool // how Submit ends; nil: its process is gone
	}{
		{
			name: "a link that is back soon delivers it", fence: "ours",
			dead: func(*testing.T, *link) {},
			want: func(got int64) bool { return got > 0 },
			ends: func(error) bool { return true },
			says: func(answer string) bool { return answer == "ReqID 7" },
		},
		{
			// Linux looks at its first retransmission at the earliest, which a loaded machine
			// has only after a second or two: the time-out is longer than that.
			name: "a link that is dead for longer", times: msca.Timeouts{Unacknowledged: 3 * short}, fence: "ours",
			dead: func(*testing.T, *link) { <-time.After(6 * short) },
			want: none, ends: isReset, says: isClosed,
		},
		{
			// Its time runs already while the link is taken down.
			name: "a client that gives up", times: msca.Timeouts{Submit: 5 * short}, fence: "ours",
			dead: func(t *testing.T, l *link) { l.heard = l.hear(t) },
			want: none, ends: isReset,
			says: func(answer string) bool { return strings.Contains(answer, string(msca.KindTimeout)) },
		},
		{
			name: "a process that is killed", fence: "ours",
			dead: func(t *testing.T, l *link) { l.kill(t) },
			want: none, ends: isReset,
		},
		{
			name: "a claim that is lost", fence: "lost",
			want: none, ends: isReset,
			says: func(answer string) bool { return strings.Contains(answer, "somebody else's") },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLink(t, test.times)
			if said := l.hear(t); said != "fence" {
				t.Fatalf("the client says %q before its POST", said)
			}
			before := l.ca.got.Load()
			if test.dead != nil {
				l.set(t, "down")
			}
			fmt.Fprintln(l.orders, test.fence)
			if test.dead != nil {
				if said := l.hear(t); said != "written" {
					t.Fatalf("the client says %q of its POST", said)
				}
				test.dead(t, l)
				l.set(t, "up")
			}
			if test.says != nil {
				if l.heard == "" {
					l.heard = l.hear(t)
				}
				if !test.says(l.heard) {
					t.Errorf("the client says: %s", l.heard)
				}
				l.orders.Close() // it has nothing left to do
			}
			<-l.ca.done
			if got := l.ca.got.Load() - before; !test.want(got) {
				t.Errorf("the CA got %d bytes of the POST", got)
			}
			if !test.ends(l.ca.end) {
				t.Errorf("the CA's end of the connection ends with: %v", l.ca.end)
			}
		})
	}
}

func none(got int64) bool         { return got == 0 }
func isReset(err error) bool      { return errors.Is(err, syscall.ECONNRESET) }
func isClosed(answer string) bool { return strings.Contains(answer, string(msca.KindClosed)) }

// link is a CA here and a client in a process of its own, each in a network namespace
// of its own, and the cable between them.
type link struct {
	ca      *linkCA
	caSpace string
	client  *exec.Cmd
	orders  io.WriteCloser
	says    *bufio.Reader
	heard   string // the client's last word, where it came while the link was dead
}

const (
	linkCAAddr     = "192.0.2.1"
	linkClientAddr = "192.0.2.2"
	linkVariable   = "MSCA_TEST_LINK_CLIENT"
)

func newLink(t *testing.T, times msca.Timeouts) *link {
	t.Helper()
	caSpace, clientSpace := fmt.Sprintf("msca-%d-ca", os.Getpid()), fmt.Sprintf("msca-%d-client", os.Getpid())
	namespace(t, caSpace)
	namespace(t, clientSpace)
	ip(t, "-n", caSpace, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", clientSpace)
	const caCard = "02:00:00:00:00:01"
	ip(t, "-n", caSpace, "link", "set", "cable", "address", caCard)
	for space, addr := range map[string]string{caSpace: linkCAAddr, clientSpace: linkClientAddr} {
		ip(t, "-n", space, "address", "add", addr+"/24", "dev", "cable")
		ip(t, "-n", space, "link", "set", "cable", "up")
	}
	// Else what is sent into the dead link waits for ARP, for some seconds, after TCP
	// has dropped it.
	ip(t, "-n", clientSpace, "neighbour", "replace", linkCAAddr, "lladdr", caCard, "nud", "permanent", "dev", "cable")
	p := newPKI(t)
	ca := startLinkCA(t, caSpace, p)
	order, err := json.Marshal(linkOrder{
		Addr: ca.addr, CSR: p.csr.Raw, Times: times,
		Root: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.root.cert.Raw}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	// ip becomes the client: what is killed is not ip alone.
	client := exec.CommandContext(ctx, "ip", "netns", "exec", clientSpace, os.Args[0])
	client.Env = append(os.Environ(), linkVariable+"="+string(order))
	client.Stderr = os.Stderr
	orders, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	says, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		orders.Close()
		_ = client.Wait() // killed, or done
	})
	return &link{ca: ca, caSpace: caSpace, client: client, orders: orders, says: bufio.NewReader(says)}
}

// set takes the link down or up: behind the cable, as a network's router does it. A
// cable that is pulled is another thing to Linux, which then knows better than to send.
func (l *link) set(t *testing.T, state string) {
	t.Helper()
	change := map[string]string{"down": "delete", "up": "add"}[state]
	ip(t, "-n", l.caSpace, "address", change, linkCAAddr+"/24", "dev", "cable")
}

// hear returns the client's next word.
func (l *link) hear(t *testing.T) string {
	t.Helper()
	line, err := l.says.ReadString('\n')
	if err != nil {
		t.Fatalf("the client has ended: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (l *link) kill(t *testing.T) {
	t.Helper()
	if err := l.client.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = l.client.Wait() // its sockets are closed then
}

// namespace makes a network namespace for the test. It takes root and iproute2, which
// CI has.
func namespace(t *testing.T, name string) {
	t.Helper()
	peertest.Root(t)
	out, err := exec.CommandContext(t.Context(), "ip", "netns", "add", name).CombinedOutput()
	if err != nil {
		peertest.Missing(t, "a network namespace cannot be made (root and iproute2 can): %v %s", err, out)
	}
	t.Cleanup(func() { ip(t, "netns", "delete", name) })
}

func ip(t *testing.T, arguments ...string) {
	t.Helper()
	// Also to clean up, when the test's context has ended.
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "ip", arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v %s", strings.Join(arguments, " "), err, out)
	}
}

// linkCA serves one connection.
type linkCA struct {
	net.Conn
	addr string
	got  atomic.Int64
	done chan struct{} // closed when it has ended
	end  error         // of the connection, for who has seen done
}

func (c *linkCA) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.got.Add(int64(n))
	if err != nil {
		c.end = err
	}
	return n, err
}

func startLinkCA(t *testing.T, namespace string, p *pki) *linkCA {
	t.Helper()
	l := listenIn(t, namespace)
	ca := &linkCA{addr: l.Addr().String(), done: make(chan struct{})}
	go func() {
		defer close(ca.done)
		if ca.Conn, ca.end = l.Accept(); ca.end == nil {
			stalling(p, "")(ca)
			ca.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ca.done
	})
	return ca
}

// listenIn listens within a network namespace. The CA's end looks each second whether
// the client's is still there: where it is gone its kernel answers with a reset.
func listenIn(t *testing.T, namespace string) (l net.Listener) {
	t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		space, err := os.Open("/run/netns/" + namespace)
		if err == nil {
			defer space.Close()
			err = unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			look := net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 60}
			l, err = (&net.ListenConfig{KeepAliveConfig: look}).Listen(t.Context(), "tcp", linkCAAddr+":0")
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return l
}

// linkOrder is what the client's process does.
type linkOrder struct {
	Addr      string
	Root, CSR []byte
	Times     msca.Timeouts
}

// The test's own program is the client's, too.
func init() {
	if order := os.Getenv(linkVariable); order != "" {
		if err := linkClient(order); err != nil {
			fmt.Println(err)
		}
		_, _ = io.Copy(io.Discard, os.Stdin) // it lives until it is let go
		os.Exit(0)
	}
}

// linkClient submits a CSR. It says when it is about to post, and waits for what its
// fence is to say; when its kernel has taken a part of the POST; and how it ended.
func linkClient(text string) error {
	var order linkOrder
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		return err
	}
	csr, err := x509.ParseCertificateRequest(order.CSR)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(order.Root)
	var conn *tellingConn
	client, err := msca.New(msca.Options{
		URL: caURL, TLS: &tls.Config{RootCAs: roots}, Timeouts: order.Times,
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr(linkCAAddr)}, nil
		},
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, order.Addr)
			conn = &tellingConn{Conn: c}
			return conn, err
		},
	})
	if err != nil {
		return err
	}
	ctx := context.Background()
	session, err := client.Login(ctx, account)
	if err != nil {
		return err
	}
	reqID, err := session.Submit(ctx, csr, "CiscoRA", func(context.Context) error {
		fmt.Println("fence")
		var word string
		if _, err := fmt.Scanln(&word); err != nil {
			return err
		}
		if word != "ours" {
			return errors.New("the claim is somebody else's")
		}
		conn.tell = true
		return nil
	})
	if e, ok := errors.AsType[*msca.Error](err); ok {
		return fmt.Errorf("%s: %w", e.Kind, err)
	}
	fmt.Println("ReqID", reqID)
	return err
}

// tellingConn says once that it has written.
type tellingConn struct {
	net.Conn
	tell bool
}

func (c *tellingConn) NetConn() net.Conn { return c.Conn }

func (c *tellingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.tell && n > 0 {
		c.tell = false
		fmt.Println("written")
	}
	return n, err
}
