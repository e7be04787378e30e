package endpoint

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ciscora/ra/check"
	"ciscora/ra/check/certfile"
)

// CTLOptions of a check of what a TSP has fetched.
type CTLOptions struct {
	Outside
	Dir string // such as C:\ProgramData\Cisco\certificates\ciscotsp001
}

// mostFiles bounds how many files of a folder are read; a TSP's has a dozen.
const mostFiles = 256

// A member is a certificate of a folder.
type member struct {
	file        string
	certificate *x509.Certificate
}

// CTL checks that a cluster's three kinds of certificates are there. An error is one of
// the command line.
func CTL(o CTLOptions, r *check.Report) error {
	members, list, err := membersOf(o.Dir, r)
	if err != nil {
		return err
	}
	if len(members) == 0 {
		r.Add(check.Finding{
			Name: "ctl.files", State: check.Fail, Seen: "no certificate is in " + shown(o.Dir), Symptom: "the TSP's trace has GetCTLFromTFTP, and no CERT SUBJECTNAME behind it",
			Reason: "the CTL was not fetched, or this is another folder", Fix: "Look whether TFTP on the publisher can be reached and the cluster is in mixed mode, then Fetch Certificate in the TSP's Security tab",
		})
		return nil
	}
	r.OK("ctl.files", fmt.Sprintf("%d different certificates in %d files", different(members), list))
	recovery := find(members, func(m member) bool {
		return strings.HasPrefix(strings.ToUpper(m.certificate.Subject.CommonName), "ITLRECOVERY")
	})
	capf := find(members, func(m member) bool {
		return strings.HasPrefix(strings.ToUpper(m.certificate.Subject.CommonName), "CAPF-")
	})
	managers := callManagers(members, recovery)
	others := find(members, func(m member) bool {
		is := func(o member) bool { return o.certificate.Equal(m.certificate) }
		return !slices.ContainsFunc(slices.Concat(recovery, capf, managers), is) && !strings.HasPrefix(strings.ToLower(m.file), "qbeclient")
	})
	for _, part := range []struct {
		name, what string
		found      []member
	}{
		{"ctl.itlrecovery", "ITLRECOVERY, which lets clients through a change of the others", recovery},
		{"ctl.callmanager", "CallManager, which signs the CTL and speaks to the CTI", managers},
		{"ctl.capf", "CAPF, which issues the client's certificate", capf},
	} {
		o.judgePart(r, part.name, part.what, part.found, others)
	}
	own := find(members, func(m member) bool { return strings.HasPrefix(strings.ToLower(m.file), "qbeclient") })
	if len(own) == 0 {
		r.Skip("ctl.client", "no QBEClient.cer: the TSP has not fetched its own certificate yet")
		return nil
	}
	r.Add(validity("ctl.client", own[0].certificate, o.Outside, "the CTI refuses the TSP: its certificate status is no longer Available",
		"In CUCM set the operation of the CAPF profile to Install/Upgrade, then Fetch Certificate in the TSP's Security tab", ""))
	return nil
}

