// Package secretfile says who may read a file that holds a secret.
package secretfile

import (
	"fmt"
	"io/fs"
)

// Check returns nil where nobody but its owner can read the file, or besides root, whose
// it is, a group of this process's: so Kubernetes mounts secrets under fsGroup (mode
// 0440). The error tells the mode and what to do.
func Check(path string, info fs.FileInfo) error {
	mode := info.Mode().Perm()
	if private(info, mode) {
		return nil
	}
	remedy := "chmod 600 " + path
	if isForeign(info) { // this user may not change its mode
		remedy = "have root give it mode 0440 and this process's group (Kubernetes: fsGroup, and defaultMode 0440)"
	}
	return fmt.Errorf("%s is readable by others (mode %04o): %s", path, mode, remedy)
}
