package tracelog_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/ra/tracelog"
)

const w3cFields = "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer)" +
	" sc-status sc-substatus sc-win32-status time-taken\n"

func w3cHeader(date string) string {
	return "#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Date: " + date + "\n" + w3cFields
}

// ces is a request of CES in Cisco's lab, the 401 that begins a log-in.
func ces(when, client string) tracelog.W3CEntry {
	return tracelog.W3CEntry{
		Time: at(when + " +0000")(), ServerIP: "14.48.31.152", Method: "GET", URIStem: "/certsrv", Port: 443,
		ClientIP: client, UserAgent: "CiscoRA 1.0", Status: 401, SubStatus: 1, Win32: 2148074254,
	}
}

// authenticated is such a request that succeeded.
func authenticated(e tracelog.W3CEntry, method, stem, query string, status int, taken time.Duration) tracelog.W3CEntry {
	e.User = `MICHAMEN\ciscora`
	e.Method, e.URIStem, e.URIQuery, e.Status, e.SubStatus, e.Win32, e.Taken = method, stem, query, status, 0, 0, taken
	return e
}

func TestIISSequencesOfTheDocument(t *testing.T) {
	start := ces("2019-03-05 17:31:15", "14.48.31.128")
	enrollment := ces("2019-01-16 14:05:02", "14.48.31.125")
	post := authenticated(enrollment, "POST", "/certsrv/certfnsh.asp", "", 200, 15*time.Millisecond)
	post.Referer = "https://lab-dc.michamen.com:443/certsrv/certrqxt.asp"
	for file, entries := range map[string][]tracelog.W3CEntry{
		"iis-start.log": {
			start,
			authenticated(start, "GET", "/certsrv", "", 301, 16*time.Millisecond),
			authenticated(start, "GET", "/certsrv/certnew.p7b", "ReqID=CACert&Renewal=0&Enc=bin", 200, 2*time.Millisecond),
		},
		"iis-enrollment.log": {
			enrollment,
			authenticated(enrollment, "GET", "/certsrv", "", 301, 0),
			authenticated(enrollment, "GET", "/certsrv/certrqxt.asp", "", 200, 220*time.Millisecond),
			enrollment,
			authenticated(enrollment, "GET", "/certsrv", "", 301, 0),
			post,
			authenticated(enrollment, "GET", "/certsrv/certnew.cer", "ReqID=10&ENC=b64", 200, 0),
		},
	} {
		t.Run(file, func(t *testing.T) {
			var out strings.Builder
			log := tracelog.NewW3C(&out)
			for _, e := range entries {
				log.Log(e)
			}
			same(t, w3cHeader(entries[0].Time.UTC().Format(time.DateTime))+document(t, file), out.String())
		})
	}
}

func TestAnEntryIsInUTC(t *testing.T) {
	var out strings.Builder
	e := ces("2019-03-05 17:31:15", "14.48.31.128")
	e.Time = e.Time.In(rtp())
	tracelog.NewW3C(&out).Log(e)
	if !strings.Contains(out.String(), "\n2019-03-05 17:31:15 14.48.31.152 GET") {
		t.Error(out.String())
	}
}

func TestTheIISLogRollsAtMidnightUTC(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs", "iis")
	log, err := tracelog.NewW3CDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	before, after := ces("2019-03-05 23:59:59", "14.48.31.128"), ces("2019-03-06 00:00:00", "14.48.31.128")
	after.Time = after.Time.In(rtp()) // still the 5th there
	for _, e := range []tracelog.W3CEntry{before, after, before} {
		log.Log(e)
		if err := log.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	const rest = " 14.48.31.152 GET /certsrv - 443 - 14.48.31.128 CiscoRA+1.0 - 401 1 2148074254 0\n"
	for name, want := range map[string]string{
		"u_ex190305.log": w3cHeader("2019-03-05 23:59:59") + "2019-03-05 23:59:59" + rest,
		// The one that came late is in the new file: a log does not roll back.
		"u_ex190306.log": w3cHeader("2019-03-06 00:00:00") + "2019-03-06 00:00:00" + rest + "2019-03-05 23:59:59" + rest,
	} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		same(t, want, string(got))
	}
}

func TestAnIISLogThatIsThereIsContinued(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		log, err := tracelog.NewW3CDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		log.Log(ces("2019-03-05 17:31:15", "14.48.31.128"))
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, tracelog.W3CFileName(at("2019-03-05 17:31:15 +0000")())))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "#Software"); n != 2 || strings.Count(string(text), "\n") != 10 {
		t.Errorf("%d headers in\n%s", n, text)
	}
}

func TestAnIISLogThatWasMovedAwayIsOpenedAnewAtOnce(t *testing.T) {
	dir := t.TempDir()
	log, err := tracelog.NewW3CDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := log.Reopen(); err != nil { // nothing is open yet
		t.Fatal(err)
	}
	entry := ces("2019-03-05 17:31:15", "14.48.31.128")
	log.Log(entry)
	path := filepath.Join(dir, tracelog.W3CFileName(entry.Time))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || len(text) != 0 {
		t.Errorf("%q, %v", text, err)
	}
	log.Log(entry)
	if err := log.Err(); err != nil {
		t.Fatal(err)
	}
	moved, err := os.ReadFile(path + ".1")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	same(t, string(moved), string(text)) // the header, too
}

func TestAnIISLogThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tracelog.NewW3CDir(filepath.Join(file, "iis")); err == nil {
		t.Error("a folder was made in a file")
	}
	log := tracelog.NewW3C(failing{})
	log.Log(tracelog.W3CEntry{})
	if err := log.Err(); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
}
