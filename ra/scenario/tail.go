package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// logNames are the logs in the order in which they are judged, and logFiles where
// they are below a lab's folder; IIS's are daily.
var logNames = []string{"capf", "nginx", "ciscora", "iis"}

var logFiles = map[string]string{
	"nginx": "logs/nginx-error.log", "ciscora": "logs/ciscora.log", "capf": "logs/capf.log", "iis": "logs/iis/*.log",
}

// tail reads the logs of one lab as they grow.
type tail struct {
	dir  string
	line func(log, line string) // may be nil

	once  sync.Once     // closes stop
	grown chan struct{} // says that there is something to read
	stop  chan struct{}
	done  chan struct{}

	mu      sync.Mutex // guards all below
	files   map[string]int64
	lines   map[string][]string
	changed chan struct{} // closed at the next line
	err     error
}

func newTail(dir string, line func(log, line string)) *tail {
	t := &tail{
		dir: dir, line: line,
		grown: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		files: map[string]int64{}, lines: map[string][]string{}, changed: make(chan struct{}),
	}
	go t.follow()
	return t
}

// next reads on where t, which has ended, has come to.
func (t *tail) next() *tail {
	n := newTail(t.dir, t.line)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.files = maps.Clone(t.files)
	return n
}

// poke says that a log may have grown; it does not wait.
func (t *tail) poke() {
	select {
	case t.grown <- struct{}{}:
	default: // it will be read anyway
	}
}

func (t *tail) follow() {
	defer close(t.done)
	for {
		select {
		case <-t.grown:
			t.read()
		case <-t.stop:
			return
		}
	}
}

// end reads what is left, once nobody writes any more. It may be called again.
func (t *tail) end() error {
	t.once.Do(func() { close(t.stop) })
	<-t.done
	t.read()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// more is closed when there are more lines.
func (t *tail) more() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// of returns the lines of a log so far; those of IIS without its header.
func (t *tail) of(name string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.lines[name])
}

// read takes up what the logs have got since.
func (t *tail) read() {
	t.mu.Lock()
	defer t.mu.Unlock()
	grew := false
	for _, name := range logNames {
		paths, err := filepath.Glob(filepath.Join(t.dir, logFiles[name]))
		t.err = errors.Join(t.err, err)
		slices.Sort(paths) // by their days
		for _, path := range paths {
			text, err := t.rest(path)
			t.err = errors.Join(t.err, err)
			for line := range strings.Lines(text) {
				line = strings.TrimRight(line, "\r\n")
				if name == "iis" && strings.HasPrefix(line, "#") {
					continue // the header, which names the fields
				}
				grew = true
				t.lines[name] = append(t.lines[name], line)
				if t.line != nil {
					t.line(name, line)
				}
			}
		}
	}
	if grew {
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// rest returns the whole lines of a file behind those that were read; mu is held.
func (t *tail) rest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the log: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, t.files[path], 64<<20))
	if err != nil {
		return "", fmt.Errorf("read the log %s: %w", path, err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	t.files[path] += int64(len(text))
	return string(text), nil
}
