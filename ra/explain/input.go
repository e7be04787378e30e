package explain

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Input is one file, or the standard input.
type Input struct {
	Name string
	Open func() (io.ReadCloser, error)
	// Once says that it gives its bytes only once, as a pipe does.
	Once bool
}

func (i Input) once() bool { return i.Once || i.Name == Stdin }

// maxFiles bounds how many files a folder gives.
const maxFiles = 10000

var errLink = errors.New("a link, not read: name it by itself to have it read")

// Files are the inputs that paths name: folders with all that is in them; each file
// once.
func Files(paths []string) ([]Input, error) {
	var inputs []Input
	var problems []error
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			var where *fs.PathError
			if errors.As(err, &where) {
				err = where.Err
			}
			problems = append(problems, fmt.Errorf("%s: %w: name the logs to be read, or leave them out and hand them in on standard input", path, err))
			continue
		}
		if info.Mode().IsRegular() {
			inputs = append(inputs, fileInput(path))
			continue
		}
		if info.Mode()&fs.ModeNamedPipe != 0 && isOpen(path) {
			input := fileInput(path)
			input.Once = true
			inputs = append(inputs, input)
			continue
		}
		if !info.IsDir() { // it would be waited for without an end, and is looked at twice
			problems = append(problems, fmt.Errorf("%s is no file, but a pipe or a device: read it as ra explain - < %[1]s", path))
			continue
		}
		err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			switch {
			case d.Type().IsRegular():
				inputs = append(inputs, fileInput(name))
			case d.Type()&fs.ModeSymlink != 0: // told, and not followed: it may lead in a circle
				inputs = append(inputs, Input{Name: name, Open: func() (io.ReadCloser, error) { return nil, errLink }})
			}
			if len(inputs) > maxFiles {
				return fmt.Errorf("%s holds more than %d files: name the logs among them", path, maxFiles)
			}
			return nil
		})
		problems = append(problems, err)
	}
	return inputs, errors.Join(problems...)
}

// isOpen tells whether a path names what this process has open already, as a shell's
// <(zcat x.gz) does: nobody is waited for to open its other end.
func isOpen(path string) bool {
	return path == "/dev/stdin" || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/self/fd/")
}

func fileInput(path string) Input {
	return Input{Name: path, Open: func() (io.ReadCloser, error) { return os.Open(path) }}
}

const (
	lineBuffer = 256 << 10
	// maxUnpacked and maxRatio bound what a .gz gives.
	maxUnpacked = 8 << 30
	maxRatio    = 400
	ratioFrom   = 64 << 20
)

var errBomb = errors.New("it unpacks to more than a log would: stopped there")

// archives are what else logs come packed in, by the bytes that begin it. A tar need not be
// unpacked: its files stand in it as they are.
var archives = map[string]string{
	"PK\x03\x04": "zip", "7z\xbc\xaf\x27\x1c": "7z", "Rar!\x1a\x07": "rar", "\xfd7zXZ\x00": "xz", "BZh": "bzip2", "\x28\xb5\x2f\xfd": "zstd",
}

// unpacked reads a file's text: unpacked if it is gzip, in UTF-8 if it is UTF-16, decoded if
// it is a mail as it was saved, which mail tells.
func unpacked(r io.Reader) (in *bufio.Reader, mail bool, err error) {
	if in, err = unzipped(r); err != nil {
		return nil, false, err
	}
	begin, _ := in.Peek(8)
	for magic, name := range archives {
		if bytes.HasPrefix(begin, []byte(magic)) {
			return nil, false, fmt.Errorf("it is packed (%s): unpack it, and name the folder or the file that comes out", name)
		}
	}
	in, mail = mailed(decoded(in))
	return in, mail, nil
}

// unzipped unpacks what is gzip.
func unzipped(r io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(r, lineBuffer)
	magic, err := in.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return in, nil
	}
	counted := &counter{r: in}
	packed, err := gzip.NewReader(bufio.NewReader(counted))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return bufio.NewReaderSize(&bounded{r: packed, packed: counted}, lineBuffer), nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded ends a stream that unpacks to more than a log would.
type bounded struct {
	r      io.Reader
	packed *counter
	n      int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.n > maxUnpacked || b.n > ratioFrom && b.n > maxRatio*b.packed.n {
		return 0, errBomb
	}
	n, err := b.r.Read(p)
	b.n += int64(n)
	return n, err
}

