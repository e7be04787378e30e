package server_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestTheWireIsShownWhereDetailIsWanted(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  bool
	}{{"admin: {detail: true}\n", true}, {"", false}} {
		s := newSite(t).show(c.lines)
		if b := s.behaviour(s.est); !b.Joins {
			t.Fatalf("%+v", b)
		}
		var list struct {
			Enrollments []struct{ ID, State string }
		}
		if err := json.Unmarshal([]byte(s.page("/enrollments?state=issued")), &list); err != nil || len(list.Enrollments) == 0 {
			t.Fatalf("%v, %d enrollments", err, len(list.Enrollments))
		}
		oldest := list.Enrollments[len(list.Enrollments)-1].ID // it went to the CA
		page := s.page("/console/enrollments/" + oldest)
		if strings.Contains(page, "certfnsh.asp HTTP/1.1") != c.want || strings.Contains(page, "Over the wire") != c.want {
			t.Errorf("%q: the wire is shown: %v, want %v", c.lines, !c.want, c.want)
		}
		// Bytes, secrets of TLS and ways to change anything are a lab's alone.
		for _, not := range []string{"pcapng", "<form", "<button"} {
			if strings.Contains(page, not) {
				t.Errorf("%q: %s is in the page", c.lines, not)
			}
		}
	}
}

// Phones ask for the chain before each enrollment, and balancers all day.
func TestRequestsThatEnrollNobodyPushNoWireOut(t *testing.T) {
	s := newSite(t).show("admin: {detail: true}\n")
	if b := s.behaviour(s.est); !b.Joins {
		t.Fatalf("%+v", b)
	}
	var list struct{ Enrollments []struct{ ID string } }
	if err := json.Unmarshal([]byte(s.page("/enrollments?state=issued")), &list); err != nil || len(list.Enrollments) == 0 {
		t.Fatalf("%v, %d enrollments", err, len(list.Enrollments))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Roots}}
	defer transport.CloseIdleConnections()
	for range 600 { // of 500 enrollments the wire is kept
		resp, err := (&http.Client{Transport: transport}).Get(s.est + "cacerts")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("cacerts: %d, %v", resp.StatusCode, err)
		}
	}
	oldest := list.Enrollments[len(list.Enrollments)-1].ID
	if !strings.Contains(s.page("/console/enrollments/"+oldest), "certfnsh.asp HTTP/1.1") {
		t.Error("what went over the wire is forgotten")
	}
}
