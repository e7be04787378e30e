//go:build !race

package peertest

// Raced tells whether the race detector is on.
const Raced = false
