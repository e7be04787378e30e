package certsrv

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	"go.step.sm/crypto/keyutil"
)

// Manner is how this IIS and its CA do what the references for real ones leave open
// (reference: certsrv.md, whatever is marked as recalled, and windows-auth.md): a
// client that understands one manner alone has learnt this server, and not certsrv.
// The zero value is the emulator's usual one. [MannerOf] draws one from a seed.
type Manner struct {
	// The wire.
	HeaderOrder uint64 // shuffles the headers of each answer, from this seed
	HeaderCase  string // of their names: lower, upper
	HeaderBlank string // behind the colon: none, tab, two
	MoreHeaders bool   // such as proxies add
	NoReason    bool   // no words in the status line
	Continues   int    // so many 100 Continue before an answer to a form
	SplitHead   bool   // an answer's head comes in two TLS records
	Pieces      int    // the body comes chunked, in so many pieces; 0 = whole, its length announced
	UntilClose  bool   // the body of an ASP page has no length and ends with the connection
	Gzip        bool   // for clients that take it
	Cookies     int    // so many besides ASP's own
	CloseOn401  bool   // a 401 that is no challenge ends the connection
	KeepAlive   int    // the connection ends after so many requests, at least 3; 0 = not so
	PerRequest  bool   // a log-in is good for one request (authPersistSingleRequest)
	Providers   string // the list of a 401: reversed, one-header
	Redirect    string // from /certsrv: 302, relative, http, upper, or none, the page itself
	Server      string // its name; "" = Microsoft-IIS/10.0, "-" = none
	Strict      bool   // a form has its content type and length, and Host is one of ours

	// TLS.
	TLS12             bool // and nothing newer
	ClientCertificate bool // asked for in the handshake, and not needed
	SendRoot          bool
	NoTickets         bool

	// The CA.
	Key         string // ec256, ec384, rsa2048, rsa4096; "" = by Options.Dir
	Digest      int    // of signatures: 384, 512; 0 = 256
	PSS         bool   // with RSA keys
	Names       string // of the CAs: utf8, bmp, t61
	Renewals    int    // of the CA's certificate, at least
	CrossSigned bool   // the root is certified by an older one, too, and chains have it
	HighReqIDs  bool   // the first ReqID is near the end of a long
	NoNewest    bool   // Renewal=-1 is an error
	BareDenial  bool   // the message of a denial has no HRESULT
	HTMLFiles   bool   // certnew.cer is text/html for everybody, with a charset

	// The pages.
	Browsers    string // who gets scripts: all, none; "" = agents with Mozilla in it
	NoLinks     bool   // certcarc.asp has no links, for whoever gets no script
	Language    string // fr, de, ja, ru
	Charset     string // windows-1252, windows-1251, shift_jis; "" = utf-8
	Declare     string // where the charset is said: meta, both, nowhere; "" = in the header
	BOM         bool   // with utf-8
	LineEnd     string // lf, mixed; "" = crlf
	Quotes      string // around element ids: double, single, spaced
	Tags        string // names of elements: lower, upper
	ReasonFirst bool   // a denial's message comes before its ReqID
	Scripts     bool   // each page has one with constants that look like results
	Dates       bool   // pages have dates, in their language
	Neighbours  bool   // the list has other templates around the published ones
	EmptyList   bool   // it has none
	Version     int    // the published templates look in the list as those of version 2, 3, 4
	Display     bool   // their display names are no names
	Base64      string // of certificates: 76, one-line, no-label, x509-label, lf
}

