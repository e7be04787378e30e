package explain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options of a reading.
type Options struct {
	// Zone is that of the logs that do not tell theirs: NGINX's and CAPF's; nil = they
	// are fitted to the others where they can be.
	Zone *time.Location
	// Progress is called now and then with the bytes read so far; nil = nobody is told.
	Progress func(read int64)
}

// FileRead tells how a file was read.
type FileRead struct {
	Name  string `json:"name"`
	Lines int    `json:"lines"`
	Bytes int64  `json:"bytes"`
	Logs  []Log  `json:"logs"`            // that have lines in it
	Error string `json:"error,omitempty"` // it was read to there
	// Binary says that it begins as no text does.
	Binary bool `json:"binary,omitempty"`
	// Decoded says that it is a mail as it was saved: its lines are those of its text.
	Decoded bool `json:"decoded,omitempty"`
}

// reading is all that was read, before it is judged.
type reading struct {
	files     []FileRead
	desks     []*desk
	incidents []*incident
	seen      map[Log]*seen
}

// Explain reads logs and says what failed.
func Explain(ctx context.Context, c *Catalog, inputs []Input, o Options) (*Report, error) {
	r := &reading{files: make([]FileRead, len(inputs)), seen: map[Log]*seen{}}
	groups := make([][]sniffed, kinds)
	for i, input := range inputs {
		r.files[i].Name, r.files[i].Logs = input.Name, []Log{}
		s, err := begin(input)
		if err != nil {
			r.files[i].Error = err.Error()
			continue
		}
		s.input, s.name = i, input.Name
		groups[s.kind] = append(groups[s.kind], s)
	}
	var total atomic.Int64
	progress := func(n int) {
		if now := total.Add(int64(n)); o.Progress != nil && n > 0 {
			o.Progress(now)
		}
	}
	var work errgroup.Group
	for _, files := range groups {
		if len(files) == 0 {
			continue
		}
		inOrder(files)
		d := newDesk(c)
		r.desks = append(r.desks, d)
		work.Go(func() error {
			for _, f := range files {
				if err := d.read(ctx, inputs[f.input], f, &r.files[f.input], progress); err != nil {
					return err
				}
			}
			d.end()
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	for _, d := range r.desks {
		r.incidents = append(r.incidents, d.incidents...)
		for _, log := range slices.Sorted(maps.Keys(d.seen)) {
			r.sum(log, d.seen[log])
		}
	}
	return judge(c, r, o), nil
}

func (r *reading) sum(log Log, s *seen) {
	have := r.seen[log]
	if have == nil {
		r.seen[log] = s
		return
	}
	have.records += s.records
	have.good += s.good
	have.whole, have.libest, have.calls = have.whole || s.whole, have.libest || s.libest, have.calls || s.calls
	if s.hasOffset {
		have.offset, have.hasOffset = s.offset, true
	}
	if s.from.clock && (!have.from.clock || s.from.ms < have.from.ms) {
		have.from = s.from
	}
	if s.to.clock && (!have.to.clock || s.to.ms > have.to.ms) {
		have.to = s.to
	}
}

func begin(input Input) (sniffed, error) {
	if input.Open == nil {
		return sniffed{}, errors.New("there is nothing to read")
	}
	if input.once() { // it is looked at when it is read
		return sniffed{}, nil
	}
	f, err := input.Open()
	if err != nil {
		return sniffed{}, err
	}
	defer f.Close()
	in, _, err := unpacked(f)
	if err != nil {
		return sniffed{}, err
	}
	return sniff(in), nil
}

// Stdin is the name of the standard input, which can be read only once.
const Stdin = "(standard input)"

// fewNULs may stand in the first line of a log.
const fewNULs = 4

// read reads one file.
func (d *desk) read(ctx context.Context, input Input, s sniffed, told *FileRead, progress func(int)) error {
	f, err := input.Open()
	if err != nil {
		told.Error = err.Error()
		return nil
	}
	defer f.Close()
	in, mail, err := unpacked(f)
	if err != nil {
		told.Error = err.Error()
		return nil
	}
	told.Decoded = mail
	if input.once() {
		s.ciscoRA = sniff(in).ciscoRA
	}
	d.begin(s, told)
	pending := 0
	told.Lines, err = eachLine(ctx, in, func(line, next []byte, n int) {
		told.Bytes += int64(len(line))
		if n == 1 && told.Bytes == int64(len(line)) {
			// A log that was cut at its beginning while it was written has NULs there alone.
			told.Binary = bytes.Count(bytes.TrimLeft(line, "\x00"), []byte{0}) >= fewNULs
			d.strangers.mute = told.Binary
		}
		if pending += len(line); pending > 4<<20 {
			progress(pending)
			pending = 0
		}
		d.line(line, next, n)
	})
	progress(pending)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		told.Error = fmt.Sprintf("read to line %d: %v", told.Lines, err)
	}
	return nil
}
