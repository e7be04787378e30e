package scenario

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"ciscora/ra/lab"
	"ciscora/ra/tracelog"
)

// traced calls f with CAPF's trace of this card.
func (p *play) traced(f func(*tracelog.CAPF) error) error {
	path := filepath.Join(p.options.Dir, logFiles["capf"])
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of the logs: %w", err)
	}
	trace, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open CAPF's trace: %w", err)
	}
	defer trace.Close()
	defer p.tail.poke()
	return f(tracelog.NewCAPF(trace, tracelog.Options{}))
}

// service is CAPF reading its service parameters, which name the Online CA, and
// starting CES with them.
func (p *play) service(trace *tracelog.CAPF) error {
	u, err := url.Parse(p.card.Lab.CAURL)
	if err != nil {
		return fmt.Errorf("lab.ca_url: %w", err)
	}
	host, number, err := net.SplitHostPort(u.Host)
	if err != nil {
		return fmt.Errorf("lab.ca_url: %w; write https://HOST:443/certsrv", err)
	}
	port, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("lab.ca_url: %w", err)
	}
	template := p.card.Lab.Template
	if template == "" {
		template = lab.Template
	}
	trace.ServiceStarted(host, port, template)
	return nil
}

// client is CAPF making its EST client.
func (p *play) client(trace *tracelog.CAPF) error {
	trust, err := os.Stat(p.lab.Path("trust.pem"))
	if err != nil {
		return fmt.Errorf("CAPF's trust anchor: %w", err)
	}
	trace.ESTClientReady(int(trust.Size()))
	return nil
}
