package check

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The answers of an assumption.
const (
	holds   = "yes"
	fails   = "no"
	notTold = "not told"
)

// assumption is a line of docs/reference/adcs-assumptions.md, and how a recording is
// asked about it.
type assumption struct {
	text, section string
	ask           func(*Recording) (answer, seen string)
}

// judge asks a recording about each assumption.
func judge(r *Recording) []Assumption {
	lines := make([]Assumption, 0, len(assumptions()))
	for _, a := range assumptions() {
		answer, seen := a.ask(r)
		lines = append(lines, Assumption{a.text, a.section, answer, seen})
	}
	return lines
}

// untold is an assumption that no recording tells of, and who would.
func untold(why string) func(*Recording) (string, string) {
	return func(*Recording) (string, string) { return notTold, why }
}

// assumptions are those that nobody has seen at a real CA, and some that were seen at
// few, in the order of the page.
func assumptions() []assumption {
	return []assumption{
		{"a right channel binding is taken by every setting of Extended Protection", "1.2", loggedInBy},
		{"no MIC in type 3 is needed", "1.1", loggedInBy},
		{"scripts and styles hold no answer", "5.4", untold("a recording has the codes of a page, and not where they stand")},
		{"a page may be in a code page of its language", "5.4", charset},
		{"names of templates are without case", "3", untold("it takes a certificate: ask for one by the name in another case")},
		{"another account may fetch what one asked for", "6", untold("it takes two accounts")},
		{"ReqIDs rise by the order in which requests arrive", "6", untold("numbers are not written down")},
		{"an earlier renewal may answer with an error", "2", untold("it takes a CA that was renewed: compare /certcarc.asp with certnew.p7b of each number")},
		{"the CA signs with RSA, ECDSA, also PSS; IIS's certificate may be signed with SHA-1", "10", signatures},

		{"providers Negotiate, then NTLM; Basic only if configured", "1.1", providers},
		{"2148074252 for a wrong password; the same for a locked account", "1.1", untold("it stands in IIS's log; no wrong password is sent")},
		{"2148074310 for a wrong channel binding, 2148074248 for a broken token, 2148074257 without a domain controller", "1.1", untold("it stands in IIS's log")},
		{"win32 status 64 where the client hung up", "1.4", untold("it stands in IIS's log")},
		{"341 bytes for http.sys's 401, 1293 for IIS's, of which the built-in CA's own page has fewer", "1.5", sizesOf401},
		{"order and case of headers", "1.5", order},
		{"plain links and `text/html` for agents that are not known, scripts and pkix-cert for Mozilla", "0", scripts},
		{"ids, two tabs and CRLF of the error page", "5.4", errorPage},
		{"the words around them, and all translated ones", "5", untold("words are not written down")},
		{"a CN has 64 characters, C two; a request without a subject is 0x80094001", "5.6", untold("no such request is made")},
		{"of two attributes of one name the first holds", "4", untold("no such request is made")},
		{"serial numbers are positive; 12 random bytes, then the ReqID in 4", "6", untold("nothing is enrolled")},
		{"the issuing CA has path length 0", "2", pathLength},
		{"every account may fetch every certificate", "6", untold("it takes two accounts")},
		{"ReqIDs count up from a number that can be set", "6", untold("numbers are not written down")},
		{"certcrl.crl without a number, or with -1, is the newest certificate's list; `application/pkix-crl`", "2", listType},
		{"a POST over 200,000 bytes is an error of ASP", "1.3", untold("no such request is made")},
	}
}

// find is a step that was answered; nil where there is none.
func (r *Recording) find(name, agent string) *Step {
	i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.Step == name && s.Agent == agent && s.Failed == "" })
	if i < 0 {
		return nil
	}
	return &r.Steps[i]
}

func yesNo(yes bool) string {
	if yes {
		return holds
	}
	return fails
}

