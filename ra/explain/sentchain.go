package explain

import (
	"bytes"
	"slices"
)

// Chain is which certificates a server sends, as openssl s_client shows them.
type Chain string

// What a server may send.
const (
	ChainAlone      Chain = "alone"       // its own, by another
	ChainSelfSigned Chain = "self-signed" // its own, by itself
	ChainLonger     Chain = "longer"      // more than its own
)

// words are what a server sends.
func (c Chain) words() string {
	switch c {
	case ChainAlone:
		return "its own certificate alone, which another has issued (s: and i:)"
	case ChainSelfSigned:
		return "its own certificate alone, which has issued itself (s: and i:)"
	}
	return "more than its own certificate"
}

// sentChain reads the block "Certificate chain" of openssl s_client: of each certificate a
// line s: (of whom) and a line i: (by whom).
type sentChain struct {
	file    int // it was read in
	blocks  int
	own     []byte // the subject of the first
	longer  bool
	self    bool
	waiting bool // for the line i: of the first
}

var (
	chainBegins = []byte("Certificate chain")
	chainOf     = []byte("s:")
	chainBy     = []byte("i:")
)

// line reads a line of a file.
func (c *sentChain) line(file int, raw []byte) {
	raw = bytes.TrimSpace(raw)
	if bytes.HasSuffix(raw, chainBegins) {
		if c.file != file {
			*c = sentChain{file: file}
		}
		c.blocks++
		return
	}
	if c.blocks != 1 || c.file != file {
		return
	}
	if c.waiting {
		if by, ok := bytes.CutPrefix(raw, chainBy); ok {
			c.self, c.waiting = bytes.Equal(bytes.TrimSpace(by), c.own), false
		}
		return
	}
	number, of, ok := bytes.Cut(raw, chainOf)
	number = bytes.TrimSpace(number)
	if !ok || len(number) != 1 || !digit(number[0]) {
		return
	}
	if number[0] == '0' {
		c.own, c.waiting = bytes.Clone(bytes.TrimSpace(of)), true
	} else {
		c.longer = true
	}
}

// in is what was sent in the one call of which a file has the output; "" = that is not known.
func (c *sentChain) in(file int) Chain {
	switch {
	case c.file != file || c.blocks != 1 || c.own == nil || c.waiting:
		return ""
	case c.longer:
		return ChainLonger
	case c.self:
		return ChainSelfSigned
	}
	return ChainAlone
}

// sends tells whether a failure is one of a server that sends such a chain.
func (e *entry) sends(c Chain) bool {
	return c == "" || len(e.Chains) == 0 || slices.Contains(e.Chains, c)
}

// foremost tells whether a failure is as a rule one of a server that sends such a chain.
func (e *entry) foremost(c Chain) bool { return c != "" && len(e.Chains) > 0 && e.Chains[0] == c }
