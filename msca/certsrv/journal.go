package certsrv

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"ciscora/internal/filelock"
)

// journal keeps requests on disk: a file to which each change of a request appends
// the whole request as one line of JSON; the last line of a ReqID counts. A nil
// journal keeps nothing.
type journal struct {
	lock *filelock.Lock

	mu     sync.Mutex
	file   *os.File
	broken error // set by a failed write, whose effect on the file nobody knows
}

// openJournal locks dir and returns its requests in the order of the file. A last
// line without its end, as a crash leaves it, is cut off: its request was never
// answered. Anything else that cannot be read is an error, the last line too: its
// request may have been, and its ReqID must not be given again.
func openJournal(dir string) (j *journal, records []record, err error) {
	lock, err := filelock.Take(filepath.Join(dir, lockName))
	if err != nil {
		return nil, nil, fmt.Errorf("certsrv: %s: %w, stop that one or choose another folder", dir, err)
	}
	defer func() {
		if err != nil {
			_ = lock.Close() // the error that counts is err
		}
	}()
	path := filepath.Join(dir, journalName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("certsrv: open the journal: %w", err)
	}
	records, good, err := readJournal(f)
	if err == nil {
		err = f.Truncate(good)
	}
	if err == nil {
		_, err = f.Seek(good, io.SeekStart)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		_ = f.Close() // the error that counts is err
		return nil, nil, fmt.Errorf("certsrv: read %s: %w", path, err)
	}
	return &journal{lock: lock, file: f}, records, nil
}

// readJournal returns the records of r and the length of what it could read.
func readJournal(r io.Reader) (records []record, good int64, err error) {
	in := bufio.NewReader(r)
	for line := 1; ; line++ {
		b, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return records, good, nil // nothing more, or a line without its end
		}
		if err != nil {
			return nil, 0, err
		}
		var rec record
		err = json.Unmarshal(bytes.TrimSpace(b), &rec)
		if err == nil && rec.ID <= 0 {
			err = errors.New("it has no ReqID")
		}
		if err != nil {
			return nil, 0, fmt.Errorf("line %d is no request, restore the file from a copy, or mend the line: %w", line, err)
		}
		records = append(records, rec)
		good += int64(len(b))
	}
}

// append returns once the record is on the disk. After an error nothing more is
// taken: a restart finds out what the file really holds.
func (j *journal) append(rec record) error {
	if j == nil {
		return nil
	}
	line, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("certsrv: encode request %d: %w", rec.ID, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return j.broken
	}
	if _, err = j.file.Write(append(line, '\n')); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.broken = fmt.Errorf("certsrv: the journal cannot be written, make room and restart the CA: %w", err)
	}
	return j.broken
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken == nil {
		j.broken = errors.New("certsrv: the CA is closed")
	}
	return errors.Join(j.file.Close(), j.lock.Close())
}
