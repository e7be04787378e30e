package lab_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/config"
	"ciscora/internal/peertest"
	"ciscora/ra/lab"
)

// enrolled is a lab in which a phone has enrolled, and the id of its enrollment.
func enrolled(t *testing.T, profile config.Profile) (*lab.Lab, lab.SamplePhone, string) {
	t.Helper()
	l, err := lab.Start(t.Context(), lab.Options{Dir: t.TempDir(), Profile: profile, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	phone, err := l.EnrollPhone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.Quiet(t.Context())
	resp, err := http.Get(l.AdminURL + "/enrollments?cn=" + phone.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var list struct {
		Enrollments []struct {
			ID string `json:"id"`
		} `json:"enrollments"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || len(list.Enrollments) == 0 {
		t.Fatalf("the enrollment is not there: %v", err)
	}
	return l, phone, list.Enrollments[0].ID
}

func TestALabRemembersWhatWentOverTheWire(t *testing.T) {
	l, _, id := enrolled(t, config.ProfileCUCM)
	record, ok := lab.Wire(l).Get(id)
	if !ok {
		t.Fatal("nothing is remembered")
	}
	out, err := json.MarshalIndent(record, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text := string(out)
	for _, want := range []string{
		`"POST /.well-known/est/simpleenroll HTTP/1.1"`, `"name": "login"`, `"name": "submit"`, `"version": "TLS 1.2"`, "NEGOTIATE_MESSAGE (type 1)",
		"CHALLENGE_MESSAGE (type 2)", "AUTHENTICATE_MESSAGE (type 3)", "MsvAvNbDomainName", `"decided_by": "certnew.cer?ReqID=`, "a CSR (PKCS #10)",
		"CertRequest subject", `"log": "nginx"`, `"log": "iis"`, "Basic, ", "LAB Issuing CA",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in it", want)
		}
	}
	for _, l := range record.Lines {
		if l.Log == "iis" && l.Leg < 0 {
			t.Errorf("the line belongs to no leg: %s", l.Text)
		}
	}
	user, password, err := lab.Account(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{password, base64.StdEncoding.EncodeToString([]byte(user + ":" + password))} {
		if strings.Contains(text, secret) {
			t.Error("the password is in it")
		}
	}
	if record.Cut {
		t.Error("an enrollment of the usual kind has too few bytes")
	}
}

// Debian's tshark, as a user of Wireshark, opens the file alone.
func TestTsharkOpensACaptureDecrypted(t *testing.T) {
	program := peertest.Program(t, "tshark")
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		t.Run(string(profile), func(t *testing.T) {
			l, phone, id := enrolled(t, profile)
			var file bytes.Buffer
			if err := lab.Capture(l, &file, id); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "enrollment.pcapng")
			if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			tshark := func(args ...string) string {
				cmd := exec.CommandContext(t.Context(), program, append([]string{"-r", path}, args...)...)
				cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("tshark: %v\n%s", err, stderr.String())
				}
				return string(out)
			}
			decode := []string{"-d", "tcp.port==" + port(l.ESTURL) + ",tls", "-d", "tcp.port==" + port(l.CertsrvURL) + ",tls"}
			text := tshark(append(decode, "-O", "http,ntlmssp", "-Y", "http")...)
			for _, want := range []string{
				"POST /.well-known/est/simpleenroll HTTP/1.1", "POST /certsrv/certfnsh.asp HTTP/1.1", "NTLMSSP_NEGOTIATE", "NTLMSSP_CHALLENGE", "NTLMSSP_AUTH",
				"User name: ciscora", "HTTP/1.1 200 OK",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in what tshark shows of %s", want, phone.Name)
				}
			}
			if bad := tshark(append(decode, "-Y", "tcp.analysis.flags || tcp.checksum.status == 0", "-o", "tcp.check_checksum:TRUE")...); bad != "" {
				t.Errorf("tshark finds fault with\n%s", bad)
			}
		})
	}
}

func port(address string) string {
	_, after, _ := strings.Cut(address, "//")
	after, _, _ = strings.Cut(after, "/")
	return after[strings.LastIndex(after, ":")+1:]
}
