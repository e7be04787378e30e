package tracelog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLine bounds a line that is read, in bytes. What is longer is no line of
// these logs.
const maxLine = 64 << 10

// Scan reads a log line by line, and calls each for those that parse knows, with
// the line's number from 1. Lines that it does not know are passed over and
// counted. The error is the reader's, or the one that each returned, which ends
// the reading.
func Scan[T any](r io.Reader, parse func(line string) (T, bool), each func(number int, record T) error) (unknown int, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	for number := 1; ; number++ {
		line, err := in.ReadSlice('\n')
		tooLong := false
		for errors.Is(err, bufio.ErrBufferFull) {
			tooLong = true
			line, err = in.ReadSlice('\n')
		}
		if len(line) == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				return unknown, nil
			}
			return unknown, fmt.Errorf("read log line %d: %w", number, err)
		}
		record, ok := parse(strings.TrimSuffix(string(bytes.TrimSuffix(line, []byte("\n"))), "\r"))
		if !ok || tooLong {
			unknown++
			continue
		}
		if err := each(number, record); err != nil {
			return unknown, err
		}
	}
}
