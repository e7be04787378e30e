//go:build !unix

package secretfile

import "io/fs"

// private is what mode bits cannot tell here: all files look readable by others.
func private(fs.FileInfo, fs.FileMode) bool { return true }

func isForeign(fs.FileInfo) bool { return false }
