package endpoint_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
)

// folder is a TSP's, as document 003 shows it.
func folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func checkCTL(t testing.TB, dir string) check.Report {
	t.Helper()
	r := check.Report{}
	if err := endpoint.CTL(endpoint.CTLOptions{Outside: outside(), Dir: dir}, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestACTLsThreeMembersAreLookedFor(t *testing.T) {
	recovery, manager := order{cn: "ITLRECOVERY_cucm11-pub"}.make(t), order{cn: "cucm11-pub"}.make(t)
	capf := order{cn: "CAPF-c5d37298"}.make(t)
	own := order{cn: "tapi", by: capf}.make(t)
	all := func() map[string][]byte {
		return map[string][]byte{
			"417b2018.0": pemOf(recovery), "f6bd2fd0.0": pemOf(manager), "fed232f9.0": pemOf(capf), "CallManager.cer": manager.Raw,
			"QBEClient.cer": own.Raw, "QBEClient.pem": keyOf(t, own),
		}
	}
	r := checkCTL(t, folder(t, all()))
	wantFindings(t, r, "ctl.files ok: 4 different certificates in 6 files", "ctl.itlrecovery ok: 417b2018.0: CN=ITLRECOVERY_cucm11-pub", "ctl.callmanager ok: CN=cucm11-pub", "ctl.capf ok: fed232f9.0",
		"ctl.client ok: CN=tapi")
	if r.Failed() || states(r)["ctl.callmanager"] != "ok" {
		t.Errorf("%+v", r)
	}
	for file, want := range map[string]string{
		"417b2018.0": "ctl.itlrecovery FAIL: missing: ITLRECOVERY | CSSLHelper::GetCTLFromTFTP | utils ctl update CTLFile",
		"fed232f9.0": "ctl.capf FAIL: missing: CAPF",
	} {
		files := all()
		delete(files, file)
		wantFindings(t, checkCTL(t, folder(t, files)), want)
	}
	files := all()
	delete(files, "f6bd2fd0.0")
	delete(files, "CallManager.cer")
	delete(files, "QBEClient.cer")
	wantFindings(t, checkCTL(t, folder(t, files)), "ctl.callmanager FAIL: missing: CallManager", "ctl.client skip: has not fetched its own")
	// A node's certificate is known by its CN, with a domain, as a multi-server one, or by its file's name.
	for name, cn := range map[string]string{"0a.0": "cucm11-pub.example.com", "0b.0": "cucm11-pub-ms", "0c.0": "CUCM11-PUB-ms.example.com", "CallManager.pem": "anything"} {
		files = all()
		delete(files, "f6bd2fd0.0")
		delete(files, "CallManager.cer")
		files[name] = pemOf(order{cn: cn}.make(t))
		wantFindings(t, checkCTL(t, folder(t, files)), "ctl.callmanager ok: CN="+cn)
	}
	files = all()
	files["fed232f9.0"] = pemOf(order{cn: "CAPF-c5d37298", days: -3}.make(t))
	wantFindings(t, checkCTL(t, folder(t, files)), "ctl.capf FAIL: it has expired")
}

// The CTL file itself, as TFTP gives it, holds them all.
func TestACTLFileIsReadForItsMembers(t *testing.T) {
	file := []byte("\x01\x00\x02\x01\x02\x02\x00\x02\x02\x00")
	for _, cn := range []string{"ITLRECOVERY_pub", "pub", "CAPF-0123abcd"} {
		file = append(file, 9, 1, 0)
		file = append(file, order{cn: cn, rsa: true}.make(t).Raw...)
	}
	r := checkCTL(t, folder(t, map[string][]byte{"CTLCAPFA6A63C5.tlv": file, "notes.txt": []byte("fetched on Monday")}))
	wantFindings(t, r, "ctl.itlrecovery ok", "ctl.callmanager ok", "ctl.capf ok", "ctl.file skip: notes.txt: no certificate, it is text")
}

func TestAFolderWithoutCertificates(t *testing.T) {
	wantFindings(t, checkCTL(t, t.TempDir()), "ctl.files FAIL: no certificate is in | Fetch Certificate")
	if err := endpoint.CTL(endpoint.CTLOptions{Outside: outside(), Dir: filepath.Join(t.TempDir(), "none")}, &check.Report{}); err == nil {
		t.Error("a folder that is not there")
	}
	many := map[string][]byte{}
	for i := range 257 {
		many[strings.Repeat("x", i%16)+string(rune('a'+i/16))+".0"] = nil
	}
	if err := endpoint.CTL(endpoint.CTLOptions{Outside: outside(), Dir: folder(t, many)}, &check.Report{}); err == nil || !strings.Contains(err.Error(), "more than 256 files") {
		t.Error(err)
	}
}

// Fetched files are often kept elsewhere; what can never end is not read.
func TestLinksInATSPsFolderAreFollowedToFilesAlone(t *testing.T) {
	kept := folder(t, map[string][]byte{"capf": pemOf(order{cn: "CAPF-c5d37298"}.make(t))})
	dir := t.TempDir()
	for name, to := range map[string]string{"fed232f9.0": filepath.Join(kept, "capf"), "gone.0": filepath.Join(kept, "none"), "round.0": "round.0", "folder.0": kept, "device.0": os.DevNull} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	wantFindings(t, checkCTL(t, dir), "ctl.capf ok: fed232f9.0", "ctl.file skip: gone.0: a link that leads nowhere", "ctl.file skip: round.0: a link that leads nowhere",
		"ctl.file skip: folder.0: a link to what is no file", "ctl.file skip: device.0: a link to what is no file")
}
