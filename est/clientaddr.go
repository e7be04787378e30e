package est

import (
	"context"
	"net"
)

// ClientAddr returns the address of the client whose request ctx belongs to; nil
// if it belongs to none, or the address is not known.
func ClientAddr(ctx context.Context) net.Addr {
	if x := exchangeOf(ctx); x != nil {
		return x.client
	}
	return nil
}
