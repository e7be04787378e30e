// Package postgresurl reads the address of a PostgreSQL server, and says what is wrong
// with one without a word of it: where its password begins and ends is then unknown.
package postgresurl

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ErrFile says that the address may be right, and a file that it names is not.
var ErrFile = errors.New("a file that it names cannot be used")

const encoded = `in a password / @ : ? # % and blanks are written %2F %40 %3A %3F %23 %25 %20`

var (
	errHost    = errors.New("what stands where a host does is no name of one: " + encoded)
	errUnknown = errors.New("the driver cannot read it: write it as postgres://USER@HOST:5432/DATABASE?sslmode=verify-full")
)

// reasons are those of the driver, by how they begin, in words that quote nothing.
var reasons = []struct{ begins, says string }{
	{"failed to parse as URL", "it is no URL: " + encoded},
	{"invalid port", "a port is no number from 1 to 65535: name one, or, if it is a part of the password: " + encoded},
	{"could not match", "it has more ports than hosts: name one for all, or one for each"},
	{"failed to read service", "its service stands in no servicefile that can be read: name host, user and database in the address"},
	{"invalid connect_timeout", "connect_timeout is no number of seconds"},
	{"unknown target_session_attrs", "target_session_attrs is none of read-write, read-only, primary, standby, prefer-standby, any"},
	{"unknown channel_binding", "channel_binding is none of disable, prefer, require"},
	{"invalid require_auth", "require_auth has a method that there is not"},
	{"invalid sslcertmode", "sslcertmode is none of disable, allow, require"},
	{"invalid min_protocol_version", "min_protocol_version is neither 3.0 nor 3.2"},
	{"invalid max_protocol_version", "max_protocol_version is none of 3.0, 3.2, latest"},
	{"min_protocol_version cannot", "min_protocol_version is above max_protocol_version"},
	{"cannot parse statement_cache_capacity", "statement_cache_capacity is no number"},
	{"cannot parse description_cache_capacity", "description_cache_capacity is no number"},
	{"invalid default_query_exec_mode", "default_query_exec_mode is none that the driver has"},
	{"failed to configure TLS (sslmode is invalid", "sslmode is none of disable, allow, prefer, require, verify-ca, verify-full"},
	{`failed to configure TLS (both "sslcert"`, "sslcert and sslkey go together: name both or none"},
}

// files are those that an address names, by what the driver says of them.
var files = []struct{ begins, name string }{
	{"failed to configure TLS (unable to read CA file", "sslrootcert"},
	{"failed to configure TLS (unable to add CA", "sslrootcert"},
	{"failed to configure TLS (unable to read sslkey", "sslkey"},
	{"failed to configure TLS (failed to decode sslkey", "sslkey"},
	{"failed to configure TLS (unable to find sslpassword", "sslkey"},
	{"failed to configure TLS (unable to decrypt key", "sslkey"},
	{"failed to configure TLS (unable to read cert", "sslcert"},
	{"failed to configure TLS (unable to load cert", "sslcert"},
}

// Parse reads an address as the driver does. It opens the files that the address names,
// and no connection.
func Parse(address string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, reason(err)
	}
	// The driver takes what stands behind the first @ of a password for a host.
	for _, host := range append(fallbacks(config), config.Host) {
		if !strings.HasPrefix(host, "/") && strings.ContainsAny(host, "@# \t") {
			return nil, errHost
		}
	}
	return config, nil
}

func fallbacks(config *pgx.ConnConfig) (hosts []string) {
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	return hosts
}

// reason is why, without the address, which the driver quotes.
func reason(err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+len("`: "):]
	}
	for _, f := range files {
		if !strings.HasPrefix(text, f.begins) {
			continue
		}
		if path := new(fs.PathError); errors.As(err, &path) {
			return fmt.Errorf("%w: %s: %w", ErrFile, f.name, path.Err)
		}
		return fmt.Errorf("%w: %s has none in PEM that can be read", ErrFile, f.name)
	}
	for _, r := range reasons {
		if strings.HasPrefix(text, r.begins) {
			return errors.New(r.says)
		}
	}
	return errUnknown
}
