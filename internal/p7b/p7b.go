// Package p7b reads a PKCS #7 that comes from outside.
//
// github.com/smallstep/pkcs7 reads BER by a function that calls itself for each level, and
// keeps an object for each element. So a megabyte of nested heads is half a gigabyte of
// memory, and four end the process: what is deeper, or has more elements, than any chain
// of certificates is refused before.
package p7b

import (
	"errors"

	"github.com/smallstep/pkcs7"
)

// A chain of 64 certificates has about ten thousand elements, some fifteen deep.
const (
	maxDepth    = 64
	maxElements = 200_000
)

var (
	errDepth    = errors.New("no PKCS #7 of certificates is nested so deeply")
	errElements = errors.New("no PKCS #7 of certificates has so many elements")
	errCut      = errors.New("it ends within an element")
)

// Parse reads a PKCS #7 (RFC 2315, RFC 5652) in BER or DER. What it holds is not verified.
func Parse(ber []byte) (*pkcs7.PKCS7, error) {
	if err := bounded(ber); err != nil {
		return nil, err
	}
	return pkcs7.Parse(ber)
}

// bounded goes through the elements (X.690 section 8.1) in the order in which the library
// does, without calling itself.
func bounded(ber []byte) error {
	const indefinite = -1
	var ends []int // of the elements that are open, the innermost last
	for at, elements := 0, 1; ; elements++ {
		if elements > maxElements {
			return errElements
		}
		if len(ends) >= maxDepth {
			return errDepth
		}
		constructed, length, head, ok := header(ber[at:])
		if !ok || length > len(ber)-at-head {
			return errCut
		}
		at += head
		switch {
		case !constructed:
			at += max(length, 0)
		case length < 0:
			ends = append(ends, indefinite)
			continue
		case length > 0:
			ends = append(ends, at+length)
			continue
		}
		// An element is over, and with it those that it is the last of.
		for len(ends) > 0 {
			end := ends[len(ends)-1]
			if end == indefinite {
				if len(ber)-at < 2 || ber[at] != 0 || ber[at+1] != 0 {
					break
				}
				at += 2
			} else if at < end {
				break
			}
			ends = ends[:len(ends)-1]
		}
		if len(ends) == 0 {
			return nil // what stands behind is not read
		}
	}
}

// header reads identifier and length of an element; a negative length is the indefinite
// one, and ok tells whether they are there whole.
func header(ber []byte) (constructed bool, length, size int, ok bool) {
	if len(ber) < 2 {
		return false, 0, 0, false
	}
	constructed = ber[0]&0x20 != 0
	size = 1
	if ber[0]&0x1f == 0x1f { // the number of the tag goes on
		for size < len(ber) && ber[size] >= 0x80 {
			size++
		}
		size++
	}
	if size >= len(ber) {
		return false, 0, 0, false
	}
	first := ber[size]
	size++
	if first == 0x80 {
		return constructed, -1, size, true
	}
	if first < 0x80 {
		return constructed, int(first), size, true
	}
	for range first & 0x7f {
		if size >= len(ber) || length > len(ber) {
			return false, 0, 0, false
		}
		length = length<<8 | int(ber[size])
		size++
	}
	return constructed, length, size, true
}
