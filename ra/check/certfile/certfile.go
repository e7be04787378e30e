// Package certfile tells what a file is that should be a certificate, by what is in it
// and not by its name, and takes out the certificates that it holds.
package certfile

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// MaxSize bounds a file: a whole trust store has less.
const MaxSize = 1 << 20

// MaxCertificates bounds what is taken out of one.
const MaxCertificates = 512

// A Kind is what a file is.
type Kind string

// Kinds of files.
const (
	PEM           Kind = "X.509 in PEM"
	DER           Kind = "X.509 in DER"
	PKCS7         Kind = "PKCS#7 in DER"
	PKCS7PEM      Kind = "PKCS#7 in PEM"
	PKCS12        Kind = "PKCS#12 (PFX)"
	Request       Kind = "a certificate request (CSR) in PEM"
	RequestDER    Kind = "a certificate request (CSR) in DER"
	PrivateKey    Kind = "a private key"
	PublicKey     Kind = "a public key without a certificate"
	CRL           Kind = "a revocation list (CRL)"
	BareBase64    Kind = "base64 without the BEGIN and END lines of PEM"
	WithBOM       Kind = "PEM behind a byte order mark"
	UTF16         Kind = "text in UTF-16"
	BrokenPEM     Kind = "PEM that cannot be decoded"
	HTML          Kind = "a page of HTML"
	Store         Kind = "a Microsoft serialized certificate store (SST)"
	JavaStore     Kind = "a Java key store"
	MicrosoftList Kind = "a Microsoft certificate trust list (STL)"
	CiscoList     Kind = "a Cisco certificate trust list (CTL or ITL)"
	Text          Kind = "text"
	Binary        Kind = "binary data that is no known kind of certificate file"
	Empty         Kind = "empty"
)

// A File is what was found in one.
type File struct {
	Kind         Kind
	Certificates []*x509.Certificate // as they stand in it
	Broken       error               // of the first certificate that cannot be read; nil = all can
	Key          bool                // a private key is in it, too
}

// Read reads a file, at most MaxSize of it.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a folder: name a file in it", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case len(data) > MaxSize:
		return nil, fmt.Errorf("%s has more than 1 MiB: no file of certificates has so much", path)
	}
	return data, nil
}

// Parse tells what data is.
func Parse(data []byte) File { return parse(data, true) }

func parse(data []byte, outermost bool) File {
	trimmed := bytes.TrimSpace(data)
	switch {
	case len(trimmed) == 0:
		return File{Kind: Empty}
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return File{Kind: UTF16}
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) && outermost:
		f := parse(data[3:], false)
		if f.Kind == PEM {
			f.Kind = WithBOM
		}
		return f
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return parsePEM(data)
	case isHTML(trimmed):
		return File{Kind: HTML}
	case bytes.HasPrefix(data, []byte("\x00\x00\x00\x00CERT")):
		return File{Kind: Store, Certificates: Scan(data)}
	case bytes.HasPrefix(data, []byte("\xfe\xed\xfe\xed")):
		return File{Kind: JavaStore}
	case isCiscoList(data):
		return File{Kind: CiscoList, Certificates: Scan(data)}
	case data[0] == 0x30 && !isText(data): // the digit 0 is the same byte
		return parseDER(data)
	}
	if der, ok := bareBase64(trimmed); ok && outermost {
		if f := parse(der, false); f.Kind != Binary && f.Kind != Text {
			f.Kind = BareBase64
			return f
		}
	}
	if isText(data) {
		return File{Kind: Text}
	}
	return File{Kind: Binary}
}

// parsePEM goes through the blocks; the first that says something is the kind, and a
// certificate comes before all others.
func parsePEM(data []byte) (f File) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		kind := Kind("")
		switch {
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			kind, f.Key = PrivateKey, true
		case block.Type == "CERTIFICATE", block.Type == "X509 CERTIFICATE", block.Type == "TRUSTED CERTIFICATE":
			f.Kind = PEM
			f.add(block.Bytes)
			continue
		case block.Type == "PKCS7", block.Type == "CMS":
			kind, f.Certificates = PKCS7PEM, append(f.Certificates, Scan(block.Bytes)...)
		case strings.HasSuffix(block.Type, "CERTIFICATE REQUEST"):
			kind = Request
		case block.Type == "X509 CRL":
			kind = CRL
		case strings.HasSuffix(block.Type, "PUBLIC KEY"):
			kind = PublicKey
		}
		if f.Kind == "" || f.Kind == PrivateKey && kind != "" {
			f.Kind = kind
		}
	}
	if f.Kind == "" {
		f.Kind = BrokenPEM
	}
	return f
}

