package certsrv

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
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

// shelf is where the requests are kept: on disk ([journal]), or in memory.
type shelf interface {
	// put makes a request last, first on disk and then for readers.
	put(r record) error
	get(id int) (r record, ok bool, err error)
	highest() int // ReqID; 0 = there is none
	// backward calls each with the requests' numbers and dispositions, the newest
	// first, until it returns false.
	backward(each func(id, disposition int) bool) error
	clear() error // forgets all
	close() error
}

// requests are all requests the CA ever had. It is safe for concurrent use.
type requests struct {
	shelf
	log *zap.Logger

	mu   sync.Mutex // guards next
	next int
}

func newRequests(s shelf, first int, log *zap.Logger) *requests {
	return &requests{shelf: s, log: log, next: max(first, s.highest()+1, 1)}
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

// find returns a request. One that cannot be read is told, and is none to its asker.
func (q *requests) find(id int) (record, bool) {
	r, ok, err := q.get(id)
	if err != nil {
		q.log.Error("a request cannot be read", zap.Int("req_id", id), zap.Error(err))
	}
	return r, ok
}

// pending returns a request that waits for a manager, or says why there is none.
func (q *requests) pending(id int) (record, error) {
	r, ok, err := q.get(id)
	switch {
	case err != nil:
		return r, fmt.Errorf("certsrv: %w", err)
	case !ok:
		return r, fmt.Errorf("certsrv: request %d: %w", id, ErrNoRequest)
	case r.Disposition != DispositionPending:
		return r, fmt.Errorf("certsrv: request %d: %w", id, ErrNotPending)
	}
	return r, nil
}

// list returns those requests that want asks for, by ReqID.
func (q *requests) list(want func(disposition int) bool) []Request {
	var ids []int
	err := q.backward(func(id, disposition int) bool {
		if want(disposition) {
			ids = append(ids, id)
		}
		return true
	})
	if err != nil {
		q.log.Error("the requests cannot be listed", zap.Error(err))
	}
	all := make([]Request, 0, len(ids))
	for _, id := range slices.Backward(ids) {
		if r, ok := q.find(id); ok {
			all = append(all, r.Request)
		}
	}
	return all
}

// count is how many requests ended so.
func (q *requests) count(disposition int) int {
	n := 0
	err := q.backward(func(_, d int) bool {
		if d == disposition {
			n++
		}
		return true
	})
	if err != nil {
		q.log.Error("the requests cannot be counted", zap.Error(err))
	}
	return n
}

// memory is the shelf of a CA without a folder.
type memory struct {
	mu   sync.Mutex // guards both
	byID map[int]record
	last int
}

func newMemory() *memory { return &memory{byID: map[int]record{}} }

func (m *memory) put(r record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byID[r.ID] = r
	m.last = max(m.last, r.ID)
	return nil
}

func (m *memory) get(id int) (record, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.byID[id]
	r.Certificate = slices.Clone(r.Certificate)
	return r, ok, nil
}

func (m *memory) highest() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

func (m *memory) backward(each func(id, disposition int) bool) error {
	m.mu.Lock()
	ids := slices.Sorted(maps.Keys(m.byID))
	m.mu.Unlock()
	for _, id := range slices.Backward(ids) {
		if r, ok, _ := m.get(id); ok && !each(id, r.Disposition) {
			return nil
		}
	}
	return nil
}

func (m *memory) clear() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.byID)
	m.last = 0
	return nil
}

func (m *memory) close() error { return nil }
