package certsrv_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/internal/peertest"
	"ciscora/msca/certsrv"
	"ciscora/msca/ntlm"
)

// write puts a file into a folder of the test and returns its path.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func rootFile(t *testing.T, srv *certsrv.TestServer) string {
	t.Helper()
	return write(t, "root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Server.Root().Raw}))
}

func run(t *testing.T, path string, args ...string) (stdout string, err error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), path, args...)
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	err = c.Run()
	if errOut.Len() > 0 {
		t.Logf("%s: %s", filepath.Base(path), errOut.String())
	}
	return out.String(), err
}

func TestCurlDoesAWholeEnrollment(t *testing.T) {
	path := peertest.Program(t, "curl")
	log := &accessLog{}
	srv := start(t, log.option)
	root := rootFile(t, srv)
	curl := func(password string, args ...string) string {
		t.Helper()
		config := write(t, "curl.conf", []byte("user = \"LAB\\\\ciscora:"+password+"\"\n"))
		out, err := run(t, path, append([]string{"-sS", "--ntlm", "-K", config, "--cacert", root}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if page := curl(srv.Password, srv.URL+"/certrqxt.asp"); !strings.Contains(page, `<Option Value="O;CiscoRA;`) {
		t.Fatalf("page:\n%s", page)
	}
	csr := write(t, "phone.csr", []byte(phoneCSR(t)))
	issued := curl(srv.Password, "-A", "CiscoRA 1.0", "--data-urlencode", "Mode=newreq", "--data-urlencode", "CertRequest@"+csr,
		"--data-urlencode", "CertAttrib=CertificateTemplate:CiscoRA\r\n", srv.URL+"/certfnsh.asp")
	if !strings.Contains(issued, "certnew.cer?ReqID=1&amp;") {
		t.Fatalf("submit:\n%s", issued)
	}
	if cert := curl(srv.Password, srv.URL+"/certnew.cer?ReqID=1&ENC=b64"); !strings.HasPrefix(cert, "-----BEGIN CERTIFICATE-----\r\n") {
		t.Fatalf("fetch:\n%s", cert)
	}
	before := len(log.all())
	if code := curl("wrong", "-o", os.DevNull, "-w", "%{http_code}", srv.URL); code != "401" {
		t.Errorf("wrong password: %s, want 401", code)
	}
	entries := log.all()[before:]
	if len(entries) != 2 || entries[0].Win32 != 2148074254 || entries[1].Win32 != 2148074252 {
		t.Errorf("logged %+v, want the type 1 leg and the refusal", entries)
	}
}

// With gss-ntlmssp curl speaks NTLM in SPNEGO, as .NET and WinHTTP do, with a MIC over
// the list of mechanisms, and checks that of the CA.
func TestCurlLogsInByNegotiateWithNTLMInSPNEGO(t *testing.T) {
	path := peertest.Program(t, "curl")
	const mechanism = "/etc/gss/mech.d/mech.ntlmssp.conf"
	peertest.Files(t, mechanism)
	log := &accessLog{}
	srv := start(t, log.option)
	root := rootFile(t, srv)
	for _, c := range []struct{ password, want string }{{srv.Password, "200"}, {"wrong", "401"}} {
		t.Setenv("NTLM_USER_FILE", write(t, "users", []byte("LAB:ciscora:"+c.password+"\n")))
		before := len(log.all())
		out, err := run(t, path, "-sS", "-i", "--negotiate", "-u", ":", "--cacert", root, "-w", "\n%{http_code}", srv.URL+"/certrqxt.asp")
		if err != nil || !strings.HasSuffix(out, "\n"+c.want) {
			t.Errorf("%v: %s", err, out)
		}
		entries := log.all()[before:]
		wantUser := map[string]string{"200": `LAB\ciscora`, "401": ""}[c.want]
		if len(entries) != 2 || entries[0].Win32 != 2148074254 || entries[1].User != wantUser {
			t.Errorf("logged %+v, want the first leg and then %q", entries, wantUser)
		}
		// accept-completed with 16 bytes of MIC: as IIS has it.
		if got := strings.Contains(out, "WWW-Authenticate: Negotiate oRswGaADCgEAoxIEEAEAAA"); got != (c.want == "200") {
			t.Errorf("the last token with its MIC: %v\n%s", got, out)
		}
	}
}

// python3-requests-ntlm sends a MIC, and the channel binding by itself.
func TestRequestsNTLMLogsInWithItsChannelBinding(t *testing.T) {
	path := peertest.Program(t, "/usr/bin/python3") // Debian's own: another has not its modules
	peertest.Files(t, "/usr/lib/python3/dist-packages/requests_ntlm")
	script := write(t, "login.py", []byte(`
import os, sys, requests
# This loads OpenSSL's legacy algorithms, MD4 among them.
import cryptography.hazmat.backends.openssl.backend
from requests_ntlm import HttpNtlmAuth
auth = HttpNtlmAuth("LAB\\ciscora", os.environ["PASSWORD"], send_cbt=sys.argv[3] == "cbt")
print(requests.get(sys.argv[1] + "/certrqxt.asp", auth=auth, verify=sys.argv[2]).status_code)
`))
	for _, c := range []struct {
		name    string
		binding ntlm.Binding
		cbt     string
		want    string
	}{
		{"without protection", ntlm.BindingNone, "none", "200"},
		{"binding required and sent", ntlm.BindingRequire, "cbt", "200"},
		{"binding required and absent", ntlm.BindingRequire, "none", "401"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := start(t, func(o *certsrv.Options) { o.Binding = c.binding })
			t.Setenv("PASSWORD", srv.Password)
			out, err := run(t, path, script, srv.URL, rootFile(t, srv), c.cbt)
			if err != nil || strings.TrimSpace(out) != c.want {
				t.Errorf("%q (%v), want %s", out, err, c.want)
			}
		})
	}
}

// wget speaks NTLMv1 alone.
func TestWgetIsRefused(t *testing.T) {
	path := peertest.Program(t, "wget")
	log := &accessLog{}
	srv := start(t, log.option)
	config := write(t, "wgetrc", []byte("user = LAB\\ciscora\npassword = "+srv.Password+"\n"))
	if _, err := run(t, path, "--config="+config, "-q", "-O", os.DevNull, "--ca-certificate="+rootFile(t, srv), srv.URL+"/"); err == nil {
		t.Error("wget got the page")
	}
	all := log.all()
	if len(all) != 3 || all[2].Status != 401 || all[2].SubStatus != 1 {
		t.Errorf("logged %+v, want an anonymous request, the type 1 leg and a refusal", all)
	}
}

func TestOpenSSLTrustsTheChain(t *testing.T) {
	path := peertest.Program(t, "openssl")
	srv := start(t)
	loggedIn(t, srv).submit(phoneCSR(t), ciscoRA)
	toPEM := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	leaf := write(t, "leaf.pem", toPEM(srv.Server.Requests()[0].Certificate))
	issuing := write(t, "issuing.pem", toPEM(srv.Server.Chain()[0].Raw))
	if out, err := run(t, path, "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", rootFile(t, srv), "-untrusted", issuing, leaf); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
