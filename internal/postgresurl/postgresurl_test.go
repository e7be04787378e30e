package postgresurl_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/internal/postgresurl"
)

func TestWhatIsWrongWithAnAddressIsSaidWithoutItsPassword(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(noPEM, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, address, says string }{
		{"a slash in the password", "postgres://ra:hun/ter@db/ra", "%2F"},
		{"an at sign in the password", "postgres://ra:x@hunter@db/ra", "%40"},
		{"a colon in the password", "postgres://ra:x/y:hunter@db/ra", "%3A"},
		{"a hash in the password", "postgres://ra:x@hun#ter/ra", "%23"},
		{"a percent sign in the password", "postgres://ra:hun%ter@db/ra", "%25"},
		{"a port that is none", "postgres://ra:hunter@db:hunter/ra", "65535"},
		{"a port beyond the last", "postgres://ra:hunter@db:70000/ra", "65535"},
		{"more ports than hosts", "postgres://ra:hunter@db:1,:2,:3/ra?host=a,b", "ports"},
		{"an sslmode that there is not", "postgres://ra:hunter@db/ra?sslmode=hunter", "verify-full"},
		{"a file of trust that there is not", "postgres://ra:hunter@db/ra?sslmode=verify-full&sslrootcert=/none%3Bpassword%3Dhunter", "sslrootcert: no such file"},
		{"a file of trust that is none", "postgres://ra:hunter@db/ra?sslmode=verify-full&sslrootcert=" + noPEM, "sslrootcert has none in PEM"},
		{"half of a client's certificate", "postgres://ra:hunter@db/ra?sslcert=/hunter", "sslkey"},
		{"a time that is none", "postgres://ra:hunter@db/ra?connect_timeout=hunter", "connect_timeout"},
		{"attributes that there are not", "postgres://ra:hunter@db/ra?target_session_attrs=hunter", "read-write"},
		{"a binding that there is not", "postgres://ra:hunter@db/ra?channel_binding=hunter", "require"},
		{"a method that there is not", "postgres://ra:hunter@db/ra?require_auth=hunter", "require_auth"},
		{"a service that there is not", "postgres://ra:hunter@db/ra?service=hunter&servicefile=/none", "servicefile"},
		{"a mode of certificates that there is not", "postgres://ra:hunter@db/ra?sslcertmode=hunter", "sslcertmode"},
		{"a version that there is not", "postgres://ra:hunter@db/ra?min_protocol_version=hunter", "min_protocol_version"},
		{"a last version that there is not", "postgres://ra:hunter@db/ra?max_protocol_version=hunter", "max_protocol_version"},
		{"versions the wrong way round", "postgres://ra:hunter@db/ra?min_protocol_version=3.2&max_protocol_version=3.0", "above"},
		{"a cache that is no number", "postgres://ra:hunter@db/ra?statement_cache_capacity=hunter", "statement_cache_capacity"},
		{"a mode of queries that there is not", "postgres://ra:hunter@db/ra?default_query_exec_mode=hunter", "default_query_exec_mode"},
		{"an address without its end", "postgres://ra:hunter@[::1/ra", "no URL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := postgresurl.Parse(test.address)
			if err == nil {
				t.Fatal("it is taken")
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v does not say %q", err, test.says)
			}
			for _, part := range []string{"hun", "ter@", "x@", "postgres://ra:"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("%v shows %q", err, part)
				}
			}
			if file := strings.Contains(test.name, "file of trust"); errors.Is(err, postgresurl.ErrFile) != file {
				t.Errorf("%v is of a file: %v", err, !file)
			}
		})
	}
}

func TestAnAddressThatIsRightIsTaken(t *testing.T) {
	for _, address := range []string{
		"postgres://ra@db/ra", "postgresql://ra:p%40ss%2Fw@pg-1:5432,pg-2:5432/ra?sslmode=require&connect_timeout=3", "postgres://ra@[fe80::1%25eth0]:5432/ra",
		"postgres://ra@/ra?host=/var/run/post%20gres", "postgres://ra@%2Fvar%2Frun/ra",
	} {
		if _, err := postgresurl.Parse(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}
