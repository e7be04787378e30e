package config

import (
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"runtime"
	"strings"

	"ciscora/internal/secretfile"
)

// Credentials are an account of the CA: what a credentials file holds.
type Credentials struct {
	// User as the CA is told it: DOMAIN\user, user@domain, or user.
	User string `yaml:"user" required:"yes"`
	// Password is never printed; string(c.Password) is the password.
	Password Secret `yaml:"password" required:"yes"`
}

// LoadCredentials reads a credentials file: the keys user and password, mode
// 0600. The error is [Problems] with all that is wrong, or that of reading the
// file.
func LoadCredentials(path string) (Credentials, error) {
	data, err := readPrivate(path)
	if err != nil {
		return Credentials{}, err
	}
	return parseCredentials(path, data)
}

func parseCredentials(path string, data []byte) (Credentials, error) {
	// Without an environment: secrets do not come from there.
	l, err := newLoader(path, data, "", nil)
	if err != nil {
		return Credentials{}, err
	}
	var c Credentials
	l.load(reflect.ValueOf(&c).Elem())
	if err := l.problems.asError(); err != nil {
		return Credentials{}, err
	}
	return c, nil
}

// ReadPassword reads a file that holds a password and nothing else, mode 0600; a
// line break at its end does not count.
func ReadPassword(path string) (Secret, error) {
	data, err := readPrivate(path)
	if err != nil {
		return "", err
	}
	password := Secret(strings.TrimRight(string(data), "\r\n"))
	if password == "" {
		return "", fmt.Errorf("%s is empty, write the password into it", path)
	}
	if text := string(password); strings.HasPrefix(text, "-----BEGIN ") || strings.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("%s holds more than a password, PEM perhaps: name the file that has the password alone, on one line", path)
	}
	return password, nil
}

// WriteCredentials writes a credentials file, mode 0600, in place of an older
// one.
func WriteCredentials(path, user, password string) error {
	data, err := dump(encode(reflect.ValueOf(Credentials{User: user, Password: Secret(password)}), reflect.Value{}))
	if err != nil {
		return fmt.Errorf("credentials file: %w", err)
	}
	// A file that is there keeps its mode when it is written anew.
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("credentials file: %w", err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("credentials file: %w", err)
	}
	return nil
}

// readPrivate reads a file that holds a secret.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := secretfile.Check(path, info); err != nil {
		return nil, err
	}
	return readBounded(path)
}

// readableByAll is of a private key, which a group may read, as Debian's ssl-cert.
func readableByAll(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0
}
