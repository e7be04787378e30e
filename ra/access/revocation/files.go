package revocation

import (
	"fmt"
	"io"
	"os"
)

// readFiles reads all CRLs.
func readFiles(paths []string) ([]*list, error) {
	var all []*list
	for _, path := range paths {
		lists, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, lists...)
	}
	return all, nil
}

func readFile(path string) ([]*list, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCRL+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxCRL {
		return nil, fmt.Errorf("is longer than %d bytes", maxCRL)
	}
	return parseLists(data)
}