// decoded makes UTF-8 of UTF-16, which Windows writes with or without a mark.
func decoded(in *bufio.Reader) *bufio.Reader {
	begin, _ := in.Peek(64)
	little, big := 0, 0
	for i, c := range begin {
		if c == 0 {
			if i%2 == 1 {
				little++
			} else {
				big++
			}
		}
	}
	order := unicode.LittleEndian
	switch {
	case bytes.HasPrefix(begin, []byte{0xff, 0xfe}), len(begin) > 7 && little > len(begin)/3 && big == 0:
	case bytes.HasPrefix(begin, []byte{0xfe, 0xff}), len(begin) > 7 && big > len(begin)/3 && little == 0:
		order = unicode.BigEndian
	default:
		return in
	}
	return bufio.NewReaderSize(transform.NewReader(in, unicode.UTF16(order, unicode.UseBOM).NewDecoder()), lineBuffer)
}

// nextLength is how much of the next line is shown.
const nextLength = 96

// unread stands for a next line that is not known yet.
var unread = []byte("?")

// eachLine calls f for each line, with the beginning of the next one. A line longer
// than the buffer comes in pieces.
func eachLine(ctx context.Context, in *bufio.Reader, f func(line, next []byte, number int)) (lines int, err error) {
	number, since := 1, 0
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			next := unread
			if n := in.Buffered(); n >= nextLength {
				next, _ = in.Peek(nextLength)
			}
			f(line, next, number)
		}
		// By what was read, not by lines: these are long or short.
		if since += len(line) + 64; since >= 64<<10 {
			if since = 0; ctx.Err() != nil {
				return number, ctx.Err()
			}
		}
		switch {
		case err == nil:
			number++
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			if len(line) == 0 {
				number--
			}
			return number, nil
		default:
			return number, err
		}
	}
}

// kind is what a file mostly is: files of one kind are read one after another, as
// one log that was rotated.
type kind uint8

const (
	kindOther kind = iota
	kindCES
	kindCiscoRA
	kindCAPF
	kindIIS
	kinds
)

// sniffed is what a file's beginning tells.
type sniffed struct {
	input int
	kind  kind
	first stamp
	name  string
	// ciscoRA says that CES's lines in it, if there are any, are of the CiscoRA log.
	ciscoRA bool
}

const sniffLines = 400

// accessWord is in the lines that NGINX's log has of requests, and the CiscoRA log not.
var accessWord = []byte("[log_access")

// sniff looks at the beginning of a file.
func sniff(in *bufio.Reader) (s sniffed) {
	begin, _ := in.Peek(lineBuffer)
	var count [kinds]int
	n, scripts, serves := 0, 0, false
	for line := range bytes.Lines(begin) {
		if n++; n > sniffLines {
			break
		}
		line = bytes.TrimSpace(line)
		h, ok := headAt(line)
		if !ok {
			if _, h, ok = nextHead(line[:min(len(line), 2000)], 0); !ok {
				continue
			}
		}
		if h.when.clock && !s.first.clock {
			s.first = h.when
		}
		switch h.form {
		case formStart, formWorker, formLibest, formService:
			count[kindCES]++
			if h.form == formService {
				scripts++
			}
			serves = serves || h.form == formWorker || h.form == formLibest && bytes.Contains(line, accessWord)
		case formCAPF, formFrame:
			count[kindCAPF]++
		case formW3C, formW3CHead:
			count[kindIIS]++
		default:
			count[kindOther]++
		}
	}
	for k := range kinds {
		if count[k] > count[s.kind] {
			s.kind = k
		}
	}
	s.ciscoRA = scripts > 0 && !serves
	if s.kind == kindCES && s.ciscoRA {
		s.kind = kindCiscoRA
	}
	return s
}

// inOrder puts the files of one kind in the order in which they were written: by
// their first times where all have a date, else by the numbers that rotation gives.
func inOrder(files []sniffed) {
	dated := !slices.ContainsFunc(files, func(s sniffed) bool { return !s.first.date })
	slices.SortStableFunc(files, func(a, b sniffed) int {
		if dated && a.first.ms != b.first.ms {
			return cmp.Compare(a.first.ms, b.first.ms)
		}
		baseA, ageA := rotation(a.name)
		baseB, ageB := rotation(b.name)
		if baseA != baseB {
			return 0
		}
		return ageB - ageA
	})
}

// rotation cuts the number that rotation gives from a name: x.log.2.gz is x.log, 2.
func rotation(name string) (base string, age int) {
	name = strings.TrimSuffix(name, ".gz")
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return name, 0
	}
	n, err := strconv.Atoi(name[dot+1:])
	if err != nil || n < 0 || n > 99999 {
		return name, 0
	}
	return name[:dot], n
}
