//go:build !linux

package exam

func adopt(bool) error { return nil }

func (c *children) reap(bool) int { return 0 }
