// Package watched keeps what stands in files, and reads it anew when they change.
package watched

import (
	"os"
	"sync"
	"time"
)

// lookEvery is how often files are looked at, at most.
const lookEvery = time.Second

// Source says where a value comes from. Files and Read are called with a lock held:
// whoever asks for the value meanwhile waits.
type Source[T any] struct {
	Files func() []string   // that are looked at
	Read  func() (T, error) // reads the value from them
	// Life is how long a value is good though no file changes; 0 = for ever.
	Life time.Duration
	Now  func() time.Time
	// Changed, where set, is told of each value read because a file had changed, and
	// Failed once of each change whose files are no good.
	Changed func(T)
	Failed  func(error)
}

// Value is what files hold. It is read again when one of them has changed; while they
// are missing or no good, what they held before stays. It is safe for concurrent use.
type Value[T any] struct {
	source Source[T]

	mu     sync.Mutex // guards all below
	value  T
	made   time.Time
	looked time.Time
	stamps map[string]stamp // of the newest try, good or bad
}

// stamp tells one version of a file from another; zero: there is no file. A mode that
// is changed may make a bad file a good one.
type stamp struct {
	modified time.Time
	size     int64
	mode     os.FileMode
}

// Open reads the value for the first time.
func Open[T any](s Source[T]) (*Value[T], error) {
	v := &Value[T]{source: s}
	v.stamps = v.look() // before the files are read: a change in between is seen later
	var err error
	v.value, err = s.Read()
	v.made = s.Now()
	v.looked = v.made
	return v, err
}

// Get returns what the files hold now; they are looked at at most once a second.
func (v *Value[T]) Get() T {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.source.Now()
	if now.Sub(v.looked) < lookEvery {
		return v.value
	}
	v.looked = now
	stamps := v.look()
	changed := false
	for path, s := range stamps {
		changed = changed || v.stamps[path] != s
	}
	if !changed && (v.source.Life == 0 || now.Sub(v.made) < v.source.Life) {
		return v.value
	}
	v.stamps = stamps // a change that is no good is told once, not each second
	value, err := v.source.Read()
	if err != nil {
		if v.source.Failed != nil {
			v.source.Failed(err)
		}
		return v.value
	}
	v.value, v.made = value, now
	if changed && v.source.Changed != nil {
		v.source.Changed(value)
	}
	return v.value
}

func (v *Value[T]) look() map[string]stamp {
	stamps := map[string]stamp{}
	for _, path := range v.source.Files() {
		stamps[path] = stamp{}
		if info, err := os.Stat(path); err == nil {
			stamps[path] = stamp{info.ModTime(), info.Size(), info.Mode()}
		}
	}
	return stamps
}
