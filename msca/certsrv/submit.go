package certsrv

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"ciscora/internal/x501"
	"ciscora/msca/ntlm"
)

// Why a manager's decision is refused.
var (
	ErrNoRequest  = errors.New("there is no such request")
	ErrNotPending = errors.New("it does not wait for a decision")
)

const takenUnderSubmission = "Taken Under Submission"

// submit is a request's way through the CA: it gets a ReqID, is read, verified,
// held against its template, and issued, denied or put aside. An error means that
// the CA itself failed; a refusal is an outcome like the others.
func (s *Server) submit(ctx context.Context, who *ntlm.Identity, text string, attribs attributes) (Request, error) {
	r := record{Request: Request{
		ID:        s.requests.reserve(),
		Requester: who.String(),
		Template:  attribs.template(),
		Submitted: s.opts.Now(),
	}}
	s.opts.Events(RequestReceived{ID: r.ID, Requester: r.Requester, Template: r.Template, Time: r.Submitted})

	csr, hr := parseCSR(text)
	if hr != 0 {
		return s.deny(r, hr, "Error Parsing Request  "+resultLine(hr))
	}
	r.Subject = echo(x501.Text(csr.RawSubject))
	if hr := verifyCSR(csr); hr != 0 {
		return s.deny(r, hr, "Error Verifying Request Signature or Signing Certificate  "+resultLine(hr))
	}
	t, hr, reason := s.policy.check(r.Requester, r.Template, csr)
	d := Decision{ReqID: r.ID, Requester: r.Requester, Template: r.Template, HRESULT: hr, Reason: reason, Pending: t.ManagerApproval}
	if s.opts.Decide != nil {
		d = s.opts.Decide(ctx, d)
	}
	if d.HRESULT != 0 {
		if d.Reason == "" {
			d.Reason = textOf(d.HRESULT).message
		}
		message := "Denied by Policy Module"
		if !s.opts.Manner.BareDenial {
			message += fmt.Sprintf("  0x%08x, %s", d.HRESULT, d.Reason)
		}
		return s.deny(r, d.HRESULT, message)
	}
	if d.Pending {
		r.Disposition, r.Message, r.CSR = DispositionPending, takenUnderSubmission, csr.Raw
		if err := s.requests.put(r); err != nil {
			return Request{}, err
		}
		s.opts.Events(RequestPending{r.Request})
		return r.Request, nil
	}
	if d.OtherKey {
		key, err := ecKey()
		if err != nil {
			return Request{}, fmt.Errorf("certsrv: make another key: %w", err)
		}
		csr.PublicKey = key.Public()
	}
	return s.issue(r, t, csr, "Issued")
}

func (s *Server) issue(r record, t Template, csr *x509.CertificateRequest, message string) (Request, error) {
	c, err := s.authority.sign(t.content(r.Requester, csr), csr.PublicKey, t.Validity, r.ID)
	if err != nil {
		return Request{}, err
	}
	r.Disposition, r.HRESULT, r.Message = DispositionIssued, 0, message
	r.Certificate, r.CSR = c.Raw, nil
	if err := s.requests.put(r); err != nil {
		return Request{}, err
	}
	s.opts.Events(RequestIssued{r.Request})
	return r.Request, nil
}

func (s *Server) deny(r record, hr uint32, message string) (Request, error) {
	r.Disposition, r.HRESULT, r.Message, r.CSR = DispositionDenied, hr, message, nil
	if err := s.requests.put(r); err != nil {
		return Request{}, err
	}
	s.opts.Events(RequestDenied{r.Request})
	return r.Request, nil
}

// Approve issues a pending request, as the CA's manager. It returns ErrNoRequest
// or ErrNotPending by errors.Is when there is nothing to approve.
func (s *Server) Approve(id int) error {
	s.manager.Lock()
	defer s.manager.Unlock()
	r, err := s.requests.pending(id)
	if err != nil {
		return err
	}
	t, ok := s.policy.find(r.Template)
	if !ok {
		return fmt.Errorf("certsrv: request %d: its template %q is no longer published, publish it or deny the request", id, r.Template)
	}
	csr, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil {
		return fmt.Errorf("certsrv: request %d: its CSR in the journal is damaged, deny it: %w", id, err)
	}
	_, err = s.issue(r, t, csr, `Issued  Resubmitted by `+s.managerName())
	return err
}

// Deny refuses a pending request, as the CA's manager. It returns ErrNoRequest or
// ErrNotPending by errors.Is when there is nothing to deny.
func (s *Server) Deny(id int) error {
	s.manager.Lock()
	defer s.manager.Unlock()
	r, err := s.requests.pending(id)
	if err != nil {
		return err
	}
	_, err = s.deny(r, hrAdminDenied, "Denied by "+s.managerName())
	return err
}

func (s *Server) managerName() string { return s.opts.Domain + `\Administrator` }