// add takes one certificate in.
func (f *File) add(der []byte) {
	if len(f.Certificates) == MaxCertificates {
		return
	}
	certificate, err := x509.ParseCertificate(der)
	if err == nil {
		f.Certificates = append(f.Certificates, certificate)
		return
	}
	if f.Broken == nil {
		if inside := parseDER(der); inside.Kind != Binary {
			err = fmt.Errorf("between its BEGIN and END lines is %s", inside.Kind)
		}
		f.Broken = err
	}
}

// Object identifiers as they stand in DER, with tag and length.
var (
	oidSignedData = []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02")             // 1.2.840.113549.1.7.2
	oidTrustList  = []byte("\x06\x09\x2b\x06\x01\x04\x01\x82\x37\x0a\x01")             // 1.3.6.1.4.1.311.10.1
	pkcs12Begins  = []byte("\x02\x01\x03\x30")                                         // PFX: version 3, then a content info (RFC 7292 §4)
	errLength     = errors.New("no DER that fills the file")                           // for parseDER alone
	ciscoVersion  = []byte("\x01\x00\x02\x01")                                         // tag 1, two bytes: version 1.x
	base64Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" // of RFC 4648 §4
)

func parseDER(data []byte) File {
	head, err := head(data)
	if err != nil {
		return File{Kind: Binary}
	}
	switch {
	case bytes.HasPrefix(head, oidSignedData):
		if bytes.Contains(data[:min(len(data), 128)], oidTrustList) {
			return File{Kind: MicrosoftList, Certificates: Scan(data)}
		}
		return File{Kind: PKCS7, Certificates: Scan(data)}
	case bytes.HasPrefix(head, pkcs12Begins):
		return File{Kind: PKCS12}
	}
	if certificate, err := x509.ParseCertificate(data); err == nil {
		return File{Kind: DER, Certificates: []*x509.Certificate{certificate}}
	}
	for _, try := range []struct {
		kind Kind
		as   func([]byte) error
	}{
		{RequestDER, func(b []byte) error { _, err := x509.ParseCertificateRequest(b); return err }},
		{CRL, func(b []byte) error { _, err := x509.ParseRevocationList(b); return err }},
		{PrivateKey, func(b []byte) error { _, err := x509.ParsePKCS8PrivateKey(b); return err }},
		{PrivateKey, func(b []byte) error { _, err := x509.ParsePKCS1PrivateKey(b); return err }},
		{PrivateKey, func(b []byte) error { _, err := x509.ParseECPrivateKey(b); return err }},
		{PublicKey, func(b []byte) error { _, err := x509.ParsePKIXPublicKey(b); return err }},
	} {
		if try.as(data) == nil {
			return File{Kind: try.kind, Key: try.kind == PrivateKey}
		}
	}
	// A certificate with something behind it, or one that is cut off.
	f := File{Kind: Binary, Certificates: Scan(data)}
	if len(f.Certificates) > 0 {
		f.Kind = DER
	}
	return f
}

// head is what stands behind the tag and the length of a SEQUENCE, which may be of the
// indefinite form: some write PKCS#7 so.
func head(data []byte) ([]byte, error) {
	switch {
	case len(data) < 4 || data[0] != 0x30:
		return nil, errLength
	case data[1] < 0x80:
		return data[2:], nil
	case data[1] == 0x80:
		return data[2:], nil
	case int(data[1]&0x7f) > 4 || len(data) < 2+int(data[1]&0x7f):
		return nil, errLength
	}
	return data[2+int(data[1]&0x7f):], nil
}

// mostTries bounds how often Scan looks closely.
const mostTries = 1 << 14

// Scan finds certificates in data of whatever form: each is a SEQUENCE of DER with two
// bytes of length.
func Scan(data []byte) (found []*x509.Certificate) {
	tries := 0
	for at := 0; at+4 < len(data) && tries < mostTries && len(found) < MaxCertificates; at++ {
		if data[at] != 0x30 || data[at+1] != 0x82 || data[at+4] != 0x30 {
			continue
		}
		size := 4 + int(data[at+2])<<8 + int(data[at+3])
		if at+size > len(data) {
			continue
		}
		tries++
		if certificate, err := x509.ParseCertificate(data[at : at+size]); err == nil {
			found = append(found, certificate)
			at += size - 1
		}
	}
	return found
}

func isHTML(data []byte) bool {
	start := bytes.ToLower(data[:min(len(data), 512)])
	return data[0] == '<' && (bytes.Contains(start, []byte("<html")) || bytes.Contains(start, []byte("<!doctype html")) || bytes.Contains(start, []byte("<head")))
}

// isCiscoList goes by the header of such files: tag 1, length 2, version 1.x, then tag 2,
// the header's length. From public notes on the files of TFTP, not from a description by
// Cisco.
func isCiscoList(data []byte) bool {
	return len(data) > 16 && bytes.HasPrefix(data, ciscoVersion) && bytes.HasPrefix(data[5:], []byte("\x02\x00\x02"))
}

// isText tells whether nothing but printable ASCII, UTF-8 and white space is in data.
func isText(data []byte) bool {
	for _, c := range data {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
