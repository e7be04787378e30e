package endpoint_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
	"ciscora/ra/check/hello"
)

func checkTLS(t testing.TB, address, client string) check.Report {
	t.Helper()
	r := check.Report{Target: address}
	if err := endpoint.TLS(t.Context(), endpoint.TLSOptions{Outside: outside(), Address: address, Client: client}, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEachVersionAndCipherIsFound(t *testing.T) {
	rsaLeaf := order{cn: "old.example.com", rsa: true}.make(t)
	address := respond(t, hello.Responder{
		Versions: []hello.Version{hello.SSL30, hello.TLS10}, RSA: ders(rsaLeaf),
		Suites: ids(t, "RC4-SHA", "CAMELLIA128-SHA", "DHE-RSA-AES256-SHA", "EXP-RC4-MD5", "ADH-AES128-SHA"),
	})
	r := checkTLS(t, address, "")
	wantFindings(
		t, r,
		"tls.connect ok: "+address,
		"tls.version.ssl3.0 warn: SSL 3.0 is taken | POODLE | SQL Server 2008 R2",
		"tls.version.tls1.0 ok: TLS 1.0 is taken",
		"tls.ciphers.ssl3.0 ok: SSL 3.0: RC4-SHA, CAMELLIA128-SHA, DHE-RSA-AES256-SHA, EXP-RC4-MD5, ADH-AES128-SHA",
		"tls.ciphers.tls1.0 ok: TLS 1.0: RC4-SHA, CAMELLIA128-SHA, DHE-RSA-AES256-SHA, EXP-RC4-MD5, ADH-AES128-SHA",
		"tls.weak warn: ADH-AES128-SHA (no certificate); EXP-RC4-MD5 (a key that is guessed in hours); RC4-SHA (RC4)",
		"tls.current warn: neither TLS 1.2 nor 1.3",
		"tls.leaf ok: with DHE-RSA, RSA: CN=old.example.com, self-signed, RSA 2048",
		"tls.client.tms ok: gets TLS 1.0 with RC4-SHA",
		"tls.client.7962g warn: no shared cipher | aes256-sha1",
		// A server that answers an offer of TLS 1.2 with TLS 1.0 has not taken TLS 1.2; CES
		// has, as it offers all three.
		"tls.version.tls1.2 ok: TLS 1.2 is not taken: the server answers with TLS 1.0 and RC4-SHA",
		"tls.client.ces ok: gets TLS 1.0",
	)
}

// Where the version is refused the ASA has not looked at ciphers.
func TestARefusedVersionIsNoMissingCipher(t *testing.T) {
	address := respond(t, hello.Responder{
		Versions: []hello.Version{hello.TLS12}, RSA: ders(order{cn: "asa", rsa: true}.make(t)), Suites: ids(t, "ECDHE-RSA-AES128-SHA"),
	})
	wantFindings(t, checkTLS(t, address, "7962g"), "tls.client.7962g FAIL: alert 70, protocol version | Reason: unsupported protocol")
}

func TestTheClientThatIsNamedMustGetThrough(t *testing.T) {
	rsaLeaf := order{cn: "endpoint", rsa: true}.make(t)
	address := respond(t, hello.Responder{
		Versions: []hello.Version{hello.TLS11, hello.TLS12}, RSA: ders(rsaLeaf), Suites: ids(t, "ECDHE-RSA-AES128-SHA"), Refuse: hello.WithReset,
	})
	r := checkTLS(t, address, "tms")
	wantFindings(t, r, "tls.client.tms FAIL: the connection was reset | no HTTPS response | GET /tcs/systemunit.xml | DisabledByDefault | CSCuz71542")
	if _, ok := states(r)["tls.client.7962g"]; ok {
		t.Error("another client is judged, too")
	}
	wantFindings(t, checkTLS(t, address, ""), "tls.client.tms warn: no HTTPS response", "tls.client.ces ok: TLS 1.2")

	var none check.Report
	err := endpoint.TLS(t.Context(), endpoint.TLSOptions{Outside: outside(), Address: address, Client: "tsm"}, &none)
	if err == nil || !strings.Contains(err.Error(), "did you mean tms?") {
		t.Error(err)
	}
}

func TestAPortThatIsOpenAndSpeaksNoTLSIsTold(t *testing.T) {
	serve := func(answer string) string {
		l := loopback(t)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = io.WriteString(conn, answer)
				conn.Close()
			}
		}()
		t.Cleanup(func() { l.Close(); <-ended })
		return l.Addr().String()
	}
	wantFindings(t, checkTLS(t, serve(""), ""),
		"tls.hello FAIL: TCP is open | SSL 3.0, TLS 1.0, TLS 1.1, TLS 1.2, TLS 1.3: the connection was closed without an answer | because of a problem with a security library | 26011 | KB3052404")
	wantFindings(t, checkTLS(t, serve("HTTP/1.1 400 Bad Request\r\n\r\n"), ""), "tls.hello FAIL: plain HTTP is spoken there")
	wantFindings(t, checkTLS(t, serve("<!DOCTYPE HTML>\n"), ""), "tls.hello FAIL: plain HTTP is spoken there")
	r := checkTLS(t, serve("\x1b[31m\n"), "")
	wantFindings(t, r, "tls.hello FAIL: no TLS | something else than TLS")

	l := loopback(t)
	l.Close()
	wantFindings(t, checkTLS(t, l.Addr().String(), ""), "tls.connect FAIL: connection refused", "tls.versions skip: no connection")
}

