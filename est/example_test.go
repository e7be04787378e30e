package est_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"ciscora/est"
)

// A server for any CA of github.com/globalsign/est, with one user, on loopback.
func ExampleNew() {
	server, err := est.New(est.Options{
		CA: &ca{},
		Authenticator: est.AuthenticatorFunc(func(r *http.Request) (context.Context, error) {
			user, password, ok := r.BasicAuth()
			if !ok || user != "estuser" || password != "estpwd" {
				return nil, &est.Error{Status: http.StatusUnauthorized, Text: "no such user, or another password", Challenged: !ok}
			}
			return r.Context(), nil
		}),
		Dialect: est.DialectLibest,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	stop() // a real one waits for a signal
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	config := &tls.Config{Certificates: []tls.Certificate{lab().server}, MinVersion: tls.VersionTLS12}
	fmt.Println(server.Serve(ctx, listener, config))
	// Output: <nil>
}
