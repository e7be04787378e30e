package certsrv

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"ciscora/internal/filelock"
)

// journal keeps requests on disk: a file to which each change of a request appends
// the whole request as one line of JSON; the last line of a ReqID counts, and an index
// beside it says where that is.
type journal struct {
	lock  *filelock.Lock
	index *index

	mu     sync.Mutex // guards all below
	file   *os.File
	head   head  // what the index will say of the file
	since  int   // lines since it last did
	broken error // set by a failed write, whose effect on the file nobody knows
}

// linesAhead is how many lines the journal may be ahead of its index's head: so many
// are read again after a crash.
const linesAhead = 1024

// openJournal locks dir and takes up its journal. A last line without its end, as a
// crash leaves it, is cut off: its request was never answered. Anything else that
// cannot be read is an error, the last line too: its request may have been, and its
// ReqID must not be given again.
func openJournal(dir string) (_ *journal, err error) {
	lock, err := filelock.Take(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("certsrv: %s: %w, stop that one or choose another folder", dir, err)
	}
	j := &journal{lock: lock}
	defer func() {
		if err != nil {
			_ = j.closeFiles() // the error that counts is err
		}
	}()
	path := filepath.Join(dir, journalName)
	if j.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("certsrv: open the journal: %w", err)
	}
	if j.index, err = openIndex(filepath.Join(dir, indexName)); err != nil {
		return nil, fmt.Errorf("certsrv: %w", err)
	}
	if err = j.takeUp(); err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("certsrv: read %s: %w", path, err)
	}
	return j, nil
}

// takeUp reads what the index does not cover, and leaves the file at its end.
func (j *journal) takeUp() error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	var known bool
	if j.head, known = j.index.head(j.file, info.Size()); !known {
		j.head = head{}
		if err := j.index.empty(); err != nil {
			return err
		}
	}
	if _, err := j.file.Seek(j.head.covered, io.SeekStart); err != nil {
		return err
	}
	if err := readJournal(j.file, j.head.lines, j.note); err != nil {
		return err
	}
	if err := j.file.Truncate(j.head.covered); err != nil {
		return err
	}
	if _, err := j.file.Seek(j.head.covered, io.SeekStart); err != nil {
		return err
	}
	j.since = 0
	return j.index.cover(j.head)
}

// readJournal calls each with the requests of r, which stand behind so many lines, and
// with their lines. One without its end is none.
func readJournal(r io.Reader, before int64, each func(rec record, line []byte) error) error {
	in := bufio.NewReader(r)
	for number := before + 1; ; number++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // nothing more, or a line without its end
		}
		if err != nil {
			return err
		}
		rec, err := parseRecord(line)
		if err != nil {
			return fmt.Errorf("line %d is no request, restore the file from a copy, or mend the line: %w", number, err)
		}
		if err := each(rec, line); err != nil {
			return err
		}
	}
}

func parseRecord(line []byte) (record, error) {
	var rec record
	err := json.Unmarshal(bytes.TrimSpace(line), &rec)
	if err == nil && (rec.ID <= 0 || rec.ID > maxReqID) {
		err = errors.New("it has no ReqID")
	}
	return rec, err
}

// note puts a line that is in the file into the index.
func (j *journal) note(rec record, line []byte) error {
	at := j.head.covered
	if err := j.index.set(rec.ID, entry{offset: at, length: len(line), disposition: rec.Disposition}); err != nil {
		return fmt.Errorf("write the journal's index: %w", err)
	}
	j.head = head{covered: at + int64(len(line)), lines: j.head.lines + 1, lastAt: at, lastCRC: crc32.ChecksumIEEE(line)}
	if j.since++; j.since < linesAhead {
		return nil
	}
	j.since = 0
	return j.index.cover(j.head)
}

// put returns once the record is on the disk. After an error nothing more is
// taken: a restart finds out what the file really holds.
func (j *journal) put(rec record) error {
	line, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("certsrv: encode request %d: %w", rec.ID, err)
	}
	line = append(line, '\n')
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return j.broken
	}
	if _, err = j.file.Write(line); err == nil {
		err = j.file.Sync()
	}
	if err == nil {
		err = j.note(rec, line)
	}
	if err != nil {
		j.broken = fmt.Errorf("certsrv: the journal cannot be written, make room and restart the CA: %w", err)
	}
	return j.broken
}

// get reads a request; false where there is none.
func (j *journal) get(id int) (record, bool, error) {
	e, ok, err := j.index.get(id)
	if err != nil || !ok {
		return record{}, false, err
	}
	line := make([]byte, e.length)
	if _, err := j.file.ReadAt(line, e.offset); err != nil {
		return record{}, false, fmt.Errorf("read request %d: %w", id, err)
	}
	rec, err := parseRecord(line)
	if err == nil && rec.ID != id {
		err = fmt.Errorf("it is request %d", rec.ID)
	}
	if err != nil {
		return record{}, false, fmt.Errorf("read request %d: the journal was changed while the CA ran, restart it: %w", id, err)
	}
	return rec, true, nil
}

func (j *journal) highest() int { return j.index.highest() }

func (j *journal) backward(each func(id, disposition int) bool) error { return j.index.backward(each) }

// clear empties the file, and the index first: what that says of a file is known by the
// file's lines.
func (j *journal) clear() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return j.broken
	}
	err := j.index.empty()
	if err == nil {
		err = j.file.Truncate(0)
	}
	if err == nil {
		_, err = j.file.Seek(0, io.SeekStart)
	}
	if err == nil {
		j.head, j.since = head{}, 0
		err = j.index.cover(j.head)
	}
	if err != nil {
		j.broken = fmt.Errorf("certsrv: empty the journal: %w, restart the CA", err)
	}
	return j.broken
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	if j.broken == nil {
		j.broken = errors.New("certsrv: the CA is closed")
		err = j.index.cover(j.head)
	}
	return errors.Join(err, j.closeFiles())
}

func (j *journal) closeFiles() error {
	var errs []error
	if j.index != nil {
		errs = append(errs, j.index.file.Close())
	}
	if j.file != nil {
		errs = append(errs, j.file.Close())
	}
	return errors.Join(append(errs, j.lock.Close())...)
}
