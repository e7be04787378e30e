package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"time"

	"ciscora/est/capf"
	"ciscora/ra/admin"
	"ciscora/ra/tracelog"
)

// sampleKeyType is what a phone of CUCM 12.5 makes (docs/reference/ces.md, "Keys": RSA only).
const sampleKeyType = "rsa2048"

// SamplePhone is the phone that `ra lab` enrolls.
type SamplePhone struct {
	*capf.Phone
	Result capf.Result
	ReqID  int // the CA's number for the certificate; 0 without one
}

// EnrollPhone enrolls one phone, as CAPF would for it, and leaves its key, its
// CSR and its certificate in the folder phone, and CAPF's trace in
// logs/capf.log. The result tells how it went; the error is about this machine.
func (l *Lab) EnrollPhone(ctx context.Context) (SamplePhone, error) {
	phone, err := l.samplePhone()
	if err != nil {
		return SamplePhone{}, err
	}
	if err := l.writePhone(phone); err != nil {
		return SamplePhone{}, err
	}
	sample, err := l.enrollPhone(ctx, phone)
	if err != nil || len(sample.Result.Certificates) == 0 {
		return sample, err
	}
	if err := os.WriteFile(l.Path("phone", "certificate.pem"), encodeCertificates(sample.Result.Certificates[0].Raw), 0o600); err != nil {
		return sample, fmt.Errorf("keep the phone's certificate: %w", err)
	}
	return sample, nil
}

// enrollPhone enrolls a phone, with CAPF's trace in logs/capf.log.
func (l *Lab) enrollPhone(ctx context.Context, phone *capf.Phone) (SamplePhone, error) {
	trace, err := os.OpenFile(l.Path("logs", "capf.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return SamplePhone{}, fmt.Errorf("open CAPF's trace: %w", err)
	}
	defer trace.Close()
	client, err := l.Client(CAPFTrace(tracelog.NewCAPF(l.record.phones.trace(phone.Name, l.book.writer("capf", admin.Line{CN: phone.Name}, trace)), tracelog.Options{Now: l.now}), l.now))
	if err != nil {
		return SamplePhone{}, err
	}
	sample := SamplePhone{Phone: phone, Result: client.Enroll(ctx, phone.Name, phone.CSR)}
	if len(sample.Result.Certificates) == 0 {
		return sample, nil
	}
	sample.ReqID = l.reqIDOf(sample.Result.Certificates[0])
	return sample, nil
}

func (l *Lab) samplePhone() (*capf.Phone, error) {
	newKey := l.draws.rsaKeys("the sample phone's key")
	if newKey == nil {
		return capf.NewPhone(rand.Reader, "", sampleKeyType)
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	return capf.NewPhoneWithKey(l.draws.stream("the sample phone"), "", key)
}

// Client returns an EST client with libest's habits for this lab's RA and
// account; change, where not nil, changes what it is made of.
func (l *Lab) Client(events func(capf.Event), change ...func(*capf.Options)) (*capf.Client, error) {
	o := capf.Options{
		URL: l.ESTURL, Roots: l.Roots,
		User: l.creds.User, Password: string(l.creds.Password),
		Timeout: 10 * time.Second,
		Dial:    l.network.DialContext,
		Events:  events, Now: l.now,
	}
	for _, f := range change {
		f(&o)
	}
	return capf.New(o)
}

func (l *Lab) writePhone(phone *capf.Phone) error {
	key, err := encodeKey(phone.Key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.MkdirAll(l.Path("phone"), 0o700),
		os.WriteFile(l.Path("phone", "key.pem"), key, 0o600),
		os.WriteFile(l.Path("phone", "csr.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: phone.CSR}), 0o600),
	)
}

// reqIDOf asks the CA under which request it issued a certificate; an EST client
// is not told. The serial number's last four bytes are it, as AD CS puts it there.
func (l *Lab) reqIDOf(certificate *x509.Certificate) int {
	id := new(big.Int).And(certificate.SerialNumber, big.NewInt(math.MaxUint32)).Int64()
	if r, ok := l.ca.Request(int(id)); ok && bytes.Equal(r.Certificate, certificate.Raw) {
		return r.ID
	}
	return 0
}
