package check

import "bytes"

// HeadAndBodyWords are what a recording has of an answer.
func HeadAndBodyWords(head [][2]string, body []byte) (lines []string, words map[string]string) {
	a := &reply{status: 200, body: body}
	for _, h := range head {
		a.head = append(a.head, field{h[0], h[1]})
	}
	return headWords(a, "host.example"), bodyWords(a)
}

// ReadHead reads the lines of a head.
func ReadHead(all []byte, before int) (names []string) {
	for _, f := range lastHead(all, before) {
		names = append(names, f.name)
	}
	return names
}

// ReadBodies reads a body in all the ways in which one is read.
func ReadBodies(body []byte) {
	_, _ = certsOf(body)
	_, _, _ = attributesOf(body)
	_ = (&reply{head: []field{{"WWW-Authenticate", string(bytes.ToValidUTF8(body, nil))}}}).schemes()
}
