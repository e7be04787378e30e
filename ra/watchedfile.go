package ra

import (
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// lookEvery is how often a file is looked at, at most.
const lookEvery = time.Second

// watchedFile is what a file holds. It is read again when it has changed; while it is
// missing or no good, what it held before stays. It is safe for concurrent use.
type watchedFile[T any] struct {
	path    string
	parse   func(*os.File) (T, error)
	replace func() // called when the value has changed; may be nil
	now     func() time.Time
	log     *zap.Logger

	mu     sync.Mutex // guards all below
	value  T
	stamp  fileStamp // of the newest try, good or bad; zero: there was no file
	looked time.Time
}

// fileStamp tells one version of a file from another. A mode that is changed may make
// a bad file a good one.
type fileStamp struct {
	modified time.Time
	size     int64
	mode     os.FileMode
}

// open reads the file for the first time.
func (w *watchedFile[T]) open() (err error) {
	w.value, w.stamp, err = w.read()
	w.looked = w.now()
	return err
}

func (w *watchedFile[T]) read() (value T, stamp fileStamp, err error) {
	f, err := os.Open(w.path)
	if err != nil {
		return value, stamp, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return value, stamp, err
	}
	value, err = w.parse(f)
	return value, stampOf(info), err
}

func stampOf(info os.FileInfo) fileStamp {
	return fileStamp{info.ModTime(), info.Size(), info.Mode()}
}

// get returns what the file holds now.
func (w *watchedFile[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if now.Sub(w.looked) < lookEvery {
		return w.value
	}
	w.looked = now
	var stamp fileStamp // of a file that is not there: none
	if info, err := os.Stat(w.path); err == nil {
		stamp = stampOf(info)
	}
	if stamp == w.stamp {
		return w.value
	}
	value, read, err := w.read()
	if err != nil {
		w.stamp = stamp // once told is enough
		w.log.Error("the changed file is not taken, what it held before stays", zap.String("file", w.path), zap.Error(err))
		return w.value
	}
	w.value, w.stamp = value, read
	if w.replace != nil {
		w.replace()
	}
	w.log.Info("file read anew", zap.String("file", w.path))
	return w.value
}
