package certsrv_test

import (
	"crypto/tls"
	"fmt"
	"net/http"

	"ciscora/msca/certsrv"
)

func ExampleNewTestServer() {
	srv := certsrv.NewTestServer()
	defer srv.Close()

	// srv.URL, srv.User and srv.Password are what a client needs; srv.Roots it
	// must trust.
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: srv.Roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(srv.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, resp.Header.Values("WWW-Authenticate"))
	fmt.Println(srv.User, srv.Server.Root().Subject.CommonName)
	// Output:
	// 401 [Negotiate NTLM]
	// LAB\ciscora LAB Root CA
}
