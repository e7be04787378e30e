package capture_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"go.uber.org/goleak"

	"ciscora/ra/capture"
	"ciscora/ra/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection that a capture keeps, and its other end.
func pair(t *testing.T, c *capture.Capture) (ours, theirs net.Conn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := c.Dial(func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	})
	if ours, err = dial(t.Context(), "tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if theirs, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func used(c net.Conn) []wire.Connection {
	return []wire.Connection{{Ends: wire.Ends{Local: c.LocalAddr().String(), Remote: c.RemoteAddr().String()}, At: time.Now()}}
}

// streams are the bytes of both directions, put together again by another library.
func streams(t *testing.T, file []byte) (all map[string]string, flags string) {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	all = map[string]string{}
	next := map[string]uint32{}
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all, flags
		}
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(data, layers.LayerTypeIPv4, gopacket.Default)
		tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok {
			t.Fatalf("no TCP in %x", data)
		}
		from := fmt.Sprintf("%s:%d", p.NetworkLayer().NetworkFlow().Src(), uint16(tcp.SrcPort)) // a port by its number
		if want, known := next[from]; known && tcp.Seq != want {
			t.Errorf("a gap: sequence number %d, want %d", tcp.Seq, want)
		}
		next[from] = tcp.Seq + uint32(len(tcp.Payload))
		if tcp.SYN || tcp.FIN {
			next[from]++
		}
		if tcp.FIN {
			flags += "F"
		}
		if tcp.RST {
			flags += "R"
		}
		all[from] += string(tcp.Payload)
	}
}

