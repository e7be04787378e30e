package lab

import (
	"crypto/tls"
	"io"
)

// keyLogged decorates a listener's TLS configuration, after next has, so that its
// connections' secrets are written to w; nil = they are not.
func keyLogged(next func(*tls.Config) *tls.Config, w io.Writer) func(*tls.Config) *tls.Config {
	if w == nil {
		return next
	}
	return func(c *tls.Config) *tls.Config {
		if next != nil {
			c = next(c)
		}
		c = c.Clone()
		c.KeyLogWriter = w
		// The listener's certificates may change while it runs.
		if choose := c.GetConfigForClient; choose != nil {
			c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				chosen, err := choose(hello)
				if err != nil || chosen == nil {
					return chosen, err
				}
				chosen = chosen.Clone()
				if chosen.KeyLogWriter != nil {
					chosen.KeyLogWriter = io.MultiWriter(chosen.KeyLogWriter, w)
				} else {
					chosen.KeyLogWriter = w
				}
				return chosen, nil
			}
		}
		return c
	}
}
