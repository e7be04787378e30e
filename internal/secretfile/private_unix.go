//go:build unix

package secretfile

import (
	"io/fs"
	"os"
	"slices"
	"syscall"
)

func private(info fs.FileInfo, mode fs.FileMode) bool {
	return mode&0o077 == 0 || mode&0o037 == 0 && isRootsForUs(info)
}

// isRootsForUs tells whether the file is root's, who has given it to a group of this
// process's. Root's own group is none that was made for us.
func isRootsForUs(info fs.FileInfo) bool {
	file, ok := info.Sys().(*syscall.Stat_t)
	if !ok || file.Uid != 0 || file.Gid == 0 {
		return false
	}
	if int(file.Gid) == os.Getegid() {
		return true
	}
	groups, err := os.Getgroups()
	return err == nil && slices.Contains(groups, int(file.Gid))
}

// isForeign tells whether the file is root's, and this process not.
func isForeign(info fs.FileInfo) bool {
	file, ok := info.Sys().(*syscall.Stat_t)
	return ok && file.Uid == 0 && os.Geteuid() != 0
}