func loggedInBy(r *Recording) (string, string) {
	s := r.find("log-in", "")
	if s == nil || r.find("NTLM, first message", "") == nil {
		return notTold, "there was no log-in by NTLM"
	}
	if s.Status == http.StatusUnauthorized {
		return notTold, "401 to the log-in: so it is of a wrong password, too"
	}
	return yesNo(s.Status < 400), fmt.Sprintf("%d to a type 3 with channel binding and without a MIC", s.Status)
}

func charset(r *Recording) (string, string) {
	s := r.find("template list", ownAgent)
	if s == nil {
		return notTold, "the page did not come"
	}
	for _, value := range s.values("Content-Type") {
		if _, code, ok := strings.Cut(value, "charset="); ok {
			return yesNo(!strings.EqualFold(code, "utf-8")), value
		}
	}
	return notTold, "the page does not declare one"
}

func signatures(r *Recording) (string, string) {
	seen := "IIS's: " + r.TLS.Key + ", signed " + r.TLS.Signature
	s := r.find("chain, first, DER", ownAgent)
	if s == nil {
		return notTold, seen
	}
	return holds, seen + "; " + s.Body["kind"]
}

// values are those of a head, in order.
func (s *Step) values(head string) (all []string) {
	for _, line := range s.Head {
		if name, value, _ := strings.Cut(line, ": "); strings.EqualFold(name, head) {
			all = append(all, value)
		}
	}
	return all
}

func providers(r *Recording) (string, string) {
	s := r.find("anonymous", "")
	if s == nil {
		return notTold, "there was no answer"
	}
	got := s.values("WWW-Authenticate")
	return yesNo(len(got) >= 2 && got[0] == "Negotiate" && got[1] == "NTLM"), strings.Join(got, ", ")
}

func sizesOf401(r *Recording) (string, string) {
	anonymous, first := r.find("anonymous", ""), r.find("NTLM, first message", "")
	if anonymous == nil || first == nil {
		return notTold, "there was no answer"
	}
	iis, httpSys := anonymous.Body["size"], first.Body["size"]
	return yesNo(iis == "1293" && httpSys == "341"), fmt.Sprintf("%s for http.sys's, %s for IIS's", httpSys, iis)
}

func order(r *Recording) (string, string) {
	s := r.find("template list", ownAgent)
	if s == nil {
		return notTold, "the page did not come"
	}
	var names []string
	for _, line := range s.Head {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	return notTold, "to be compared with the built-in CA's: " + strings.Join(names, ", ")
}

func scripts(r *Recording) (string, string) {
	own, browser := r.find("CA certificates", ownAgent), r.find("CA certificates", browserAgent)
	if own == nil || browser == nil {
		return notTold, "the page did not come"
	}
	seen := fmt.Sprintf("nRenewals for CiscoRA: %s; for Mozilla: %s", orNo(own.Body["renewals"]), orNo(browser.Body["renewals"]))
	return yesNo(own.Body["renewals"] == "" && browser.Body["renewals"] != ""), seen
}

func orNo(s string) string {
	if s == "" {
		return "no"
	}
	return s
}

func errorPage(r *Recording) (string, string) {
	s := r.find("unknown request", ownAgent)
	if s == nil {
		return notTold, "the page did not come"
	}
	marks := s.Body["marks"]
	return yesNo(strings.Contains(marks, "locDispLabel") && strings.Contains(marks, "locLastStatLabel") && s.Body["tabs"] != "" && s.Body["line ends"] == "crlf"),
		fmt.Sprintf("%d, %s, line ends %s, %s, %s", s.Status, orNo(s.Body["tabs"]), s.Body["line ends"], s.Body["codes"], marks)
}

func listType(r *Recording) (string, string) {
	s := r.find("revocation list", ownAgent)
	if s == nil {
		return notTold, "the list did not come"
	}
	got := strings.Join(s.values("Content-Type"), ", ")
	return yesNo(got == "application/pkix-crl"), got + "; " + orNo(s.Body["kind"])
}

func pathLength(r *Recording) (string, string) {
	s := r.find("CA certificate", ownAgent)
	if s == nil {
		return notTold, "the certificate did not come"
	}
	return yesNo(strings.Contains(s.Body["kind"], "path length 0")), s.Body["kind"]
}
