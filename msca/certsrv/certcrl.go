package certsrv

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// crlValidity is how long a list holds: AD CS's default, a week.
const crlValidity = 7 * 24 * time.Hour

const typeCRL = "application/pkix-crl"

// certcrl hands out the CA's revocation list (docs/reference/certsrv.md 2). This CA
// revokes nothing, so it is empty.
func (s *Server) certcrl(c call) *answer { return s.revocationList(c, crlValidity) }

// revocationList is the list that ends so long from now, with those numbers on it,
// signed with the key of the renewal that is asked for.
func (s *Server) revocationList(c call, validity time.Duration, revoked ...*big.Int) *answer {
	n, err := strconv.Atoi(c.query["renewal"])
	if err != nil {
		n = -1 // without a number the page gives the newest
	}
	ca := s.authority.pairOf(n)
	if ca == nil {
		return s.failed(c, failed(modeFetch, hrInvalidParameter))
	}
	now := s.opts.Now()
	list := &x509.RevocationList{
		Number:     big.NewInt(now.Unix()),
		ThisUpdate: now.Add(min(validity, 0) - clockSkew - time.Hour), NextUpdate: now.Add(validity),
	}
	for _, number := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: number, RevocationTime: list.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.certificate, ca.key)
	if err != nil {
		return s.broken(c, err)
	}
	body := der
	if !strings.EqualFold(c.query["enc"], "bin") {
		body = pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	}
	return &answer{status: http.StatusOK, contentType: typeCRL, asp: true, body: body}
}
