package certfile

import (
	"fmt"
	"strings"
)

// Mend says how to make a certificate in PEM of a file.
func (k Kind) Mend(path string) string {
	command, advice := k.Command(path), k.advice()
	if command != "" && advice != "" {
		return command + "; " + advice
	}
	return command + advice
}

// Command makes PEM of a file, beside it; "" = none does.
func (k Kind) Command(path string) string {
	file, out := quoted(path), quoted(path+".pem")
	switch k {
	case DER:
		return fmt.Sprintf("openssl x509 -inform DER -in %s -out %s", file, out)
	case PKCS7:
		return fmt.Sprintf("openssl pkcs7 -inform DER -print_certs -in %s -out %s", file, out)
	case PKCS7PEM:
		return fmt.Sprintf("openssl pkcs7 -print_certs -in %s -out %s", file, out)
	case PKCS12:
		return fmt.Sprintf("openssl pkcs12 -in %s -clcerts -nokeys -out %s", file, out)
	case BareBase64:
		return fmt.Sprintf("base64 -d %s | openssl x509 -inform DER -out %s", file, out)
	case WithBOM:
		return fmt.Sprintf("tail -c +4 %s > %s", file, out)
	case UTF16:
		return fmt.Sprintf("iconv -f UTF-16 -t ASCII %s > %s", file, out)
	case JavaStore:
		return fmt.Sprintf("keytool -exportcert -rfc -keystore %s -alias ALIAS -file %s", file, out)
	}
	return ""
}

func (k Kind) advice() string {
	switch k {
	case DER, BareBase64:
		return ""
	case PKCS7, PKCS7PEM:
		return "then upload each of its certificates by itself"
	case PKCS12:
		return "-nocerts in place of the two gives its private key, -legacy is for files of old Windows"
	case WithBOM:
		return "in an editor save it as ANSI, or as UTF-8 without BOM"
	case UTF16:
		return "in an editor save it as ANSI or UTF-8, not as Unicode"
	case JavaStore:
		return "keytool -list names the aliases"
	case Request, RequestDER:
		return "This is what the CA is asked with: submit it to the CA, and upload the certificate that comes back"
	case PrivateKey:
		return "Upload the certificate, not the key; if this file was passed on, make a new key"
	case HTML:
		return "The browser saved a page, of an error or of a log-in, in place of the certificate: look at it, and download again, Base 64 encoded"
	case Store:
		return "In Windows open it, open each certificate, Details, Copy to File, Base-64 encoded X.509"
	case MicrosoftList, CiscoList:
		return "It is a signed list of whom to trust: export the certificate itself, as Base-64 encoded X.509"
	case CRL:
		return "It is the list of what a CA has revoked: export the certificate itself, as Base-64 encoded X.509"
	}
	return "Export the certificate again: Details, Copy to File, Base-64 encoded X.509; if it cannot be opened, ask the CA for it again"
}

// quoted is a file's name for a shell.
func quoted(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	special := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("./_-+,:@%", r)
	}
	if path != "" && strings.IndexFunc(path, special) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