func TestAPortThatSaysNothingIsToldAsThat(t *testing.T) {
	l := loopback(t) // the kernel takes the connections, and nobody accepts them
	defer l.Close()
	o := outside()
	o.Timeout = 200 * time.Millisecond
	r := check.Report{}
	if err := endpoint.TLS(t.Context(), endpoint.TLSOptions{Outside: o, Address: l.Addr().String()}, &r); err != nil {
		t.Fatal(err)
	}
	wantFindings(t, r, "tls.connect ok", "tls.hello FAIL: takes connections and says nothing")
}

func TestTwoCertificatesAreTold(t *testing.T) {
	ca := order{cn: "CA", ca: true}.make(t)
	rsaLeaf := order{cn: "asa.example.com", rsa: true, by: ca}.make(t)
	suites := ids(t, "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "AES128-SHA")
	for _, test := range []struct {
		ec   *made
		want string
	}{
		{order{cn: "asa self"}.make(t), "tls.leaves FAIL: self-signed ECDSA certificate | old session cipher not returned | CSCuu02848"},
		{order{cn: "asa.example.com", by: ca}.make(t), "tls.leaves warn: two certificates | ssl cipher tlsv1.2 custom"},
	} {
		address := respond(t, hello.Responder{Versions: []hello.Version{hello.TLS12}, RSA: ders(rsaLeaf), EC: ders(test.ec), Suites: suites})
		wantFindings(t, checkTLS(t, address, ""), test.want)
	}
	address := respond(t, hello.Responder{Versions: []hello.Version{hello.TLS12}, RSA: ders(rsaLeaf), Suites: suites})
	if got, ok := states(checkTLS(t, address, ""))["tls.leaves"]; ok {
		t.Errorf("one certificate: %s", got)
	}
}

// TLS 1.3 encrypts the certificate: it is fetched by a handshake.
func TestTheCertificateOfAServerOfTLS13AloneIsFound(t *testing.T) {
	leaf := order{cn: "new.example.com"}.make(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: ders(leaf), PrivateKey: leaf.key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	serveHandshakes(t, l)
	r := checkTLS(t, l.Addr().String(), "")
	wantFindings(t, r, "tls.version.tls1.3 ok: is taken", "tls.version.tls1.2 ok: not taken: alert 70, protocol version",
		"tls.leaf ok: with any: CN=new.example.com", "tls.client.ces warn: return code 35", "tls.client.tms warn: no HTTPS response")
}

// serveHandshakes shakes hands with whoever comes, until the test ends.
func serveHandshakes(t testing.TB, l net.Listener) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1)) // shakes hands first
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
}

// A server that thinks long about each hello is not asked for everything, and the report
// says so.
func TestASlowServerIsNotAskedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answering sync.WaitGroup
		defer answering.Wait()
		o := outside()
		o.Timeout = 5 * time.Second
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			answering.Go(func() {
				defer theirs.Close()
				c, err := hello.ReadClient(theirs)
				if err != nil {
					return
				}
				time.Sleep(4 * time.Second)
				body := append([]byte{byte(c.Version >> 8), byte(c.Version)}, make([]byte, 33)...)
				body = append(body, byte(c.Suites[0]>>8), byte(c.Suites[0]), 0)
				_, _ = theirs.Write(append([]byte{22, 3, 1, 0, byte(len(body) + 4), 2, 0, 0, byte(len(body))}, body...)) // it may have gone
			})
			return ours, nil
		}
		began := time.Now()
		var r check.Report
		if err := endpoint.TLS(t.Context(), endpoint.TLSOptions{Outside: o, Address: "slow:443"}, &r); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 3*time.Minute {
			t.Errorf("it took %s", took)
		}
		wantFindings(t, r, "tls.ciphers.tls1.0 ok: (and perhaps more: then the time for asking, 30 times that of one connection, was over)", "tls.client.tms ok: gets TLS 1.0", "tls.client.ces ok: gets TLS 1.2")
	})
}
