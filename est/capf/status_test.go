package capf_test

import (
	"testing"

	"ciscora/est/capf"
)

// docs/reference/libest.md, "Error codes".
func TestStatusNames(t *testing.T) {
	for status, want := range map[capf.Status]string{
		0: "EST_ERR_NONE", 6: "EST_ERR_LOAD_CACERTS", 11: "EST_ERR_HTTP_UNSUPPORTED", 13: "EST_ERR_HTTP_BAD_REQ",
		14: "EST_ERR_HTTP_NOT_FOUND", 15: "EST_ERR_HTTP_NO_CONTENT", 16: "EST_ERR_HTTP_LOCKED", 22: "EST_ERR_AUTH_FAIL",
		26: "EST_ERR_CA_ENROLL_RETRY", 34: "EST_ERR_SSL_WRITE", 35: "EST_ERR_SSL_READ", 38: "EST_ERR_SSL_CONNECT",
		42: "EST_ERR_IP_GETADDR", 43: "EST_ERR_IP_CONNECT", 49: "EST_ERR_READ_BUFFER_TOO_SMALL", 53: "EST_ERR_FQDN_MISMATCH",
		54: "EST_ERR_SYSCALL", 60: "EST_ERR_CACERT_VERIFICATION", 62: "EST_ERR_INVALID_RETRY_VALUE", 94: "EST_ERR_UNKNOWN",
		-1: "EST_ERR_-1", 55: "EST_ERR_55",
	} {
		if got := status.String(); got != want {
			t.Errorf("%d: %s, want %s", int(status), got, want)
		}
	}
}
