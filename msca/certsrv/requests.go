package certsrv

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// The dispositions of a request (certcli.h CR_DISP_*, docs/reference/certsrv.md 5).
const (
	DispositionDenied  = 2
	DispositionIssued  = 3
	DispositionPending = 5
)

// Request is one row of the CA's database.
type Request struct {
	ID          int       `json:"id"`
	Requester   string    `json:"requester"`             // DOMAIN\user
	Template    string    `json:"template,omitempty"`    // as asked for, "" when the request names none
	Subject     string    `json:"subject,omitempty"`     // of the CSR, RFC 4514; "" when it could not be read
	Disposition int       `json:"disposition"`           // DispositionDenied, -Issued or -Pending
	HRESULT     uint32    `json:"hresult,omitempty"`     // why it was denied, else 0
	Message     string    `json:"message,omitempty"`     // the disposition message
	Submitted   time.Time `json:"submitted"`             //
	Certificate []byte    `json:"certificate,omitempty"` // DER, once issued
}

// record is a request with what is needed to decide it later.
type record struct {
	Request
	CSR []byte `json:"csr,omitempty"` // DER, while pending
}

// requests are all requests the CA ever had. It is safe for concurrent use.
type requests struct {
	journal *journal

	mu   sync.Mutex
	byID map[int]record
	next int
}

// newRequests takes up the records of a journal, whose last one of an ID counts.
func newRequests(j *journal, records []record, first int) *requests {
	q := &requests{journal: j, byID: make(map[int]record, len(records)), next: max(first, 1)}
	for _, r := range records {
		q.byID[r.ID] = r
		q.next = max(q.next, r.ID+1)
	}
	return q
}

// reserve returns the next ReqID. One that is lost in a crash before put comes
// again: nobody was told of it.
func (q *requests) reserve() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	id := q.next
	q.next++
	return id
}

// put makes a request last, first on disk and then for readers.
func (q *requests) put(r record) error {
	if err := q.journal.append(r); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.byID[r.ID] = r
	return nil
}

func (q *requests) get(id int) (record, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r, ok := q.byID[id]
	return r, ok
}

// pending returns a request that waits for a manager, or says why there is none.
func (q *requests) pending(id int) (record, error) {
	r, ok := q.get(id)
	switch {
	case !ok:
		return r, fmt.Errorf("certsrv: request %d: %w", id, ErrNoRequest)
	case r.Disposition != DispositionPending:
		return r, fmt.Errorf("certsrv: request %d: %w", id, ErrNotPending)
	}
	return r, nil
}

func (q *requests) list() []Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]Request, 0, len(q.byID))
	for _, r := range q.byID {
		r.Certificate = slices.Clone(r.Certificate)
		all = append(all, r.Request)
	}
	slices.SortFunc(all, func(a, b Request) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
