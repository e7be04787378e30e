package ra

import (
	"context"
	"crypto/x509"
	"slices"
	"time"

	"ciscora/msca"
)

// chainAge is how old a chain must be to be read again because of a certificate whose
// issuer is not in it: so that many of them are one look at the CA.
const chainAge = time.Minute

// lookForIssuer has [RA.Run] look whether clients get the issuer of what the CA has
// issued from /cacerts (RFC 7030 §4.1.3). It does not wait.
func (r *RA) lookForIssuer(certificate *x509.Certificate) {
	if r.chain.Load().holdsIssuerOf(certificate) {
		return
	}
	select {
	case r.stranger <- certificate:
	default: // one is looked at
	}
}

// holdsIssuerOf is true of no chain at all, of which has been told.
func (s *chainState) holdsIssuerOf(certificate *x509.Certificate) bool {
	return len(s.chain) == 0 || slices.ContainsFunc(s.chain, func(ca *x509.Certificate) bool { return msca.Issued(ca, certificate) })
}

// issuers is what [RA.Run] knows of certificates whose issuer is not in its chain.
type issuers struct {
	sought *x509.Certificate // that the chain is read again for
	told   []byte            // the last issuer that was told missing, by its name and key
}

// rest waits until the chain is to be read again: for so long (0: for ever), or, where
// the newest chain is wanted, until the CA has issued something that another CA
// certificate signed. It returns false when ctx ended.
func (r *RA) rest(ctx context.Context, interval time.Duration, i *issuers) bool {
	r.tellMissing(ctx, i)
	var due <-chan time.Time
	if interval > 0 {
		t := time.NewTimer(interval)
		defer t.Stop()
		due = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-due:
			return true
		case i.sought = <-r.stranger:
			s := r.chain.Load()
			if !s.holdsIssuerOf(i.sought) && r.CA.Renewal == msca.RenewalNewest && r.Now().Sub(s.since) >= chainAge {
				return true
			}
			r.tellMissing(ctx, i)
		}
	}
}

// tellMissing says, once for each issuer, that the chain lacks it.
func (r *RA) tellMissing(ctx context.Context, i *issuers) {
	sought := i.sought
	i.sought = nil
	if sought == nil || r.chain.Load().holdsIssuerOf(sought) {
		return
	}
	who := slices.Concat(sought.RawIssuer, sought.AuthorityKeyId)
	if slices.Equal(who, i.told) {
		return
	}
	i.told = who
	r.report(ctx, IssuerMissing{Issuer: sought.Issuer.String(), KeyID: sought.AuthorityKeyId})
}