func TestACaptureHasWhatWentBothWays(t *testing.T) {
	c := capture.New(capture.Options{})
	ours, theirs := pair(t, c)
	long := strings.Repeat("a long answer ", 5000)
	go func() {
		_, _ = io.CopyN(io.Discard, theirs, 7)
		_, _ = io.WriteString(theirs, long)
		theirs.Close()
	}()
	if _, err := io.WriteString(ours, "request"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(ours); err != nil || string(got) != long {
		t.Fatalf("%v, %d bytes", err, len(got))
	}
	if n, err := ours.Read(make([]byte, 1)); !errors.Is(err, io.EOF) { // the end comes once, however often it is read
		t.Fatalf("%v, %d bytes behind the end", err, n)
	}
	ours.Close()
	var file bytes.Buffer
	if err := c.PCAPNG(&file, used(ours), "a comment"); err != nil {
		t.Fatal(err)
	}
	all, flags := streams(t, file.Bytes())
	var sent, came bool
	for _, text := range all {
		sent, came = sent || text == "request", came || text == long
	}
	if !sent || !came || flags != "FF" {
		t.Errorf("request %v, answer %v, ends %q", sent, came, flags)
	}
}

func TestACaptureIsBounded(t *testing.T) {
	c := capture.New(capture.Options{Connections: 2, Bytes: 100})
	var conns []net.Conn
	for range 4 {
		ours, theirs := pair(t, c)
		conns = append(conns, ours)
		for range 10 {
			if _, err := io.WriteString(ours, strings.Repeat("x", 30)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, theirs, 30); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, conn := range conns {
		var file bytes.Buffer
		err := c.PCAPNG(&file, used(conn), "")
		if i < 2 {
			if !errors.Is(err, capture.ErrGone) {
				t.Errorf("the connection %d is still there: %v", i, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all, flags := streams(t, file.Bytes())
		total := 0
		for _, text := range all {
			total += len(text)
		}
		// Nobody has reset it, and the file must not say so.
		if total != 90 || flags != "" || !bytes.Contains(file.Bytes(), []byte("more went over this connection")) {
			t.Errorf("%d bytes are kept of 100 that may be, and it ends with %q", total, flags)
		}
	}
	for range 10_000 {
		_, _ = io.WriteString(c, "CLIENT_RANDOM "+strings.Repeat("0", 64)+" 00\n") // one's own, over and over
	}
	c.Clear()
	if err := c.PCAPNG(io.Discard, used(conns[3]), ""); !errors.Is(err, capture.ErrGone) {
		t.Errorf("after Clear: %v", err)
	}
}

// A log-in's connection is kept by who made it, and serves whoever comes after.
func TestAConnectionThatGoesOnOutlivesClear(t *testing.T) {
	c := capture.New(capture.Options{})
	trusting := &tls.Config{ServerName: "ca.example", InsecureSkipVerify: true, KeyLogWriter: c, ClientSessionCache: tls.NewLRUClientSessionCache(1), MaxVersion: tls.VersionTLS12}
	proving := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	dial := func() (conn, raw, theirs net.Conn) {
		raw, beneath := pair(t, c)
		conn, theirs = tls.Client(raw, trusting), tls.Server(beneath, proving)
		go func() { _, _ = io.WriteString(theirs, "hello") }()
		if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		return conn, raw, theirs
	}
	first, firstRaw, _ := dial()
	first.Close()
	gone, goneRaw, _ := dial() // it resumes the first, which is needed for no other
	gone.Close()
	goesOn, raw, theirs := dial()
	c.Clear()
	if err := c.PCAPNG(io.Discard, used(goneRaw), ""); !errors.Is(err, capture.ErrGone) {
		t.Errorf("one that has ended: %v", err)
	}
	go func() { _, _ = io.WriteString(theirs, "after it") }()
	if _, err := io.ReadFull(goesOn, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := c.PCAPNG(&file, used(raw), ""); err != nil {
		t.Fatal(err)
	}
	all, _ := streams(t, file.Bytes())
	if len(all[raw.LocalAddr().String()]) == 0 || len(all[raw.RemoteAddr().String()]) == 0 {
		t.Error("the connection that goes on is not whole")
	}
	if !goesOn.(*tls.Conn).ConnectionState().DidResume {
		t.Fatal("it did not resume")
	}
	if len(all[firstRaw.LocalAddr().String()]) == 0 || !bytes.Contains(file.Bytes(), []byte("CLIENT_RANDOM ")) {
		t.Error("the connection whose session it goes on with is not there, with its secrets")
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestAConnectionByteByByteIsBounded(t *testing.T) {
	c := capture.New(capture.Options{})
	ours, theirs := pair(t, c)
	const sent = 17_000
	done := make(chan error, 1)
	go func() { _, err := io.CopyN(io.Discard, theirs, sent); done <- err }()
	for range sent {
		if _, err := io.WriteString(ours, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := c.PCAPNG(&file, used(ours), ""); err != nil {
		t.Fatal(err)
	}
	all, _ := streams(t, file.Bytes())
	if n := len(all[ours.LocalAddr().String()]); n != 16<<10 {
		t.Errorf("%d pieces are kept", n)
	}
}

// held is a connection whose Write returns when somebody says so, as on a machine that has
// other things to do.
type held struct {
	net.Conn
	on <-chan struct{}
}

func (h held) Write(p []byte) (int, error) {
	n, err := h.Conn.Write(p)
	<-h.on
	return n, err
}

func TestARequestStandsBeforeItsAnswer(t *testing.T) {
	c := capture.New(capture.Options{})
	theirs, beneath := net.Pipe()
	defer theirs.Close()
	answered := make(chan struct{})
	ours, err := c.Dial(func(context.Context, string, string) (net.Conn, error) { return held{beneath, answered}, nil })(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	wrote := make(chan error, 1)
	go func() { _, err := io.WriteString(ours, "request"); wrote <- err }()
	if _, err := io.CopyN(io.Discard, theirs, 7); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(theirs, "answer") }()
	if _, err := io.ReadFull(ours, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	close(answered)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := c.PCAPNG(&file, used(ours), ""); err != nil {
		t.Fatal(err)
	}
	request, answer := bytes.Index(file.Bytes(), []byte("request")), bytes.Index(file.Bytes(), []byte("answer"))
	if request < 0 || answer < request {
		t.Errorf("the request stands at %d, the answer at %d", request, answer)
	}
}
