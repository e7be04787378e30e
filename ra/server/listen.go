package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"ciscora/config"
)

// open returns the listener that was handed in, or opens the configured one.
func open(ctx context.Context, cfg *config.RA, key, address string, given net.Listener) (net.Listener, error) {
	if given != nil {
		return given, nil
	}
	l, err := Listen(ctx, address)
	if err != nil {
		return nil, cfg.Problem(key, err)
	}
	return l, nil
}

// Listen opens a TCP listener; its errors say what to do.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program: stop it, or choose another port (0 = any free one): %w", address, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s may not be opened by this user: choose a port above 1023: %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s is no address of this machine: 0.0.0.0 stands for all: %w", address, err)
	}
	return nil, err
}

// shownAddress is a listener's address as its configuration writes it, with the
// port that port 0 has become: what NGINX logs as server. All addresses of the
// machine are 0.0.0.0 there, however they are written here.
func shownAddress(configured string, actual net.Addr) string {
	host, _, err := net.SplitHostPort(configured)
	if err != nil {
		return actual.String()
	}
	_, port, err := net.SplitHostPort(actual.String())
	if err != nil {
		return actual.String()
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = net.IPv4zero.String()
	}
	return net.JoinHostPort(host, port)
}

// AdminAddr is the admin port's address; nil where it is off.
func (s *Server) AdminAddr() net.Addr {
	if s.adminListener == nil {
		return nil
	}
	return s.adminListener.Addr()
}
