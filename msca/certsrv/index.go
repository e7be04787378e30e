package certsrv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// index tells where in the journal a request stands, by its ReqID: a file of entries of
// one size, so that neither memory nor the time to start grows with the requests. It
// holds nothing that the journal does not: where it is missing, old, or another
// journal's, it is made anew. Its head says how much of the journal it covers.
//
//	head   magic, covered, lines, last line's offset (8 bytes each), its CRC, the head's CRC (4 each)
//	entry  offset (8), length (4), disposition (4); all zero = there is no such request
type index struct {
	file *os.File
	mu   sync.RWMutex // guards last, and an entry from being read while it is written
	last int          // the highest ReqID
}

const (
	indexMagic   = 0x31_74_73_72_65_71_78_64 // changes with the form of head or entry
	indexHead    = 64
	indexEntry   = 16
	maxReqID     = 1<<32 - 1 // a serial number has four bytes for it
	entriesAPage = 4096
)

// head is what the index says of the journal.
type head struct {
	covered int64 // bytes of the journal whose requests are in the index
	lines   int64 // in them
	lastAt  int64 // where the last of these lines begins
	lastCRC uint32
}

// entry is where a request stands, and how it ended.
type entry struct {
	offset      int64
	length      int
	disposition int
}

func openIndex(path string) (*index, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the journal's index: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal's index: %w", err), f.Close())
	}
	return &index{file: f, last: max(0, int((info.Size()-indexHead)/indexEntry))}, nil
}

// head returns what the index says of the journal; false where it says nothing that
// can be believed.
func (x *index) head(journal io.ReaderAt, size int64) (head, bool) {
	var b [indexHead]byte
	if _, err := x.file.ReadAt(b[:], 0); err != nil {
		return head{}, false
	}
	h := head{
		covered: int64(binary.BigEndian.Uint64(b[8:])), lines: int64(binary.BigEndian.Uint64(b[16:])),
		lastAt: int64(binary.BigEndian.Uint64(b[24:])), lastCRC: binary.BigEndian.Uint32(b[32:]),
	}
	if binary.BigEndian.Uint64(b[:]) != indexMagic || binary.BigEndian.Uint32(b[36:]) != crc32.ChecksumIEEE(b[:36]) {
		return head{}, false
	}
	if h.covered < 0 || h.covered > size || h.lastAt < 0 || h.lastAt > h.covered {
		return head{}, false
	}
	line := make([]byte, h.covered-h.lastAt)
	if _, err := journal.ReadAt(line, h.lastAt); err != nil && !errors.Is(err, io.EOF) {
		return head{}, false
	}
	return h, crc32.ChecksumIEEE(line) == h.lastCRC
}

// cover makes the entries last, and then says so in the head.
func (x *index) cover(h head) error {
	var b [indexHead]byte
	binary.BigEndian.PutUint64(b[:], indexMagic)
	binary.BigEndian.PutUint64(b[8:], uint64(h.covered))
	binary.BigEndian.PutUint64(b[16:], uint64(h.lines))
	binary.BigEndian.PutUint64(b[24:], uint64(h.lastAt))
	binary.BigEndian.PutUint32(b[32:], h.lastCRC)
	binary.BigEndian.PutUint32(b[36:], crc32.ChecksumIEEE(b[:36]))
	if err := x.file.Sync(); err != nil {
		return err
	}
	_, err := x.file.WriteAt(b[:], 0)
	return err
}

// empty forgets all entries.
func (x *index) empty() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last = 0
	return x.file.Truncate(0)
}

func (x *index) set(id int, e entry) error {
	var b [indexEntry]byte
	binary.BigEndian.PutUint64(b[:], uint64(e.offset))
	binary.BigEndian.PutUint32(b[8:], uint32(e.length))
	binary.BigEndian.PutUint32(b[12:], uint32(e.disposition))
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, err := x.file.WriteAt(b[:], indexHead+int64(id-1)*indexEntry); err != nil {
		return err
	}
	x.last = max(x.last, id)
	return nil
}

// get returns a request's entry; false where there is none.
func (x *index) get(id int) (entry, bool, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if id < 1 || id > x.last {
		return entry{}, false, nil
	}
	var b [indexEntry]byte
	if _, err := x.file.ReadAt(b[:], indexHead+int64(id-1)*indexEntry); err != nil {
		return entry{}, false, fmt.Errorf("read the journal's index: %w", err)
	}
	e := parseEntry(b[:])
	return e, e.length != 0, nil
}

func parseEntry(b []byte) entry {
	return entry{
		offset: int64(binary.BigEndian.Uint64(b)), length: int(binary.BigEndian.Uint32(b[8:])), disposition: int(binary.BigEndian.Uint32(b[12:])),
	}
}

// highest is the highest ReqID.
func (x *index) highest() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.last
}

// backward calls each with the requests' numbers and dispositions, the newest first,
// until it returns false.
func (x *index) backward(each func(id, disposition int) bool) error {
	page := make([]byte, entriesAPage*indexEntry)
	for to := x.highest(); to > 0; to -= entriesAPage {
		from := max(0, to-entriesAPage)
		b := page[:(to-from)*indexEntry]
		x.mu.RLock()
		_, err := x.file.ReadAt(b, indexHead+int64(from)*indexEntry)
		x.mu.RUnlock()
		if err != nil {
			return fmt.Errorf("read the journal's index: %w", err)
		}
		for id := to; id > from; id-- {
			if e := parseEntry(b[(id-from-1)*indexEntry:]); e.length != 0 && !each(id, e.disposition) {
				return nil
			}
		}
	}
	return nil
}
