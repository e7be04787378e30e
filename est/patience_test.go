package est_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/est"
)

// slowCA issues after a while.
type slowCA struct {
	ca
	after time.Duration
}

func (c *slowCA) Enroll(ctx context.Context, csr *x509.CertificateRequest, label string, r *http.Request) (*x509.Certificate, error) {
	time.Sleep(c.after) // virtual
	return c.ca.Enroll(ctx, csr, label, r)
}

// read is one piece of what a client was sent, and when.
type read struct {
	at   time.Duration
	text string
}

// enrollSlowly enrolls at a CA that takes a while, and returns what came when.
func enrollSlowly(t *testing.T, after, patience time.Duration, request string) (reads []read, whole string) {
	t.Helper()
	p := newPipes()
	s := newServer(t, func(o *est.Options) {
		o.CA, o.Patience = &slowCA{after: after}, patience
	})
	certificate, key := certify("127.0.0.1", func(c *x509.Certificate) {
		c.DNSNames, c.NotBefore, c.NotAfter = []string{"est"}, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}, nil, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Serve(ctx, p, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}}})
	}()
	client := p.dial()
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate)
	conn := tls.Client(client, &tls.Config{RootCAs: trusted, ServerName: "est", MaxVersion: tls.VersionTLS12})
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	buffer := make([]byte, 64<<10)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second)) // libest's
		n, err := conn.Read(buffer)
		if n > 0 {
			reads = append(reads, read{time.Since(began), string(buffer[:n])})
			whole += string(buffer[:n])
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
			break
		}
	}
	conn.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return reads, whole
}

func TestPatienceKeepsAClientWaitingWhoseTimeOutCountsPerRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		csr, _ := phone(t, "phone")
		reads, whole := enrollSlowly(t, 25*time.Second, time.Minute, post(enrollPath, lines(csr), credentials, "Connection: close\r\n"))
		for i, want := range []read{{8 * time.Second, "H"}, {16 * time.Second, "T"}, {24 * time.Second, "T"}} {
			if len(reads) <= i || reads[i] != want {
				t.Fatalf("read %d: %+v, want %+v", i, reads, want)
			}
		}
		if !strings.HasPrefix(whole, "HTTP/1.1 200 OK\r\n") || !strings.Contains(whole, "Connection: close\r\n") || !strings.Contains(whole, "Content-Length: ") {
			t.Errorf("the answer: %.300q", whole)
		}
		_, body, _ := strings.Cut(whole, "\r\n\r\n")
		if len(certificates(t, body)) != 1 {
			t.Error("no certificate")
		}
	})
}

func TestAnAnswerThatIsKnownInTimeIsAPerfectlyNormalOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		csr, _ := phone(t, "phone")
		request := post(enrollPath, lines(csr), credentials, "Connection: close\r\n")
		_, without := enrollSlowly(t, 7*time.Second, 0, request)
		reads, with := enrollSlowly(t, 7*time.Second, time.Minute, request)
		head := func(s string) string { h, _, _ := strings.Cut(s, "\r\n\r\n"); return dateless(h) }
		if head(with) != head(without) || reads[0].at != 7*time.Second {
			t.Errorf("with patience    %q at %s\nwithout patience %q", head(with), reads[0].at, head(without))
		}
	})
}

// dateless is a head without what differs from answer to answer.
func dateless(head string) string {
	var kept []string
	for line := range strings.SplitSeq(head, "\r\n") {
		if !strings.HasPrefix(line, "Date:") && !strings.HasPrefix(line, "Content-Length:") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
