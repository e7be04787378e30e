package certsrv

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
)

var (
	tagName   = regexp.MustCompile(`<(/?)([A-Za-z]+)`)
	elementID = regexp.MustCompile(`\b(ID|id)="?([A-Za-z][A-Za-z0-9]*)"?`)
	bodyTag   = regexp.MustCompile(`<BODY>\n`)
	headTag   = regexp.MustCompile(`<HEAD>\n`)
)

// constants are what a real page's script is full of, and what is the outcome of nothing.
const constants = `<SCRIPT Language="JavaScript">
var CR_IN_BASE64HEADER=0x00000000, CR_OUT_CHAIN=0x00000100, CR_OUT=0x40000000;
var E_FAIL=0x80004005, CERTSRV_E_NO_REQUEST=0x80094002, RPC_DOWN=0x800706ba;
function isWrong(hr) { return hr == 0x80094800; }
</SCRIPT>
`

// page writes a page, whose lines end in \n and whose text is UTF-8, in this manner, and
// returns it with its content type.
func (m *Manner) page(page []byte) (body []byte, contentType string) {
	name := m.Charset
	if name == "" {
		name = "utf-8"
	}
	if m.Declare == "meta" || m.Declare == "both" {
		meta := fmt.Sprintf("<HEAD>\n<META Http-Equiv=\"Content-Type\" Content=\"text/html; charset=%s\">\n", name)
		page = headTag.ReplaceAllLiteral(page, []byte(meta))
	}
	if m.Scripts {
		page = bodyTag.ReplaceAllLiteral(page, []byte("<BODY>\n"+constants))
	}
	if style := map[string]string{"double": `$1="$2"`, "single": `$1='$2'`, "spaced": `Class=p $1 = "$2"`}[m.Quotes]; style != "" {
		page = elementID.ReplaceAll(page, []byte(style))
	}
	if change := map[string]func([]byte) []byte{"lower": bytes.ToLower, "upper": bytes.ToUpper}[m.Tags]; change != nil {
		page = tagName.ReplaceAllFunc(page, change)
	}
	page = m.lines(page)
	if m.Charset != "" {
		if e, _ := charset.Lookup(m.Charset); e != nil {
			if b, err := encoding.HTMLEscapeUnsupported(e.NewEncoder()).Bytes(page); err == nil {
				page = b
			}
		}
	}
	if m.BOM {
		page = append([]byte("\xef\xbb\xbf"), page...)
	}
	contentType = "text/html"
	if said := m.Declare == "both" || m.Declare == "" && m.Charset != ""; said {
		contentType = "Text/HTML; Charset=" + name
	}
	return page, contentType
}

// lines ends the lines of a page.
func (m *Manner) lines(page []byte) []byte {
	switch m.LineEnd {
	case "lf":
		return page
	case "mixed":
		var b bytes.Buffer
		for i, line := range bytes.SplitAfter(page, []byte("\n")) {
			if text, whole := bytes.CutSuffix(line, []byte("\n")); whole && i%3 != 0 {
				b.Write(text)
				b.WriteString("\r\n")
				continue
			}
			b.Write(line)
		}
		return b.Bytes()
	}
	return bytes.ReplaceAll(page, []byte("\n"), []byte("\r\n"))
}

// date is a time as a page in that language has it.
func (m *Manner) date(t time.Time, language string) string {
	layout, known := map[string]string{
		"fr": "02/01/2006  15:04:05", "de": "02.01.2006  15:04:05", "ja": "2006年01月02日  15:04:05", "ru": "02.01.2006 г.  15:04:05",
	}[language]
	if !known {
		layout = "1/2/2006 3:04:05 PM"
	}
	return t.Format(layout)
}

// browser tells whether an agent gets a browser's pages.
func (m *Manner) browser(r *http.Request) bool {
	switch m.Browsers {
	case "all":
		return true
	case "none":
		return false
	}
	return isBrowser(r)
}

// options is the list of templates in this manner.
func (m *Manner) options(published []Template) []listOption {
	if m.EmptyList {
		return nil
	}
	var list []listOption
	for i, t := range published {
		value := strings.Split(t.listValue(), ";")
		if m.Version > 1 && t.OID == "" {
			value[9], value[10], value[11], value[12] = fmt.Sprintf("1.3.6.1.4.1.311.21.8.4711.%d", i+1), "100", "1", "7"
		}
		if m.Version > 2 { // key storage providers, and the versions stand in the private key's flags
			value[2], value[5], value[8] = "0", map[int]string{3: "50593792", 4: "101056512"}[m.Version], "Microsoft Software Key Storage Provider"
		}
		text := t.FriendlyName
		if m.Display {
			text = `  Gerät "` + t.FriendlyName + `" & Söhne, 電話 `
			value[13] = strings.TrimSpace(text)
		}
		list = append(list, listOption{strings.Join(value, ";"), text})
	}
	if !m.Neighbours || len(published) == 0 {
		return list
	}
	stranger := func(kind, name, oid, friendly string) listOption {
		t := Template{Name: name, FriendlyName: friendly, OID: oid, MinKeySize: 2048, SubjectFromRequest: kind == "O"}
		return listOption{t.listValue(), friendly}
	}
	name := published[0].Name
	return slices.Concat([]listOption{
		{"", "-"},
		stranger("E", "User", "", "Benutzer"),
		stranger("O", name+"2", "1.3.6.1.4.1.311.21.8.9.9", name),
		stranger("E", "Copy of "+name, "", name),
	}, list, []listOption{stranger("O", "WebServer(PrivateKeyExportable)", "", "Serveur Web"), {"Other", "O"}})
}

// base64 is a certificate, or a PKCS#7, for Enc=b64.
func (m *Manner) base64(der []byte) []byte {
	width, end, label := 64, "\r\n", "CERTIFICATE"
	switch m.Base64 {
	case "76":
		width = 76
	case "one-line":
		width = 1 << 20
	case "no-label":
		label = ""
	case "x509-label":
		label = "X509 CERTIFICATE"
	case "lf":
		end = "\n"
	}
	var b bytes.Buffer
	if m.BOM {
		b.WriteString("\xef\xbb\xbf")
	}
	if label != "" {
		b.WriteString("-----BEGIN " + label + "-----" + end)
	}
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(der)), width) {
		b.Write(line)
		b.WriteString(end)
	}
	if label != "" {
		b.WriteString("-----END " + label + "-----" + end)
	}
	return b.Bytes()
}
