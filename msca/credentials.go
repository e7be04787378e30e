package msca

import (
	"fmt"
	"io"

	"go.uber.org/zap/zapcore"
)

// Credentials are the account that asks the CA. However they are printed, logged
// or marshalled, the password is not shown.
type Credentials struct {
	User     string // DOMAIN\user, user@domain, or a bare name
	Password string `json:"-" yaml:"-"`
}

// String returns the user name alone.
func (c Credentials) String() string { return c.User }

// GoString returns a Go literal without the password.
func (c Credentials) GoString() string {
	return fmt.Sprintf("msca.Credentials{User:%q, Password:<hidden>}", c.User)
}

// Format prints the user name, for any verb.
func (c Credentials) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		_, _ = io.WriteString(f, c.GoString())
		return
	}
	_, _ = io.WriteString(f, c.User)
}

// MarshalLogObject logs the user name alone.
func (c Credentials) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("user", c.User)
	return nil
}