// MannerOf draws a manner from a seed: the same for the same seed and release. 0 is the
// usual one.
func MannerOf(seed uint64) Manner {
	var m Manner
	if seed == 0 {
		return m
	}
	r := rand.New(rand.NewPCG(seed, 0x6d616e6e6572)) //nolint:gosec // a draw that can be repeated, no secret
	yes := func(of int) bool { return r.IntN(of) == 0 }
	one := func(words ...string) string { return append(words, "", "")[r.IntN(len(words)+2)] }

	m.HeaderOrder = r.Uint64() * uint64(r.IntN(2))
	m.HeaderCase = one("lower", "upper")
	m.HeaderBlank = one("none", "tab", "two")
	m.MoreHeaders, m.NoReason, m.SplitHead = yes(2), yes(3), yes(3)
	m.Continues = max(0, r.IntN(5)-2)
	m.Pieces = max(0, r.IntN(6)-2)
	m.UntilClose, m.Gzip, m.Cookies = yes(8), yes(2), r.IntN(3)
	m.CloseOn401, m.PerRequest = yes(2), yes(6)
	if yes(5) {
		m.KeepAlive = 3 + r.IntN(4)
	}
	m.Providers = one("reversed", "one-header")
	m.Redirect = one("302", "relative", "http", "upper", "none")
	m.Server = one("-", "Microsoft-IIS/8.5", "Microsoft-IIS/7.0")
	m.Strict = yes(2)

	m.TLS12, m.ClientCertificate, m.SendRoot, m.NoTickets = yes(2), yes(3), yes(3), yes(3)

	m.Key = []string{"ec256", "ec384", "rsa2048", "rsa2048", "rsa4096"}[r.IntN(5)]
	m.Digest = []int{0, 384, 512}[r.IntN(3)]
	m.PSS = yes(2)
	m.Names = one("utf8", "bmp", "t61")
	m.Renewals = max(0, r.IntN(6)-2)
	m.CrossSigned, m.HighReqIDs, m.NoNewest, m.BareDenial, m.HTMLFiles = yes(3), yes(4), yes(3), yes(3), yes(3)

	m.Browsers = one("all", "none")
	m.NoLinks = yes(3)
	m.Language = one("fr", "de", "ja", "ru")
	if yes(2) {
		m.Charset = map[string]string{"ja": "shift_jis", "ru": "windows-1251"}[m.Language]
		if m.Charset == "" {
			m.Charset = "windows-1252"
		}
	}
	m.Declare = one("meta", "both", "nowhere")
	m.BOM = m.Charset == "" && yes(3)
	m.LineEnd = one("lf", "mixed")
	m.Quotes = one("double", "single", "spaced")
	m.Tags = one("lower", "upper")
	m.ReasonFirst, m.Scripts, m.Dates, m.Neighbours, m.Display = yes(3), yes(2), yes(2), yes(2), yes(2)
	m.EmptyList = yes(10)
	m.Version = 1 + r.IntN(4)
	m.Base64 = one("76", "one-line", "no-label", "x509-label", "lf")
	return m
}

// String names what is other than usual, on one line.
func (m Manner) String() string {
	var said []string
	v := reflect.ValueOf(m)
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		switch {
		case f.IsZero():
		case f.Kind() == reflect.Bool:
			said = append(said, name)
		default:
			said = append(said, fmt.Sprintf("%s=%v", name, f.Interface()))
		}
	}
	if len(said) == 0 {
		return "as usual"
	}
	return strings.Join(said, " ")
}

// valid refuses words that no field knows: a client would seem to pass what was never
// tried.
func (m Manner) valid() error {
	for _, f := range []struct {
		name, value string
		known       []string
	}{
		{"HeaderCase", m.HeaderCase, []string{"lower", "upper"}},
		{"HeaderBlank", m.HeaderBlank, []string{"none", "tab", "two"}},
		{"Providers", m.Providers, []string{"reversed", "one-header"}},
		{"Redirect", m.Redirect, []string{"302", "relative", "http", "upper", "none"}},
		{"Key", m.Key, []string{"ec256", "ec384", "rsa2048", "rsa4096"}},
		{"Names", m.Names, []string{"utf8", "bmp", "t61"}},
		{"Browsers", m.Browsers, []string{"all", "none"}},
		{"Language", m.Language, []string{"fr", "de", "ja", "ru"}},
		{"Charset", m.Charset, []string{"windows-1252", "windows-1251", "shift_jis"}},
		{"Declare", m.Declare, []string{"meta", "both", "nowhere"}},
		{"LineEnd", m.LineEnd, []string{"lf", "mixed"}},
		{"Quotes", m.Quotes, []string{"double", "single", "spaced"}},
		{"Tags", m.Tags, []string{"lower", "upper"}},
		{"Base64", m.Base64, []string{"76", "one-line", "no-label", "x509-label", "lf"}},
	} {
		if f.value != "" && !slices.Contains(f.known, f.value) {
			return fmt.Errorf("certsrv: manner: %s %q: want one of %s", f.name, f.value, strings.Join(f.known, ", "))
		}
	}
	if m.KeepAlive != 0 && m.KeepAlive < 3 {
		return fmt.Errorf("certsrv: manner: KeepAlive %d: a log-in takes two requests and a page one, want 3 or more", m.KeepAlive)
	}
	return nil
}

// makeKey makes a key of that kind.
func makeKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "ec384":
		return keyutil.GenerateSigner("EC", "P-384", 0)
	case "rsa2048":
		return keyutil.GenerateSigner("RSA", "", 2048)
	case "rsa4096":
		return keyutil.GenerateSigner("RSA", "", 4096)
	}
	return keyutil.GenerateSigner("EC", "P-256", 0)
}

// signature is the algorithm of a signature with key; 0 = x509's own choice.
func (m Manner) signature(key crypto.Signer) x509.SignatureAlgorithm {
	algorithms := []x509.SignatureAlgorithm{x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512}
	if _, isRSA := key.Public().(*rsa.PublicKey); isRSA {
		algorithms = []x509.SignatureAlgorithm{x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA}
		if m.PSS {
			algorithms = []x509.SignatureAlgorithm{x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS}
		}
	}
	switch m.Digest {
	case 384:
		return algorithms[1]
	case 512:
		return algorithms[2]
	}
	if m.PSS {
		return algorithms[0]
	}
	return 0
}