// judgePart judges one of the three. It is known by its name, which a cluster may have
// chosen otherwise: then others, which nothing is known of, may be it.
func (o CTLOptions) judgePart(r *check.Report, name, what string, found, others []member) {
	if len(found) == 0 && len(others) > 0 {
		var names []string
		for _, m := range others[:min(len(others), 4)] {
			names = append(names, m.file+": "+subject(m.certificate))
		}
		r.Add(check.Finding{
			Name: name, State: check.Warn, Seen: "not found by its name: " + what + "; it may be " + shown(strings.Join(names, ", ")), Symptom: "if it is none of them: after CSSLHelper::GetCTLFromTFTP the TSP's trace has no CERT SUBJECTNAME of it, and the handshake with CAPF does not finish",
			Reason: "ITLRECOVERY_NODE and CAPF-... are known by their CN, CallManager's by the CN NODE, with a domain or -ms or without, or by the file's name CallManager",
			Fix:    "Compare with the certificates in CUCM's OS administration (Security, Certificate Management). If it is missing, on the publisher: utils ctl update CTLFile, restart TFTP, and Fetch Certificate again",
		})
		return
	}
	if len(found) == 0 {
		r.Add(check.Finding{
			Name: name, State: check.Fail, Seen: "missing: " + what, Symptom: "after CSSLHelper::GetCTLFromTFTP the TSP's trace has no CERT SUBJECTNAME of it, and the handshake with CAPF does not finish",
			Reason: "the CTL in this folder is not that of the whole cluster, or is older than its certificates",
			Fix:    "On the publisher: utils ctl update CTLFile, restart TFTP; then delete this folder's files and Fetch Certificate again",
		})
		return
	}
	for _, m := range found {
		f := validity(name, m.certificate, o.Outside, "the handshake with CAPF, or with the CTI, does not finish", "Regenerate the certificate in CUCM, utils ctl update CTLFile, and fetch the CTL again", "")
		f.Seen = m.file + ": " + f.Seen
		r.Add(f)
	}
}

// different counts certificates: a TSP keeps some under two names.
func different(members []member) int {
	seen := map[string]bool{}
	for _, m := range members {
		seen[string(m.certificate.Raw)] = true
	}
	return len(seen)
}

func find(members []member, is func(member) bool) (found []member) {
	for _, m := range members {
		if is(m) {
			found = append(found, m)
		}
	}
	return found
}

// nodeOf is a node's name without its domain, and without what CUCM adds to it in a
// multi-server certificate.
func nodeOf(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	return strings.TrimSuffix(name, "-ms")
}

// callManagers are the certificates of nodes: of ITLRECOVERY_NODE's node, and what is
// called so.
func callManagers(members, recovery []member) []member {
	nodes := map[string]bool{}
	for _, m := range recovery {
		if _, node, ok := strings.Cut(m.certificate.Subject.CommonName, "_"); ok && node != "" {
			nodes[nodeOf(node)] = true
		}
	}
	var found []member
	for _, m := range find(members, func(m member) bool {
		return nodes[nodeOf(m.certificate.Subject.CommonName)] || strings.HasPrefix(strings.ToLower(m.file), "callmanager")
	}) {
		known := false
		for _, other := range found {
			known = known || other.certificate.Equal(m.certificate) // CallManager.cer is a copy
		}
		if !known {
			found = append(found, m)
		}
	}
	return found
}

// membersOf reads the folder's files; what is no certificate is told and passed over.
func membersOf(dir string, r *check.Report) (members []member, files int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		if files++; files > mostFiles {
			return nil, 0, fmt.Errorf("%s has more than %d files: a TSP's folder has a dozen", dir, mostFiles)
		}
		if entry.Type()&fs.ModeSymlink != 0 { // to where the fetched files are kept
			info, err := os.Stat(filepath.Join(dir, entry.Name()))
			if err != nil {
				r.Skip("ctl.file", shown(entry.Name())+": a link that leads nowhere")
				continue
			}
			if !info.Mode().IsRegular() {
				r.Skip("ctl.file", shown(entry.Name())+": a link to what is no file")
				continue
			}
		} else if !entry.Type().IsRegular() {
			r.Skip("ctl.file", shown(entry.Name())+": no file, but a pipe, a socket or a device")
			continue
		}
		data, err := certfile.Read(filepath.Join(dir, entry.Name()))
		if err != nil {
			var path *os.PathError
			if errors.As(err, &path) {
				return nil, 0, err
			}
			r.Skip("ctl.file", shown(entry.Name())+": "+shown(err.Error()))
			continue
		}
		f := certfile.Parse(data)
		if len(f.Certificates) == 0 {
			r.Skip("ctl.file", fmt.Sprintf("%s: no certificate, it is %s", shown(entry.Name()), f.Kind))
			continue
		}
		for _, c := range f.Certificates {
			members = append(members, member{entry.Name(), c})
		}
	}
	return members, files, nil
}
