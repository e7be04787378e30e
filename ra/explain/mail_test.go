package explain_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"strings"
	"testing"

	"ciscora/ra/explain/explaintest"
)

func quotedPrintable(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := quotedprintable.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// in76 is base64 as mail has it (RFC 2045 section 6.8).
func in76(data []byte) []byte {
	var out bytes.Buffer
	for text := base64.StdEncoding.EncodeToString(data); text != ""; {
		n := min(76, len(text))
		out.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return out.Bytes()
}

func TestAMailIsReadAsItWasSaved(t *testing.T) {
	c := catalog(t)
	logs := recorded(t)["denied-by-policy"]
	all := bytes.Join([][]byte{logs["nginx"], logs["iis"], logs["capf"]}, []byte("\n"))
	const head = "Received: from a by b;\r\n\tThu, 1 Jan 2026 00:00:00 +0000\r\nFrom: a@example.com\r\nMIME-Version: 1.0\r\n"
	escaped := "<html><body>" + strings.ReplaceAll(strings.ReplaceAll(string(all), ">", "&gt;"), "\n", "<br>\n") + "</body></html>"
	for name, mail := range map[string]string{
		"quoted-printable": head + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + string(quotedPrintable(t, all)),
		"base64":           head + "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + string(in76(all)),
		"each log is an attachment": head + "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nsee below\r\n" +
			"--x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + string(in76(logs["nginx"])) +
			"--x\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + string(quotedPrintable(t, logs["iis"])) + "\r\n--x\r\n" +
			"Content-Type: text/plain; name=capf.log\r\n\r\n" + string(logs["capf"]) + "\r\n--x--\r\n",
		"the same as text and as HTML": head + "Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\n" + string(all) +
			"\r\n--x\r\nContent-Type: text/html\r\n\r\n" + escaped + "\r\n--x--\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			report := read(t, c, explaintest.Input("mail.eml", []byte(mail)))
			if len(report.Findings) != 1 || report.Findings[0].Name != "denied-by-policy" || report.Findings[0].Count != 1 || len(report.Findings[0].Logs) != 3 {
				t.Errorf("%s", printed(t, report))
			}
		})
	}
}

// What was read to there counts, and the file's line says that it was not all.
func TestAMailThatCannotBeDecodedToItsEndIsReadToThere(t *testing.T) {
	c := catalog(t)
	line := string(recorded(t)["denied-by-policy"]["capf"])
	const head = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
	deep := ""
	for n := range 20 {
		deep += fmt.Sprintf("--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", n, n+1)
	}
	for name, tail := range map[string]string{
		"broken base64":      "--x\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD!!!\r\n--x--\r\n",
		"an end that is cut": "--x\r\nContent-Type: text/plain\r\n\r\nthe rest is",
		"parts within parts": "--x\r\nContent-Type: multipart/mixed; boundary=b0\r\n\r\n" + deep,
		"thousands of parts": strings.Repeat("--x\r\n\r\na\r\n", 3000) + "--x--\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			report := read(t, c, explaintest.Input("mail.eml", []byte(head+"--x\r\nContent-Type: text/plain\r\n\r\n"+line+"\r\n"+tail)))
			if len(report.Findings) != 1 || report.Files[0].Error == "" {
				t.Errorf("%+v: %s", report.Files, printed(t, report))
			}
		})
	}
}

func TestALogThatBeginsLikeAMailIsReadAsItIs(t *testing.T) {
	c := catalog(t)
	const log = "Subject: it fails\nContent of the log:\n\nEnrollment rv = 13 (EST_ERR_HTTP_BAD_REQ) with pkcs7 length = 0\n"
	if report := read(t, c, explaintest.Input("notes.txt", []byte(log))); len(report.Findings) != 1 {
		t.Errorf("%s", printed(t, report))
	}
}

func FuzzMail(f *testing.F) {
	fuzz(f, "MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n\nEnrollment rv =3D 13=\n (x)\n",
		"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Transfer-Encoding: base64\n\nRW5yb2xs\n--x--\n",
		"Content-Transfer-Encoding: 8bit\nContent-Type: message/rfc822\n\nFrom: a@b\n\n--\n")
}
