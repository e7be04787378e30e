package check

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"ciscora/config"
)

// Files checks the files that a configuration names: that they can be read, and how long
// the certificates in them last. It returns them where they can be read.
func Files(cfg *config.RA, now time.Time, r *Report) (config.Files, bool) {
	files, err := cfg.Files()
	if err != nil {
		var problems config.Problems
		if !errors.As(err, &problems) {
			r.Add(fileProblem(err))
		}
		for _, p := range problems {
			r.Add(fileProblem(p))
		}
		return config.Files{}, false
	}
	paths := cfg.CertificateFiles()
	for i, c := range files.EST.Certificates {
		name := "files.est"
		if i > 0 {
			name = fmt.Sprintf("files.est.%d", i)
		}
		chain := []*x509.Certificate{c.Leaf}
		for _, der := range c.Certificate[1:] {
			if above, err := x509.ParseCertificate(der); err == nil {
				chain = append(chain, above)
			}
		}
		f := fileDates(name, chain, now, "EST client: Enrollment rv = 38 (EST_ERR_SSL_CONNECT), certificate has expired")
		f.Seen = short(paths[i]) + ": " + f.Seen
		r.Add(f)
	}
	if len(files.EST.Trust) > 0 {
		r.Add(oneGood("files.est.trust", files.EST.Trust, now, "client certificates under it are refused"))
	}
	r.Add(oneGood("files.ca.trust", files.CATrust, now, "the CA's server is not trusted"))
	r.OK("files.ca.credentials", "readable, and by nobody else")
	return files, true
}

func fileProblem(err error) Finding {
	f := Finding{
		Name: "files", State: Fail, Seen: short(err.Error()), Symptom: "ra serve ends at its start, or keeps what it read before",
		Reason: "ra.yaml names this file, and it cannot be used", Fix: "mend the file, by what is seen of it, or name another one in ra.yaml",
	}
	if errors.Is(err, fs.ErrNotExist) {
		f.Reason, f.Fix = "ra.yaml names a file that is not there", "put the file there, or name the right one in ra.yaml: a path is read from ra.yaml's own folder"
	}
	return f
}

func fileDates(name string, certs []*x509.Certificate, now time.Time, symptom string) Finding {
	f := datesOf(name, certs, now)
	if f.State != OK {
		f.Symptom = symptom
	}
	return f
}

// oneGood judges a trust store, in which an old certificate beside others does no harm.
func oneGood(name string, anchors []*x509.Certificate, now time.Time, symptom string) Finding {
	var good []*x509.Certificate
	for _, c := range anchors {
		if !now.Before(c.NotBefore) && !now.After(c.NotAfter) {
			good = append(good, c)
		}
	}
	if len(good) == 0 {
		return fileDates(name, anchors, now, symptom)
	}
	f := fileDates(name, good, now, symptom)
	if expired := len(anchors) - len(good); expired > 0 {
		f.Seen += fmt.Sprintf("; %d besides are not valid now", expired)
	}
	return f
}
