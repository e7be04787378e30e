package ledger

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
)

// holding is what this process has claims on: all that one process needs to know.
// Other processes see a claim by the row's holder, the number under which its
// replica is in the table replicas.
type holding struct {
	takes atomic.Uint64 // tries to take a row that is there

	mu        sync.Mutex // guards all below
	number    int64      // of this replica now; 0 = it has none
	count     uint64
	byID      map[int64]heldRow
	byKey     map[[sha256.Size]byte]int64
	inserting map[string]bool // tokens of rows that are being made: they are there before their id is known
	searching bool
}

type heldRow struct {
	token  string
	key    [sha256.Size]byte
	number int64 // under which others see it
}

func newHolding() *holding {
	return &holding{byID: map[int64]heldRow{}, byKey: map[[sha256.Size]byte]int64{}, inserting: map[string]bool{}}
}

// begin makes number the one that claims are made under.
func (h *holding) begin(number int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.number = number
}

// end says that others may take what was claimed under this number. Whether they
// have shows when the claim is used.
func (h *holding) end(number int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.number == number {
		h.number, h.searching = 0, false
	}
}

// newToken names a claim: no other has the same, since no two replicas ever have
// the same number.
func (h *holding) newToken(number int64) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	return fmt.Sprintf("%d.%d", number, h.count)
}

// insert announces the row that is to be made with this token, until it is held or not.
func (h *holding) insert(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inserting[token] = true
}

// notInserted says that no row is made with this token, or that nobody knows.
func (h *holding) notInserted(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.inserting, token)
}

// busy tells whether this process has the row, or is about to: the token is the row's.
func (h *holding) busy(id int64, token string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, held := h.byID[id]
	return held || h.inserting[token]
}

// hold makes the row held; false where it is, or where the number has ended.
func (h *holding) hold(number, id int64, token string, key [sha256.Size]byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.inserting, token)
	if _, held := h.byID[id]; held || h.number != number {
		return false
	}
	h.byID[id] = heldRow{token, key, number}
	h.byKey[key] = id
	return true
}

// rename tells under which key a row is held that was taken by its number.
func (h *holding) rename(id int64, token string, key [sha256.Size]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if row, held := h.byID[id]; held && row.token == token {
		h.unkey(id, row)
		row.key = key
		h.byID[id] = row
		h.byKey[key] = id
	}
}

// renumber tells that others see the claim under this number from now on.
func (h *holding) renumber(id int64, token string, number int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if row, held := h.byID[id]; held && row.token == token {
		row.number = number
		h.byID[id] = row
	}
}

// under returns the number under which others see this claim; 0 = it has ended.
func (h *holding) under(id int64, token string) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if row, held := h.byID[id]; held && row.token == token {
		return row.number
	}
	return 0
}

// has tells whether the claim with this token is ours; "" = any.
func (h *holding) has(id int64, token string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	row, held := h.byID[id]
	return held && (token == "" || row.token == token)
}

// of returns the held row with this key.
func (h *holding) of(key [sha256.Size]byte) (id int64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id, ok = h.byKey[key]
	return id, ok
}

func (h *holding) free(id int64, token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if row, held := h.byID[id]; held && row.token == token {
		delete(h.byID, id)
		h.unkey(id, row)
	}
}

// unkey is called with mu held.
func (h *holding) unkey(id int64, row heldRow) {
	if h.byKey[row.key] == id {
		delete(h.byKey, row.key)
	}
}

func (h *holding) rows() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.byID)
}

// search takes the right to search for this process; false where it has it.
func (h *holding) search() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.searching {
		return false
	}
	h.searching = true
	return true
}

func (h *holding) searched() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.searching = false
}

// own is the number that claims are made under; 0 = there is none now.
func (h *holding) own() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.number
}
